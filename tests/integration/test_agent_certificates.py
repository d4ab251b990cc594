"""The certificates that clients really see, port by port and name by name."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import replace

import pytest

from mailadmin.agent.protocol import Outcome
from mailadmin.mailconf.state import CertificateMaterial, DesiredState
from tests.integration import mail_clients, wire
from tests.integration.mail_host import DOVECOT_SERVICES, POSTFIX_SERVICES, SERVICES, MailHost
from tests.states import make_material, with_default, with_listener, with_name

pytestmark = pytest.mark.integration

UNBOUND = "unbound.example.test"


def everywhere(fingerprint: str) -> dict[str, str]:
    return dict.fromkeys(SERVICES, fingerprint)


def test_a_new_certificate_is_shown_on_every_port_and_no_session_is_ended(host: MailHost) -> None:
    assert host.leaves() == everywhere(host.base.default_certificate)
    new = make_material("new")
    state = with_default(host.base, new.certificate)
    reloads, masters = host.count_reloads(), host.masters()
    session = mail_clients.connect_imap(host)

    report = host.apply(state)

    assert host.leaves() == everywhere(new.certificate.fingerprint)
    assert host.masters() == masters
    after = host.count_reloads()
    assert (after[0] - reloads[0], after[1] - reloads[1]) == (1, 0)
    assert session.noop()[0] == "OK"
    session.logout()
    shown = {seen.service: seen.fingerprint for seen in report.evidence}
    assert shown == everywhere(new.certificate.fingerprint)
    assert all(seen.tls_version == "TLSv1.3" and seen.cipher for seen in report.evidence)


def test_the_chain_is_sent_along_so_that_clients_can_verify(host: MailHost) -> None:
    chain = host.base.certificates[-1].chain_pem
    intermediate = hashlib.sha256(ssl.PEM_cert_to_DER_cert(chain)).hexdigest()
    for service in SERVICES:
        handshake = wire.shake_hands(
            host.address, host.port(service), service, "", "-CAfile", str(host.certificate),
            "-verify_return_error", "-verify_hostname", host.settings.host_name,
        )  # fmt: skip
        assert handshake.chain == (intermediate,), service
        assert "Verify return code: 0 (ok)" in handshake.output


def test_host_names_get_their_own_certificates_and_everybody_else_the_default(
    host: MailHost,
) -> None:
    one = make_material("one", ("mail.one.test",)).certificate
    two = make_material("two", ("mail.two.test",)).certificate
    state = with_name(with_name(host.base, "mail.one.test", one), "mail.two.test", two)
    reloads = host.count_reloads()
    report = host.apply(state)
    assert host.leaves("mail.one.test") == everywhere(one.fingerprint)
    assert host.leaves("mail.two.test") == everywhere(two.fingerprint)
    assert host.leaves(UNBOUND) == everywhere(host.base.default_certificate)
    assert host.leaves() == everywhere(host.base.default_certificate)
    assert host.count_reloads()[1] == reloads[1]
    # Proven by our own probe on each port, for each name and for none.
    proven = {(seen.service, seen.sni_name): seen.fingerprint for seen in report.evidence}
    assert len(proven) == len(SERVICES) * 3
    assert {proven[service, "mail.two.test"] for service in SERVICES} == {two.fingerprint}

    renewed = make_material("one renewed", ("mail.one.test",)).certificate
    state = replace(state, sni_bindings=state.sni_bindings[1:])
    host.apply(with_name(state, "mail.one.test", renewed))
    assert host.leaves("mail.one.test") == everywhere(renewed.fingerprint)
    assert host.leaves("mail.two.test") == everywhere(two.fingerprint)

    host.apply(host.base)
    assert host.leaves("mail.one.test") == everywhere(host.base.default_certificate)


def test_a_port_of_each_daemon_can_have_a_certificate_of_its_own(host: MailHost) -> None:
    smtp, sieve = make_material("smtp").certificate, make_material("sieve").certificate
    state = replace(host.base, certificates=(*host.base.certificates, smtp, sieve))
    state = with_listener(state, "submissions", certificate=smtp.fingerprint)
    state = with_listener(state, "sieve", certificate=sieve.fingerprint)
    host.apply(state)
    expected = everywhere(host.base.default_certificate)
    expected |= {"submissions": smtp.fingerprint, "sieve": sieve.fingerprint}
    assert host.leaves() == expected


@pytest.mark.parametrize(
    ("service", "others"), [("submission", DOVECOT_SERVICES), ("sieve", POSTFIX_SERVICES)]
)
def test_a_certificate_for_one_daemon_leaves_the_other_alone(
    host: MailHost, service: str, others: tuple[str, ...]
) -> None:
    own = make_material("own").certificate
    state = replace(host.base, certificates=(*host.base.certificates, own))
    reloads = host.count_reloads()
    host.apply(with_listener(state, service, certificate=own.fingerprint))
    postfix, dovecot = host.count_reloads()
    is_postfix = service in POSTFIX_SERVICES
    assert (postfix - reloads[0], dovecot - reloads[1]) == (int(is_postfix), 0)
    assert host.leaf(service) == own.fingerprint
    assert {host.leaf(other) for other in others} == {host.base.default_certificate}


def test_an_rsa_certificate_serves_old_clients_too(host: MailHost) -> None:
    rsa = make_material("rsa", kind="rsa-2048")
    host.apply(with_default(host.base, rsa.certificate))
    for service in ("smtp", "imaps"):
        where = (host.address, host.port(service), service)
        handshake = wire.shake_hands(
            *where, "", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"
        )
        assert handshake.leaf == rsa.certificate.fingerprint


def test_a_key_that_is_only_on_the_host_goes_on_serving(host: MailHost) -> None:
    """The certificate that was there first: the panel has it, but never had its key."""
    (found,) = [
        item
        for item in host.client.observe()["certificates"]
        if item["leaf_pem"].strip() == host.sandbox.certificate.read_text().strip()
    ]
    snakeoil = CertificateMaterial(
        fingerprint=found["fingerprint"],
        label="snakeoil",
        names=("mail.example.test",),
        not_before=host.base.certificates[0].not_before,
        not_after=host.base.certificates[0].not_after,
        leaf_pem=found["leaf_pem"],
    )
    host.apply(with_default(host.base, snakeoil))
    assert host.leaves() == everywhere(snakeoil.fingerprint)


@pytest.mark.parametrize(("profile", "is_old_welcome"), [("intermediate", True), ("modern", False)])
def test_the_tls_profile_decides_who_is_let_in(
    host: MailHost, profile: str, is_old_welcome: bool
) -> None:
    reloads = host.count_reloads()
    host.apply(replace(host.base, tls_profile=profile))
    assert host.count_reloads()[1] == reloads[1]
    leaf = host.base.default_certificate
    for service in SERVICES:
        where = (host.address, host.port(service), service, "")
        assert wire.shake_hands(*where, "-tls1_3").leaf == leaf, service
        old = wire.shake_hands(*where, "-tls1_2").leaf
        assert old == (leaf if is_old_welcome else ""), service
        oldest = ("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
        assert wire.shake_hands(*where, *oldest).leaf == "", service


def spoiled(state: DesiredState) -> dict[str, DesiredState]:
    """Return states with material that must not be served, by the reason."""
    good, other = make_material("good").certificate, make_material("other").certificate
    return {
        "material.key_mismatch": with_default(state, replace(good, key_pem=other.key_pem)),
        "material.key_missing": with_default(state, replace(good, key_pem="")),
        "material.other_leaf": with_default(state, replace(good, leaf_pem=other.leaf_pem)),
        "material.leaf_unreadable": with_default(state, replace(good, leaf_pem="no PEM")),
        "material.chain_unreadable": with_default(state, replace(good, chain_pem="no PEM")),
    }


@pytest.mark.parametrize("code", list(spoiled(DesiredState("", ()))))
def test_material_that_cannot_be_served_is_refused_before_anything_is_written(
    host: MailHost, code: str
) -> None:
    files, moments, generations = host.files(), host.moments(), host.generations()
    reloads = host.count_reloads()
    report = host.apply(spoiled(host.base)[code], Outcome.REFUSED)
    assert report.problem is not None
    assert report.problem.code == code
    assert host.files() == files
    assert host.moments() == moments
    assert host.generations() == generations
    assert host.count_reloads() == reloads
    assert host.leaf("imaps") == host.base.default_certificate
