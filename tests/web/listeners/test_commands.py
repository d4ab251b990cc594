"""The command line uses the services of the pages and says what is pending."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from mailadmin.audit.models import AuditEvent
from mailadmin.listeners.models import SniBinding
from mailadmin.listeners.selectors import desired_state
from mailadmin.servers.models import MailServer
from tests.server_factories import apply_wanted, make_binding, make_certificate

IDN = "mail.xn--bcher-kva.example"


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


# listeners


def test_the_list_has_a_line_per_service_and_per_name(server: MailServer) -> None:
    make_binding(server, IDN, make_certificate(IDN))
    told = run("listeners")
    lines = told.splitlines()
    assert lines[4].startswith("open    imaps ")
    assert "*:993" in lines[4]
    assert "login: required" in lines[4]
    assert f"mail.bücher.example ({IDN})" in told
    assert "1 change is not applied yet:" in told
    assert "Apply with: manage.py apply" in told


def test_the_list_says_when_nothing_is_pending(server: MailServer) -> None:
    assert "Nothing is pending" in run("listeners")


def test_the_list_in_json_has_everything_a_script_needs(server: MailServer) -> None:
    binding = make_binding(server, IDN, make_certificate(IDN))
    own = make_certificate("imap.example.org")
    apply_wanted(server)
    binding.delete()
    server.listeners.filter(service="imaps").update(certificate=own)
    told = json.loads(run("listeners", "--json"))
    assert told["server"]["host_name"] == "mail.example.org"
    assert told["server"]["is_dovecot_split"] is False
    assert told["pending_changes"] == 2
    imaps = next(item for item in told["listeners"] if item["service"] == "imaps")
    assert (imaps["port"], imaps["is_enabled"], imaps["tls_mode"]) == (993, True, "implicit")
    assert imaps["certificate"]["fingerprint"] == own.fingerprint
    assert not imaps["is_default_certificate"]
    assert "will serve imap.example.org" in imaps["pending"][0]["message"]
    (name,) = told["host_names"]
    assert (name["host_name"], name["certificate"]) == (IDN, None)
    submission = next(item for item in told["listeners"] if item["service"] == "submission")
    assert submission["problems"][0]["code"] == "submission.none_left"
    assert "465" in submission["problems"][0]["message"]


@pytest.mark.django_db
def test_without_a_server_every_command_says_so() -> None:
    for command in (["listeners"], ["listener", "imap", "--enable"], ["certificate_assign", "1"]):
        with pytest.raises(CommandError, match="does not look after a mail server"):
            run(*command)


# listener


def test_enabling_changes_the_row_with_its_event(server: MailServer) -> None:
    told = run("listener", "submissions", "--enable")
    assert server.listeners.get(service="submissions").is_enabled
    event = AuditEvent.objects.get()
    assert (event.verb, event.origin) == ("listener.enabled", "cli")
    assert event.request_id
    assert "  Submission with TLS (465) will be opened." in told
    assert "Apply with: manage.py apply" in told


def test_everything_about_a_listener_can_be_set_at_once(server: MailServer) -> None:
    own = make_certificate("imap.example.org")
    run(
        "listener", "imap", "--disable", "--address", "192.0.2.1", "--port", "1143",
        "--tls-mode", "none", "--certificate", own.fingerprint[:12],
    )  # fmt: skip
    row = server.listeners.get(service="imap")
    assert (row.is_enabled, row.address, row.port, row.tls_mode, row.certificate) == (
        False,
        "192.0.2.1",
        1143,
        "none",
        own,
    )
    run("listener", "imap", "--certificate", "default")
    row.refresh_from_db()
    assert row.certificate is None


def test_login_can_be_dropped_with_the_error_told_and_put_back(server: MailServer) -> None:
    told = run("listener", "submission", "--enable", "--no-login")
    assert "error: Anybody could send mail through port 587" in told
    assert "cannot be applied before the errors are put right" in told
    assert "Apply with" not in told
    run("listener", "submission", "--require-login")
    assert server.listeners.get(service="submission").is_login_required


def test_without_an_option_nothing_changes(server: MailServer) -> None:
    assert "Nothing is pending" in run("listener", "imap")
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["gopher", "--enable"], "There is no service called “gopher”"),
        (["imap", "--disable", "--port", "0"], "Port 0 does not exist"),
        (["imap", "--disable", "--address", "mail"], "is not an IP address"),
        (["smtp", "--tls-mode", "implicit"], "must not require TLS"),
        (["imap", "--no-login"], "always requires one"),
        (["imap", "--certificate", "ffff"], "There is no certificate"),
        (["imap", "--disable", "--certificate", "ab"], "More than one fingerprint"),
    ],
)
def test_what_is_refused_changes_nothing_and_says_why(
    server: MailServer, arguments: list[str], reason: str
) -> None:
    make_certificate(fingerprint="ab1" + "0" * 61)
    make_certificate(fingerprint="ab2" + "0" * 61)
    before = desired_state(server)
    with pytest.raises(CommandError, match=reason) as refused:
        run("listener", *arguments)
    assert refused.value.returncode == 1
    assert desired_state(server) == before
    assert not AuditEvent.objects.exists()


# certificate_assign


def test_a_certificate_is_assigned_to_all_that_was_named(server: MailServer) -> None:
    new = make_certificate("mail.example.org", "imap.example.org")
    told = run(
        "certificate_assign", str(new.pk), "--default", "--service", "imaps",
        "--name", "imap.example.org",
    )  # fmt: skip
    server.refresh_from_db()
    assert server.default_certificate == new
    assert server.listeners.get(service="imaps").certificate == new
    assert SniBinding.objects.get().certificate == new
    assert AuditEvent.objects.get().verb == "certificate.assigned"
    assert "Clients that ask for imap.example.org will be shown mail.example.org." in told


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "Say what to use it for"),
        (["--service", "gopher"], "There is no service"),
        (["--name", "localhost"], "not a full host name"),
    ],
)
def test_an_assignment_that_makes_no_sense_is_refused(
    server: MailServer, arguments: list[str], reason: str
) -> None:
    new = make_certificate()
    with pytest.raises(CommandError, match=reason):
        run("certificate_assign", str(new.pk), *arguments)
    assert not AuditEvent.objects.exists()
