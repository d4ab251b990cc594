"""Two certificates side by side: pending, undone, gone back to, and on the command line."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.models import Certificate
from mailadmin.listeners.selectors import applied_state, desired_state, pending_changes
from mailadmin.listeners.services import restore_state, undo_change
from mailadmin.listeners.usage import usage_by_certificate
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from mailadmin.servers.services import set_default_certificate
from tests.factories import make_actor
from tests.server_factories import (
    apply_wanted,
    make_binding,
    make_certificate,
    make_pair,
    make_server,
)

pytestmark = pytest.mark.django_db
ClientOf = Callable[[str], Client]


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def codes(server: MailServer) -> list[str]:
    server.refresh_from_db()
    return [change.code for change in pending_changes(server)]


@pytest.fixture
def rsa(db: None) -> Certificate:
    return make_certificate(key_description="RSA 2048", origin=Certificate.Origin.FOUND)


@pytest.fixture
def ecdsa(db: None) -> Certificate:
    return make_certificate(origin=Certificate.Origin.FOUND)


@pytest.fixture
def server(rsa: Certificate) -> MailServer:
    return make_server(default_certificate=rsa)


def join(first: Certificate, second: Certificate) -> None:
    for row, other in ((first, second), (second, first)):
        row.companion = other
        row.save(update_fields=["companion"])


def companion_of(certificate: Certificate) -> Certificate | None:
    return Certificate.objects.get(pk=certificate.pk).companion


# The state


def test_the_wanted_state_carries_the_companions(
    server: MailServer, rsa: Certificate, ecdsa: Certificate
) -> None:
    before = desired_state(server)
    assert [item.key_algorithm for item in before.certificates] == ["rsa"]
    join(rsa, ecdsa)
    server.refresh_from_db()
    state = desired_state(server)
    assert state.pair_of(rsa.fingerprint) == (rsa.fingerprint, ecdsa.fingerprint)
    assert {item.fingerprint: item.key_algorithm for item in state.certificates} == {
        rsa.fingerprint: "rsa",
        ecdsa.fingerprint: "ecdsa",
    }
    assert state.digest != before.digest


def test_more_pairs_cost_no_more_queries(server: MailServer) -> None:
    def cost() -> int:
        server.refresh_from_db()
        with CaptureQueriesContext(connection) as queries:
            desired_state(server)
        return len(queries)

    make_binding(server, "a.example.org", make_pair("a.example.org")[0])
    few = cost()
    for name in ("b.example.org", "c.example.org"):
        make_binding(server, name, make_pair(name)[1])
    assert cost() == few


def test_a_companion_is_used_where_its_certificate_is(
    server: MailServer, rsa: Certificate, ecdsa: Certificate
) -> None:
    join(rsa, ecdsa)
    server.refresh_from_db()
    uses = usage_by_certificate(server)
    assert [use.place for use in uses[ecdsa.fingerprint]] == [
        use.place for use in uses[rsa.fingerprint]
    ]
    assert all(use.is_pending for use in uses[ecdsa.fingerprint])


# Pending, undone, gone back


def test_a_pair_is_pending_and_can_be_undone(
    server: MailServer, rsa: Certificate, ecdsa: Certificate
) -> None:
    join(rsa, ecdsa)
    assert codes(server) == ["pair.made"]
    assert undo_change(actor=make_actor(), server=server, subject=rsa.fingerprint, code="pair.made")
    assert codes(server) == []
    assert (companion_of(rsa), companion_of(ecdsa)) == (None, None)
    event = AuditEvent.objects.latest("pk")
    assert (event.verb, event.object_type, event.object_id) == (
        "change.undone",
        "certificate",
        rsa.fingerprint,
    )
    assert event.before == {"served_beside": ecdsa.fingerprint}
    assert event.after == {"served_beside": ""}


def test_an_applied_pair_that_was_separated_comes_back(
    server: MailServer, rsa: Certificate, ecdsa: Certificate
) -> None:
    join(rsa, ecdsa)
    server.refresh_from_db()
    apply_wanted(server)
    # Separated, and each put beside another.
    for row, key in ((rsa, "ECDSA P-384"), (ecdsa, "RSA 3072")):
        Certificate.objects.filter(pk__in=[rsa.pk, ecdsa.pk], companion=row).update(companion=None)
        join(row, make_certificate(key_description=key))
    assert codes(server) == ["pair.changed"]
    state = applied_state(server)
    assert state is not None
    assert restore_state(actor=make_actor(), server=server, state=state)
    assert (companion_of(rsa), companion_of(ecdsa)) == (ecdsa, rsa)
    assert Certificate.objects.exclude(companion=None).count() == 2
    assert codes(server) == []
    assert not restore_state(actor=make_actor(), server=server, state=state)


def test_going_back_to_a_pair_whose_one_was_deleted_is_refused(
    server: MailServer, rsa: Certificate, ecdsa: Certificate
) -> None:
    join(rsa, ecdsa)
    server.refresh_from_db()
    apply_wanted(server)
    state = desired_state(server)
    Certificate.objects.update(companion=None)
    Certificate.objects.filter(pk=ecdsa.pk).update(deleted_at=rsa.not_before)
    with pytest.raises(ChangeRefusedError) as refused:
        restore_state(actor=make_actor(), server=server, state=state)
    (problem,) = refused.value.problems
    assert (problem.code, problem.params["label"]) == ("certificate.deleted", ecdsa.label)
    assert companion_of(rsa) is None


def test_discarding_what_is_pending_separates_a_new_pair(
    server: MailServer, rsa: Certificate, ecdsa: Certificate
) -> None:
    state = applied_state(server)
    assert state is not None
    join(rsa, ecdsa)
    assert restore_state(actor=make_actor(), server=server, state=state)
    assert codes(server) == []


def test_another_default_leaves_pairs_of_other_certificates_alone(
    server: MailServer, rsa: Certificate
) -> None:
    spare, beside = make_pair("spare.example.org")
    state = applied_state(server)
    assert state is not None
    assert not restore_state(actor=make_actor(), server=server, state=state)
    assert companion_of(spare) == beside
    set_default_certificate(actor=make_actor(), server=server, certificate=spare)
    assert codes(server) == ["default_certificate.changed", "pair.made"]
    assert rsa.companion is None


# The pages


def test_the_listeners_page_shows_both_keys_and_the_pending_pair(
    client_of: ClientOf, server: MailServer, rsa: Certificate, ecdsa: Certificate
) -> None:
    client = client_of("operator")
    make_binding(server, "imap.example.org", ecdsa)
    join(rsa, ecdsa)
    page = client.get("/listeners/").content.decode()
    assert "will be served beside it, to clients that want ECDSA" in page
    row = page[page.index('id="listener-imaps"') :].split("</tr>")[0]
    assert "RSA 2048 /" in row
    assert ecdsa.get_absolute_url() in row
    names = page[page.index("imap.example.org") :]
    assert "ECDSA P-256 /" in names
    undo = {"subject": rsa.fingerprint, "code": "pair.made"}
    client.post("/listeners/undo/", undo)
    assert companion_of(rsa) is None


def test_the_page_of_uses_names_the_companion(
    client_of: ClientOf, server: MailServer, rsa: Certificate, ecdsa: Certificate
) -> None:
    join(rsa, ecdsa)
    page = client_of("operator").get(f"/listeners/assign/?certificate={rsa.pk}").content.decode()
    assert "with its companion" in page
    assert "ECDSA P-256" in page


# The command line


def test_the_command_pairs_says_what_is_pending_and_separates(
    server: MailServer, rsa: Certificate, ecdsa: Certificate
) -> None:
    told = run("certificate_pair", str(rsa.pk), ecdsa.fingerprint[:20])
    assert "1 change is not applied yet:" in told
    assert companion_of(ecdsa) == rsa
    assert AuditEvent.objects.latest("pk").actor_name
    assert "Nothing is pending" in run("certificate_pair", str(ecdsa.pk), "--separate")
    assert companion_of(rsa) is None


def test_the_command_asks_for_yes_when_names_are_missing(
    server: MailServer, rsa: Certificate
) -> None:
    wide = make_certificate("mail.example.org", "imap.example.org", origin="found")
    with pytest.raises(CommandError, match=r"imap\.example\.org.*\(--yes\)"):
        run("certificate_pair", str(rsa.pk), str(wide.pk))
    run("certificate_pair", str(rsa.pk), str(wide.pk), "--yes")
    assert companion_of(rsa) == wide


@pytest.mark.parametrize("arguments", [[], ["2", "--separate"]])
def test_the_command_wants_one_or_the_other(
    server: MailServer, rsa: Certificate, arguments: list[str]
) -> None:
    with pytest.raises(CommandError, match="--separate"):
        run("certificate_pair", str(rsa.pk), *arguments)


def test_the_command_says_why_not(server: MailServer, rsa: Certificate) -> None:
    with pytest.raises(CommandError, match="nothing to separate"):
        run("certificate_pair", str(rsa.pk), "--separate")
    other = make_certificate(key_description="RSA 4096", origin="found")
    with pytest.raises(CommandError, match="one must have an RSA key") as refused:
        run("certificate_pair", str(rsa.pk), str(other.pk))
    assert "--yes" not in str(refused.value)
