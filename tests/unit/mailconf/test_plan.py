"""What lies between two states: one code for each difference, and none for what is equal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailadmin.mailconf.plan import SERVER, Change, Effect, describe_changes
from mailadmin.mailconf.services import SERVICES, TlsMode
from mailadmin.mailconf.state import DesiredState
from tests.unit.mailconf.builders import (
    all_open,
    bind,
    certificate,
    fingerprint,
    listener,
    make_state,
)

MAIL, OFFICE = fingerprint("mail"), fingerprint("office")
TWO = (certificate("mail"), certificate("office"))


def codes(before: DesiredState, after: DesiredState) -> list[tuple[str, Effect, str]]:
    return [(item.code, item.effect, item.subject) for item in describe_changes(before, after)]


def one_change(before: DesiredState, after: DesiredState) -> Change:
    (change,) = describe_changes(before, after)
    return change


def imap(**values: object) -> DesiredState:
    return make_state(listener("imap", **values), certificates=TWO)


def test_nothing_changes_between_equal_states() -> None:
    assert describe_changes(all_open(), all_open()) == ()


def test_a_change_has_a_json_form() -> None:
    assert Change("a.b", Effect.OPENS, "imap", {"port": 1}).as_dict() == {
        "code": "a.b",
        "effect": "opens",
        "subject": "imap",
        "params": {"port": 1},
    }


def test_another_name_of_the_server_is_told() -> None:
    change = one_change(imap(), replace(imap(), host_name="mx.test"))
    assert (change.code, change.effect, change.subject) == (
        "host_name.changed",
        Effect.OTHER,
        SERVER,
    )
    assert change.params == {"before": "mail.example.test", "after": "mx.test"}


@pytest.mark.parametrize(
    ("profile", "effect"), [("modern", Effect.STRICTER), ("intermediate", Effect.LOOSER)]
)
def test_another_profile_is_stricter_or_looser(profile: str, effect: Effect) -> None:
    other = "modern" if profile == "intermediate" else "intermediate"
    before, after = replace(imap(), tls_profile=other), replace(imap(), tls_profile=profile)
    assert codes(before, after) == [("tls_profile.changed", effect, SERVER)]


@pytest.mark.parametrize(("is_split", "code"), [(True, "dovecot.split"), (False, "dovecot.joined")])
def test_one_dovecot_becomes_two_or_two_one(is_split: bool, code: str) -> None:
    before = replace(imap(), is_dovecot_split=not is_split)
    after = replace(imap(), is_dovecot_split=is_split)
    assert codes(before, after) == [(code, Effect.OTHER, SERVER)]


def test_another_default_certificate_is_told_once_with_both_labels() -> None:
    before = all_open(certificates=TWO)
    change = one_change(before, replace(before, default_certificate=OFFICE))
    assert change.code == "default_certificate.changed"
    assert change.params == {
        "before": "mail",
        "before_fingerprint": MAIL,
        "after": "office",
        "after_fingerprint": OFFICE,
    }


def test_a_certificate_that_a_state_does_not_carry_has_no_label() -> None:
    change = one_change(imap(), replace(imap(), default_certificate="x"))
    assert (change.params["after"], change.params["after_fingerprint"]) == ("", "x")


def test_opening_and_closing_are_told_with_the_place() -> None:
    shut, opened = imap(is_enabled=False), imap()
    assert codes(shut, opened) == [("listener.opened", Effect.OPENS, "imap")]
    assert codes(opened, shut) == [("listener.closed", Effect.CLOSES, "imap")]
    assert one_change(opened, shut).params == {"address": "*", "port": 143}


def test_a_listener_new_to_the_state_is_told_when_it_is_open() -> None:
    assert codes(make_state(), imap()) == [("listener.opened", Effect.OPENS, "imap")]
    assert codes(make_state(), imap(is_enabled=False)) == []


@pytest.mark.parametrize("values", [{"port": 2143}, {"address": "192.0.2.1"}])
def test_moving_is_told_with_both_places(values: dict[str, object]) -> None:
    change = one_change(imap(), imap(**values))
    assert (change.code, change.effect) == ("listener.moved", Effect.OTHER)
    assert change.params == {
        "address": "*",
        "port": 143,
        "old_address": "*",
        "old_port": 143,
        **values,
    }


def test_a_listener_that_closes_is_told_where_it_was() -> None:
    changes = describe_changes(imap(), imap(is_enabled=False, port=2143))
    assert [item.code for item in changes] == ["listener.closed", "listener.moved"]
    assert changes[0].params["port"] == 143


def test_another_tls_mode_is_stricter_or_looser() -> None:
    clear = imap(tls_mode=TlsMode.NONE)
    assert codes(imap(), clear) == [("listener.tls_mode_changed", Effect.LOOSER, "imap")]
    assert codes(clear, imap()) == [("listener.tls_mode_changed", Effect.STRICTER, "imap")]
    assert one_change(imap(), clear).params == {"before": "starttls", "after": "none"}


def test_the_login_is_told_both_ways() -> None:
    free = imap(is_login_required=False)
    assert codes(imap(), free) == [("listener.login_dropped", Effect.LOOSER, "imap")]
    assert codes(free, imap()) == [("listener.login_required", Effect.STRICTER, "imap")]


def test_a_certificate_of_its_own_is_told_and_so_is_going_back() -> None:
    own = imap(certificate=OFFICE)
    change = one_change(imap(), own)
    assert (change.code, change.effect) == ("listener.certificate_changed", Effect.CERTIFICATE)
    assert (change.params["before"], change.params["after"]) == ("mail", "office")
    assert change.params["is_default"] == 0
    assert one_change(own, imap()).params["is_default"] == 1


def test_names_are_told_in_order_with_what_they_are_shown() -> None:
    none = make_state(certificates=TWO)
    some = replace(none, sni_bindings=(bind("b.test", "mail"), bind("a.test", "mail")))
    other = replace(none, sni_bindings=(bind("b.test", "office"), bind("a.test", "mail")))
    assert codes(none, some) == [
        ("sni.bound", Effect.CERTIFICATE, "a.test"),
        ("sni.bound", Effect.CERTIFICATE, "b.test"),
    ]
    assert codes(some, none)[0] == ("sni.unbound", Effect.CERTIFICATE, "a.test")
    assert codes(some, other) == [("sni.changed", Effect.CERTIFICATE, "b.test")]
    assert one_change(some, other).params["after"] == "office"


def with_chain(chain_pem: str) -> DesiredState:
    return make_state(listener("imap"), certificates=(certificate("mail", chain_pem=chain_pem),))


@pytest.mark.parametrize(
    ("before", "after", "has_chain"), [("", "new", 1), ("old", "new", 1), ("old", "", 0)]
)
def test_another_chain_of_the_same_leaf_is_told(before: str, after: str, has_chain: int) -> None:
    change = one_change(with_chain(before), with_chain(after))
    assert (change.code, change.subject) == ("certificate.chain_changed", MAIL)
    assert change.params == {"label": "mail", "has_chain": has_chain}


def test_a_chain_is_compared_with_what_a_snapshot_remembers() -> None:
    applied = DesiredState.from_dict(with_chain("old").as_dict())
    assert describe_changes(applied, with_chain("old")) == ()
    assert codes(applied, with_chain("new")) == [
        ("certificate.chain_changed", Effect.CERTIFICATE, MAIL)
    ]


def test_the_chain_of_a_certificate_that_was_not_served_is_no_news() -> None:
    before = replace(with_chain("old"), default_certificate="")
    assert [item.code for item in describe_changes(before, with_chain("new"))] == [
        "default_certificate.changed"
    ]
    gone = replace(with_chain("old"), certificates=())
    assert describe_changes(gone, with_chain("new")) == ()
    assert describe_changes(with_chain("new"), gone) == ()


def test_changes_come_in_the_order_of_the_registry() -> None:
    shut = make_state(*(listener(name, is_enabled=False) for name in SERVICES))
    assert [item.subject for item in describe_changes(shut, all_open())] == list(SERVICES)
