"""Reading: the typed state, what is pending, and how many queries that costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mailadmin.certificates.models import Certificate
from mailadmin.listeners.overview import read_overview
from mailadmin.listeners.selectors import (
    applied_state,
    desired_state,
    find_certificates,
    find_listener,
    pending_changes,
    read_wanted,
    state_problems,
)
from mailadmin.listeners.suggestions import suggest_uses
from mailadmin.listeners.usage import coverage_of, usage_by_certificate
from mailadmin.mailconf.services import SERVICES
from mailadmin.servers.models import MailServer
from mailadmin.servers.selectors import current_server
from tests.server_factories import (
    apply_wanted,
    make_binding,
    make_certificate,
    make_server,
)


def test_the_state_has_every_listener_in_the_order_of_the_registry(server: MailServer) -> None:
    state = desired_state(server)
    assert [item.service for item in state.listeners] == list(SERVICES)
    assert state.host_name == "mail.example.org"
    assert not state.listener("submissions").is_enabled


def test_the_state_carries_the_certificates_it_uses_in_public_and_no_others(
    server: MailServer,
) -> None:
    own, named, spare = make_certificate("a.example.org"), make_certificate(), make_certificate()
    server.listeners.filter(service="imaps").update(certificate=own)
    make_binding(server, "b.example.org", named)
    state = desired_state(server)
    assert {item.fingerprint for item in state.certificates} == {
        own.fingerprint,
        named.fingerprint,
        state.default_certificate,
    }
    assert spare.fingerprint not in {item.fingerprint for item in state.certificates}
    carried = state.certificate(own.fingerprint)
    assert carried is not None
    assert (carried.leaf_pem, carried.chain_pem, carried.key_pem) == (
        own.leaf_pem,
        own.chain_pem,
        "",
    )
    assert carried.label == "a.example.org"


def test_the_same_rows_give_the_same_digest_and_the_applied_state_reads_back(
    server: MailServer,
) -> None:
    make_binding(server, "b.example.org", make_certificate())
    make_binding(server, "a.example.org", make_certificate())
    apply_wanted(server)
    applied = applied_state(server)
    assert applied is not None
    assert applied.digest == desired_state(server).digest
    assert not pending_changes(server)


@pytest.mark.django_db
def test_before_the_first_apply_all_that_is_open_is_pending() -> None:
    server = make_server(is_applied=False)
    assert applied_state(server) is None
    found = [(change.code, change.subject) for change in pending_changes(server)]
    assert found == [
        ("default_certificate.changed", "server"),
        *(("listener.opened", name) for name in ("smtp", "imap", "imaps", "pop3", "pop3s")),
    ]


def test_a_changed_row_is_pending_until_it_is_applied(server: MailServer) -> None:
    server.listeners.filter(service="pop3").update(is_enabled=False)
    assert [change.code for change in pending_changes(server)] == ["listener.closed"]
    apply_wanted(server)
    assert not pending_changes(server)


def test_problems_are_those_of_the_rules_at_that_time(server: MailServer) -> None:
    codes = {problem.code for problem in state_problems(server, timezone.now())}
    assert codes == {"submission.none_left"}
    later = timezone.now() + timedelta(days=90)
    assert "certificate.expired" in {problem.code for problem in state_problems(server, later)}


def queries_of(server: MailServer) -> int:
    with CaptureQueriesContext(connection) as captured:
        fresh = current_server()
        assert fresh is not None
        pending_changes(fresh)
        state_problems(fresh, timezone.now())
        read_overview(fresh, timezone.now())
        usage_by_certificate(fresh)
    return len(captured)


def test_reading_costs_the_same_however_many_rows_there_are(server: MailServer) -> None:
    few = queries_of(server)
    for number in range(12):
        make_binding(server, f"m{number}.example.org", make_certificate())
    for row in server.listeners.all():
        row.certificate = make_certificate()
        row.save()
    assert queries_of(server) == few
    assert few <= 9


@pytest.mark.django_db
def test_a_certificate_is_found_by_id_and_by_the_start_of_its_fingerprint() -> None:
    one = make_certificate(fingerprint="ab12" + "0" * 60)
    two = make_certificate(fingerprint="ab34" + "0" * 60)
    make_certificate(fingerprint="ab56" + "0" * 60, deleted_at=datetime.now(UTC))
    assert find_certificates(str(one.pk)) == [one]
    assert find_certificates("AB:12") == [one]
    assert find_certificates("ab") == [one, two]
    assert find_certificates("ab56") == []
    assert find_certificates("") == []
    assert find_certificates("9" * 30) == []


@pytest.mark.django_db
def test_digits_that_are_no_id_are_the_start_of_a_fingerprint() -> None:
    one = make_certificate(fingerprint="987654321" + "0" * 55)
    assert find_certificates("98765432") == [one]


def test_only_known_services_are_found(server: MailServer) -> None:
    assert find_listener(server, "imaps") is not None
    assert find_listener(server, "gopher") is None


def test_before_the_first_apply_two_instances_of_dovecot_are_a_change(db: None) -> None:
    server = make_server(is_applied=False)
    MailServer.objects.update(is_dovecot_split=True)
    server.refresh_from_db()
    assert desired_state(server).is_dovecot_split
    assert "dovecot.split" in [change.code for change in pending_changes(server)]
    assert not read_overview(server, timezone.now()).is_dovecot_split


# What the page shows


def test_the_overview_puts_findings_beside_what_they_are_about(server: MailServer) -> None:
    make_binding(server, "b.example.org", make_certificate("c.example.org"))
    server.listeners.filter(service="imap").update(port=993)
    MailServer.objects.update(tls_profile="modern")
    server.refresh_from_db()
    overview = read_overview(server, timezone.now())
    imaps, imap, name = overview.row("imaps"), overview.row("imap"), overview.names[0]
    assert imaps is not None
    assert imap is not None
    assert [problem.code for problem in imaps.findings.problems] == ["listener.duplicate_port"]
    assert imaps.state == "broken"
    assert imap.state == "pending"
    assert [problem.code for problem in name.findings.problems] == ["sni.name_not_covered"]
    assert [change.code for change in overview.general.changes] == ["tls_profile.changed"]
    assert overview.pending_count == 3
    assert overview.open_count == 5
    assert [change.code for change in overview.changes_of("imap")] == ["listener.moved"]


def test_a_closed_port_is_grey_and_a_warned_one_amber(server: MailServer) -> None:
    overview = read_overview(server, timezone.now())
    states = {row.listener.service: row.state for row in overview.rows}
    assert states["sieve"] == "off"
    assert states["submission"] == "attention"
    assert states["imaps"] == ""


def test_what_is_wrong_with_a_shared_certificate_is_told_once(server: MailServer) -> None:
    overview = read_overview(server, timezone.now() + timedelta(days=90))
    assert [problem.code for problem in overview.general.problems] == ["certificate.expired"]


def test_a_removed_name_is_shown_until_it_is_applied(server: MailServer) -> None:
    binding = make_binding(server, "mail.example.org", make_certificate())
    apply_wanted(server)
    binding.delete()
    (name,) = read_overview(server, timezone.now()).names
    assert name.binding is None
    assert [change.code for change in name.findings.changes] == ["sni.unbound"]


# Where certificates are used


def places(server: MailServer, certificate: Certificate) -> list[tuple[str, bool, bool]]:
    uses = usage_by_certificate(server).get(certificate.fingerprint, ())
    return [
        (use.place.subject or str(use.place.kind), use.is_wanted, use.is_applied) for use in uses
    ]


def test_usage_tells_wanted_from_applied(server: MailServer) -> None:
    old, new = server.default_certificate, make_certificate()
    assert old is not None
    server.listeners.filter(service="imaps").update(certificate=new)
    make_binding(server, "b.example.org", new)
    assert places(server, new) == [("imaps", True, False), ("b.example.org", True, False)]
    assert places(server, old) == [
        ("default", True, True),
        ("smtp", True, True),
        ("imap", True, True),
        ("imaps", False, True),
        ("pop3", True, True),
        ("pop3s", True, True),
    ]


@pytest.mark.django_db
def test_usage_before_the_first_apply_is_all_wanted() -> None:
    server = make_server(services=["smtp"], is_applied=False)
    assert server.default_certificate is not None
    assert places(server, server.default_certificate) == [
        ("default", True, False),
        ("smtp", True, False),
    ]


def test_a_clear_text_port_uses_no_certificate(server: MailServer) -> None:
    server.listeners.filter(service="imap").update(tls_mode="none")
    apply_wanted(server)
    assert server.default_certificate is not None
    used = [place for place, *_ in places(server, server.default_certificate)]
    assert "imap" not in used


def test_coverage_is_by_the_name_mail_programs_use(server: MailServer) -> None:
    make_binding(server, "b.example.net", make_certificate())
    state = desired_state(server)
    wide = coverage_of(["*.example.org", "b.example.net"], state)
    assert wide.is_host_name_covered
    assert [item.service for item in wide.listeners] == ["smtp", "imap", "imaps", "pop3", "pop3s"]
    assert wide.bound_names == ("b.example.net",)
    other = coverage_of(["other.example"], state)
    assert not other.is_host_name_covered
    assert other.listeners == other.bound_names == ()


# What to use a certificate for


def suggested(server: MailServer, certificate: Certificate) -> set[str]:
    found = suggest_uses(certificate, read_wanted(server))
    marked = {item.subject for item in (*found.services, *found.host_names) if item.is_suggested}
    return marked | ({"default"} if found.default.is_suggested else set())


def test_a_certificate_for_the_server_is_suggested_as_the_default(server: MailServer) -> None:
    assert suggested(server, make_certificate("mail.example.org", "a.example.org")) == {"default"}


def test_a_certificate_for_other_names_is_suggested_for_those(server: MailServer) -> None:
    other = make_certificate("a.example.net", "*.example.net", "192.0.2.1", "localhost")
    assert suggested(server, other) == {"a.example.net"}


def test_the_first_certificate_is_suggested_as_the_default_whatever_it_covers(
    server: MailServer,
) -> None:
    server.default_certificate = None
    server.save()
    assert "default" in suggested(server, make_certificate("a.example.net"))


def test_a_renewal_is_suggested_wherever_the_old_one_is(server: MailServer) -> None:
    old = make_certificate("imap.example.org")
    server.listeners.filter(service="imaps").update(certificate=old)
    make_binding(server, "imap.example.org", old)
    new = make_certificate("imap.example.org", "pop.example.org")
    narrow = make_certificate("other.example.org")
    assert suggested(server, new) >= {"imaps", "imap.example.org"}
    assert "imaps" not in suggested(server, narrow)


def test_what_it_is_used_for_already_is_not_suggested_again(server: MailServer) -> None:
    assert server.default_certificate is not None
    found = suggest_uses(server.default_certificate, read_wanted(server))
    assert found.default.is_used
    assert not found.is_anything_suggested


def test_a_port_without_tls_needs_no_certificate(server: MailServer) -> None:
    server.listeners.filter(service="imap").update(tls_mode="none")
    found = suggest_uses(make_certificate(), read_wanted(server))
    assert "imap" not in {item.subject for item in found.services}
