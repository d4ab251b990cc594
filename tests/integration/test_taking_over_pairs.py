"""A host that serves RSA and ECDSA side by side is taken over as it is: the two are a pair.

In each way that Postfix and Dovecot can be told, written by hand as people write it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.utils import timezone

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.models import Certificate
from mailadmin.deployments.runner import look_at_host
from mailadmin.deployments.services import adopt_server
from mailadmin.listeners.selectors import desired_state, pending_changes
from mailadmin.mailconf.rules import check_state
from mailadmin.pki.problems import has_errors
from mailadmin.servers.models import MailServer
from tests.factories import make_actor
from tests.integration.mail_host import MailHost
from tests.states import make_material

pytestmark = [pytest.mark.integration, pytest.mark.django_db]
NAME = "mail.example.test"

RSA = make_material("by hand RSA", (NAME,), "rsa-2048")
ECDSA = make_material("by hand ECDSA", (NAME,))

OLD_WAY = """
smtpd_tls_chain_files =
smtpd_tls_cert_file = {folder}/rsa.pem
smtpd_tls_key_file = {folder}/rsa.pem
smtpd_tls_eccert_file = {folder}/ecdsa.pem
smtpd_tls_eckey_file = {folder}/ecdsa.pem
"""
TWO_FILES = "\nsmtpd_tls_chain_files = {folder}/rsa.pem,\n    {folder}/ecdsa.pem\n"
ONE_FILE = "\nsmtpd_tls_chain_files = {folder}/both.pem\n"
ONLY_RSA = "\nsmtpd_tls_chain_files = {folder}/rsa.pem\n"
DOVECOT = {
    "2.3": "ssl_cert = <{folder}/rsa.pem\nssl_key = <{folder}/rsa.pem\n"
    "ssl_alt_cert = <{folder}/ecdsa.pem\nssl_alt_key = <{folder}/ecdsa.pem\n",
    "2.4": "ssl_server_cert_file = {folder}/rsa.pem\nssl_server_key_file = {folder}/rsa.pem\n"
    "ssl_server_alt_cert_file = {folder}/ecdsa.pem\n"
    "ssl_server_alt_key_file = {folder}/ecdsa.pem\n",
}


@pytest.fixture
def make_found_host(
    make_mail_host: Callable[..., MailHost],
) -> Iterator[Callable[..., MailHost]]:
    """Yield a function that starts a host that was set up by hand, with an agent beside it."""

    started: list[MailHost] = []

    def make(postfix: str, *, is_dovecot_paired: bool = True) -> MailHost:
        host = make_mail_host()
        for name, text in (
            ("rsa.pem", RSA.bundle),
            ("ecdsa.pem", ECDSA.bundle),
            ("both.pem", RSA.bundle + ECDSA.bundle),
        ):
            (host.folder / name).write_text(text)
        host.edit(host.main_cf, host.main_cf.read_text() + postfix.format(folder=host.folder))
        host.start_agent()
        started.append(host)
        if is_dovecot_paired:
            major_minor = host.agent.host.dovecot.version()[:3]
            by_hand = DOVECOT[major_minor].format(folder=host.folder)
            (host.dropin.parent / "98-by-hand.conf").write_text(by_hand)
        host.agent.host.dovecot.reload()
        host.agent.host.postfix.reload()
        return host

    yield make
    for host in started:
        host.stop_agent()


def adopt(host: MailHost) -> None:
    adopt_server(actor=make_actor(), host_name=NAME, agent_socket=str(host.config.socket))


@pytest.mark.parametrize(
    "postfix", [OLD_WAY, TWO_FILES, ONE_FILE], ids=["eccert", "two files", "one file"]
)
def test_what_is_served_side_by_side_becomes_a_pair(
    make_found_host: Callable[..., MailHost], postfix: str
) -> None:
    adopt(make_found_host(postfix))
    rsa = Certificate.objects.get(fingerprint=RSA.certificate.fingerprint)
    ecdsa = Certificate.objects.get(fingerprint=ECDSA.certificate.fingerprint)
    assert rsa.companion == ecdsa
    assert ecdsa.companion == rsa
    server = MailServer.objects.get()
    assert server.default_certificate in (rsa, ecdsa)
    assert pending_changes(server) == ()
    assert not has_errors(check_state(desired_state(server), timezone.now()))
    verbs = list(
        AuditEvent.objects.filter(object_type="certificate").values_list("verb", flat=True)
    )
    assert verbs.count("certificate.paired") == 1


def test_one_daemon_that_serves_both_is_enough(make_found_host: Callable[..., MailHost]) -> None:
    adopt(make_found_host(TWO_FILES, is_dovecot_paired=False))
    rsa = Certificate.objects.get(fingerprint=RSA.certificate.fingerprint)
    assert rsa.companion is not None
    assert rsa.companion.fingerprint == ECDSA.certificate.fingerprint


def test_two_that_no_port_shows_together_are_no_pair(
    make_found_host: Callable[..., MailHost],
) -> None:
    host = make_found_host(ONLY_RSA, is_dovecot_paired=False)
    report = look_at_host(str(host.config.socket))
    assert report.served_pairs == ()
    adopt(host)
    assert not Certificate.objects.filter(companion__isnull=False).exists()
