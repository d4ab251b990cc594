"""A certificate takes the place of the one it replaces: pending, in one event, and undone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates.models import Certificate
from mailadmin.deployments.models import Deployment
from mailadmin.listeners.models import Listener
from mailadmin.listeners.selectors import applied_state, desired_state, pending_changes
from mailadmin.listeners.services import restore_state, take_place, undo_change
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
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
ACTOR = make_actor()
FOUND = {"origin": Certificate.Origin.FOUND}


def take(server: MailServer, certificate: Certificate) -> bool:
    return take_place(actor=ACTOR, server=server, certificate=certificate, now=datetime.now(UTC))


def codes(server: MailServer) -> list[str]:
    server.refresh_from_db()
    return [change.code for change in pending_changes(server)]


def beside(row: Certificate) -> Certificate | None:
    row.refresh_from_db()
    return row.companion


@pytest.fixture
def old(db: None) -> Certificate:
    return make_certificate()


@pytest.fixture
def new(old: Certificate) -> Certificate:
    return make_certificate(replaces=old, **FOUND)


def test_every_use_moves_and_nothing_else(old: Certificate, new: Certificate) -> None:
    other = make_certificate("other.example.org")
    server = make_server(default_certificate=old)
    Listener.objects.filter(service="imaps").update(certificate=old)
    Listener.objects.filter(service="pop3s").update(certificate=other)
    make_binding(server, "imap.example.org", old)
    make_binding(server, "other.example.org", other)
    apply_wanted(server)

    assert take(server, new) is True
    state = desired_state(MailServer.objects.get())
    assert state.default_certificate == new.fingerprint
    chosen = {item.service: item.certificate for item in state.listeners}
    assert (chosen["imaps"], chosen["pop3s"], chosen["smtp"]) == (
        new.fingerprint,
        other.fingerprint,
        "",
    )
    bound = {item.host_name: item.certificate for item in state.sni_bindings}
    assert bound == {
        "imap.example.org": new.fingerprint,
        "other.example.org": other.fingerprint,
    }
    event = AuditEvent.objects.get()
    assert event.verb == "certificate.took_place"
    assert set(event.after) == {"server", "imaps", "imap.example.org"}
    assert MailServer.objects.get().applied_state == server.applied_state


def test_all_of_it_is_undone_as_pending_changes_are(old: Certificate, new: Certificate) -> None:
    server = make_server(default_certificate=old)
    make_binding(server, "imap.example.org", old)
    apply_wanted(server)
    take(server, new)
    assert codes(server)
    applied = applied_state(server)
    assert applied is not None
    restore_state(actor=ACTOR, server=server, state=applied)
    assert codes(server) == []


def test_a_second_time_changes_nothing(old: Certificate, new: Certificate) -> None:
    server = make_server(default_certificate=old)
    take(server, new)
    assert take(server, new) is False
    assert AuditEvent.objects.count() == 1


def test_nothing_known_to_be_replaced_is_refused(old: Certificate) -> None:
    server = make_server(default_certificate=old)
    with pytest.raises(ChangeRefusedError, match=r"succession\.none"):
        take(server, make_certificate())


def test_a_deleted_one_takes_no_place(old: Certificate, new: Certificate) -> None:
    server = make_server(default_certificate=old)
    Certificate.objects.filter(pk=new.pk).update(deleted_at=datetime.now(UTC))
    with pytest.raises(ChangeRefusedError, match=r"certificate\.deleted"):
        take(server, new)


# With a companion


@pytest.mark.parametrize("is_default_renewed", [True, False], ids=["the one named", "beside it"])
def test_the_companion_goes_along(is_default_renewed: bool) -> None:
    rsa, ecdsa = make_pair(**FOUND)
    Certificate.objects.filter(pk=ecdsa.pk).update(**FOUND)
    server = make_server(default_certificate=rsa if is_default_renewed else ecdsa)
    new = make_certificate(replaces=rsa, key_description="RSA 2048", **FOUND)

    assert take(server, new) is True
    assert beside(new) == ecdsa
    assert beside(ecdsa) == new
    assert beside(rsa) is None
    wanted = desired_state(MailServer.objects.get())
    assert set(wanted.pair_of(wanted.default_certificate)) == {new.fingerprint, ecdsa.fingerprint}
    event = AuditEvent.objects.get()
    assert event.after[new.fingerprint] == {"served_beside": ecdsa.fingerprint}
    assert event.after[rsa.fingerprint] == {"served_beside": ""}

    applied = applied_state(server)
    assert applied is not None
    assert codes(server) != []
    restore_state(actor=ACTOR, server=server, state=applied)
    assert codes(server) == []
    assert beside(rsa) == ecdsa
    assert beside(new) is None


def test_the_pair_of_one_that_was_beside_is_undone_by_itself() -> None:
    rsa, ecdsa = make_pair(**FOUND)
    Certificate.objects.filter(pk=ecdsa.pk).update(**FOUND)
    server = make_server(default_certificate=ecdsa)
    take(server, make_certificate(replaces=rsa, key_description="RSA 2048", **FOUND))
    server = MailServer.objects.get()
    (change,) = (item for item in pending_changes(server) if item.code.startswith("pair."))
    undo_change(actor=ACTOR, server=server, subject=change.subject, code=change.code)
    assert codes(server) == []
    assert beside(rsa) == ecdsa


def test_another_kind_of_key_takes_the_ports_alone(client_of: ClientOf) -> None:
    rsa, ecdsa = make_pair(**FOUND)
    server = make_server(default_certificate=rsa)
    new = make_certificate(replaces=rsa, **FOUND)
    page = client_of("operator").get(f"/listeners/assign/?certificate={new.pk}").content.decode()
    assert "It cannot stand beside this one" in page
    take(server, new)
    assert beside(rsa) == ecdsa
    assert beside(new) is None
    assert desired_state(MailServer.objects.get()).default_certificate == new.fingerprint


def test_no_place_is_offered_that_taking_would_not_change(client_of: ClientOf) -> None:
    rsa, ecdsa = make_pair(**FOUND)
    server = make_server(default_certificate=ecdsa)
    new = make_certificate(replaces=rsa, **FOUND)
    page = client_of("operator").get(f"/listeners/assign/?certificate={new.pk}").content.decode()
    assert "Use it where the old one is used" not in page
    assert take(server, new) is False


def test_one_that_takes_its_partner_s_place_stands_alone() -> None:
    rsa, ecdsa = make_pair(**FOUND)
    Certificate.objects.filter(pk=ecdsa.pk).update(replaces=rsa, **FOUND)
    server = make_server(default_certificate=rsa)
    take(server, ecdsa)
    assert beside(rsa) is None
    assert beside(ecdsa) is None
    assert rsa.fingerprint not in str(desired_state(MailServer.objects.get()).as_dict())


def test_a_successor_that_has_a_companion_keeps_it() -> None:
    rsa, ecdsa = make_pair(**FOUND)
    new, its_own = make_pair(**FOUND)
    Certificate.objects.filter(pk=new.pk).update(replaces=rsa)
    take(make_server(default_certificate=rsa), new)
    assert beside(new) == its_own
    assert beside(rsa) == ecdsa


def test_an_expired_companion_is_not_taken_along() -> None:
    rsa, ecdsa = make_pair(**FOUND)
    past = datetime.now(UTC) - timedelta(days=1)
    Certificate.objects.filter(pk=ecdsa.pk).update(not_after=past, **FOUND)
    new = make_certificate(replaces=rsa, key_description="RSA 2048", **FOUND)
    take(make_server(default_certificate=rsa), new)
    assert beside(new) is None


# The page and the command


def test_the_page_offers_the_place_with_one_click(
    client_of: ClientOf, old: Certificate, new: Certificate
) -> None:
    make_server(default_certificate=old)
    client = client_of("operator")
    address = f"/listeners/assign/?certificate={new.pk}"
    page = client.get(address).content.decode()
    assert "Use it where the old one is used" in page
    response = client.post(f"/listeners/take-place/?certificate={new.pk}")
    assert response.status_code == 302
    assert response["Location"] == "/deployments/review/"
    assert MailServer.objects.get().default_certificate == new
    assert "Use it where the old one is used" not in client.get(address).content.decode()


def test_one_click_puts_it_where_the_old_one_is_used(
    client_of: ClientOf, old: Certificate, new: Certificate
) -> None:
    make_server(default_certificate=old)
    client = client_of("operator")
    for _ in range(2):
        response = client.post(f"/listeners/put-in-place/?certificate={new.pk}")
        assert response["Location"] == "/deployments/review/"
        assert MailServer.objects.get().default_certificate == new
    assert AuditEvent.objects.filter(verb__startswith="certificate.").count() == 1
    assert Deployment.objects.count() == 0


def test_one_click_puts_it_where_it_fits(client_of: ClientOf, old: Certificate) -> None:
    server = make_server(default_certificate=old)
    own = make_certificate("imap.example.org")
    server.listeners.filter(service="imaps").update(certificate=own)
    both = make_certificate("mail.example.org", "imap.example.org")
    make_binding(server, "imap.example.org", own)
    response = client_of("operator").post(f"/listeners/put-in-place/?certificate={both.pk}")
    assert response["Location"] == "/deployments/review/"
    server.refresh_from_db()
    assert server.default_certificate == both
    assert server.listeners.get(service="imaps").certificate == both
    assert server.sni_bindings.get().certificate == both


def test_what_fits_nowhere_is_asked_for_its_use(client_of: ClientOf, old: Certificate) -> None:
    address = "10.0.0.9"
    lonely = make_certificate(address)
    client = client_of("operator")
    for answer in ("/listeners/", f"/listeners/assign/?certificate={lonely.pk}"):
        response = client.post(f"/listeners/put-in-place/?certificate={lonely.pk}")
        assert response["Location"] == answer
        make_server(default_certificate=old)
    assert client.get(f"/listeners/put-in-place/?certificate={lonely.pk}").status_code == 405


def test_the_page_says_which_companion_goes_along(client_of: ClientOf) -> None:
    rsa, ecdsa = make_pair(**FOUND)
    Certificate.objects.filter(pk=ecdsa.pk).update(**FOUND)
    make_server(default_certificate=rsa)
    new = make_certificate(
        "mail.example.org", "more.example.org", replaces=rsa, key_description="RSA 2048", **FOUND
    )
    page = client_of("operator").get(f"/listeners/assign/?certificate={new.pk}").content.decode()
    assert "so that clients of either kind are still served" in page
    assert "more.example.org" in page


def test_without_a_predecessor_the_page_says_so(client_of: ClientOf, old: Certificate) -> None:
    make_server(default_certificate=old)
    client = client_of("operator")
    lonely = make_certificate()
    response = client.post(f"/listeners/take-place/?certificate={lonely.pk}", follow=True)
    assert "It is not known which certificate this one replaces" in response.content.decode()


def test_who_may_only_read_takes_no_place(
    client_of: ClientOf, old: Certificate, new: Certificate
) -> None:
    make_server(default_certificate=old)
    assert (
        client_of("viewer").post(f"/listeners/take-place/?certificate={new.pk}").status_code == 403
    )
    assert MailServer.objects.get().default_certificate == old


def test_the_command_takes_the_place(old: Certificate, new: Certificate) -> None:
    make_server(default_certificate=old)
    out = StringIO()
    call_command("certificate_assign", str(new.pk), "--take-place", stdout=out)
    assert MailServer.objects.get().default_certificate == new
    assert out.getvalue()
    with pytest.raises(CommandError, match="not known which"):
        call_command("certificate_assign", str(old.pk), "--take-place", stdout=out)
