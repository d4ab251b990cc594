"""What a change would break, for whom, and what the log does not tell."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mailadmin.mailconf.maillog.access import CLEAR, LOCAL, SOME_TLS, Services
from mailadmin.mailconf.maillog.foresight import (
    MOST_NAMED,
    Foreseen,
    foresee,
    is_anything_taken,
    is_refused,
    newly_open,
)
from mailadmin.mailconf.maillog.usage import AskedName, Group, LiveSession, Person, Usage
from mailadmin.mailconf.profiles import PROFILES
from mailadmin.mailconf.services import TlsMode
from mailadmin.mailconf.state import DesiredState
from tests.unit.mailconf.builders import (
    all_open,
    bind,
    certificate,
    fingerprint,
    listener,
    make_state,
)

ANNA, BERT = Person("anna", 3, 300, "192.0.2.7"), Person("bert", 1, 200, "192.0.2.8")
OPEN = all_open()


def group(
    services: Services, tls: str, *shown: Person, cipher: str = "", people: int | None = None
) -> Group:
    sessions = sum(person.sessions for person in shown)
    return Group(services, tls, cipher, sessions, people or len(shown), False, shown)


def used(
    *groups: Group, live: tuple[LiveSession, ...] = (), names: tuple[AskedName, ...] = ()
) -> Usage:
    return Usage(0, 400, 1, ("log",), 10, 0, True, groups, names, live)


def changed(service: str, **values: object) -> DesiredState:
    kept = (replace(item, **values) if item.service == service else item for item in OPEN.listeners)
    return replace(OPEN, listeners=tuple(kept))


def told(found: tuple[Foreseen, ...]) -> list[tuple[str, str, int, tuple[str, ...]]]:
    return [(item.code, item.service, item.people, item.others) for item in found]


IN_CLEAR = group(("pop3",), CLEAR, ANNA, BERT)
EITHER = group(("pop3", "pop3s"), SOME_TLS, ANNA)


def test_closing_a_port_names_who_used_it_and_who_may_have() -> None:
    live = (LiveSession("pop3", "192.0.2.7", "anna"), LiveSession("imap", "192.0.2.7", "anna"))
    certain, perhaps = foresee(
        OPEN, changed("pop3", is_enabled=False), used(IN_CLEAR, EITHER, live=live)
    )
    assert told((certain, perhaps)) == [
        ("usage.port_goes", "pop3", 2, ()),
        ("usage.port_goes", "pop3", 1, ("pop3s",)),
    ]
    assert (certain.shown, certain.sessions, certain.is_more) == ((ANNA, BERT), 4, False)
    assert (certain.live, perhaps.live) == (live[:1], ())
    assert (certain.is_certain, perhaps.is_certain) == (True, False)


def test_who_used_one_of_two_that_both_close_is_told_of_once_and_surely() -> None:
    both = replace(
        OPEN,
        listeners=tuple(
            replace(item, is_enabled=item.service not in {"pop3", "pop3s"})
            for item in OPEN.listeners
        ),
    )
    found = foresee(OPEN, both, used(IN_CLEAR, EITHER))
    assert told(found) == [
        ("usage.port_goes", "pop3", 2, ()),
        ("usage.ports_go", "pop3", 1, ("pop3s",)),
    ]
    assert all(item.is_surely_noticed for item in found)


def test_a_port_that_moves_or_is_no_longer_named_goes_too() -> None:
    gone = replace(OPEN, listeners=tuple(i for i in OPEN.listeners if i.service != "pop3"))
    for after in (changed("pop3", port=1110), gone):
        assert told(foresee(OPEN, after, used(IN_CLEAR))) == [("usage.port_goes", "pop3", 2, ())]


def test_who_is_there_now_counts_even_if_the_log_is_silent() -> None:
    live = (LiveSession("pop3", "192.0.2.7"),)
    (found,) = foresee(OPEN, changed("pop3", is_enabled=False), used(live=live))
    assert (found.people, found.sessions, found.live) == (0, 0, live)


def test_nobody_is_told_of_what_nobody_used() -> None:
    assert foresee(OPEN, changed("pop3", is_enabled=False), used()) == ()
    assert foresee(OPEN, changed("imap", is_enabled=False), used(IN_CLEAR)) == ()
    assert foresee(OPEN, OPEN, used(IN_CLEAR)) == ()


def test_demanding_tls_concerns_those_without_it() -> None:
    before = replace(
        OPEN,
        listeners=(
            listener("pop3", tls_mode=TlsMode.NONE),
            listener("smtp", tls_mode=TlsMode.NONE),
        ),
    )
    after = replace(before, listeners=(listener("pop3"), listener("smtp")))
    local = group(("pop3",), LOCAL, ANNA)
    server = group(("smtp",), CLEAR, BERT)
    found = foresee(before, after, used(IN_CLEAR, EITHER, local, server))
    assert told(found) == [("usage.clear_goes", "pop3", 2, ())]


def test_a_stricter_profile_concerns_old_versions_and_says_what_is_unknown() -> None:
    after = replace(OPEN, tls_profile="modern")
    groups = (
        group(("submission",), "TLSv1", ANNA, cipher="AES128-SHA"),
        group(("submission",), "TLSv1.2", ANNA, BERT, cipher="ECDHE-RSA-AES128-GCM-SHA256"),
        group(("submission",), "TLSv1.3", BERT),
        EITHER,
    )
    old, unknown, other = foresee(OPEN, after, used(*groups))
    assert (old.people, old.sessions, old.versions) == (2, 7, ("TLSv1", "TLSv1.2"))
    # Who is in two groups is one person, with both uses.
    assert old.shown[0] == Person("anna", 6, 300, "192.0.2.7")
    assert {item.code for item in (unknown, other)} == {"usage.version_untold"}
    assert {item.service for item in (unknown, other)} == {"pop3", "pop3s"}


def test_a_looser_or_an_unknown_profile_breaks_nobody() -> None:
    modern = replace(OPEN, tls_profile="modern")
    assert foresee(modern, OPEN, used(group(("imap",), "TLSv1", ANNA))) == ()
    odd = replace(OPEN, tls_profile="odd")
    assert foresee(OPEN, odd, used(group(("imap",), "TLSv1", ANNA))) == ()
    assert foresee(odd, OPEN, used(group(("smtp",), "TLSv1", ANNA)))[0].code == "usage.version_goes"


@pytest.mark.parametrize(
    ("profile", "version", "cipher", "is_out"),
    [
        ("intermediate", "SSLv3", "", True),
        ("intermediate", "TLSv1.1", "", True),
        ("intermediate", "TLSv1.2", "", False),
        ("intermediate", "TLSv1.2", "AES128-SHA", True),
        ("intermediate", "TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", False),
        ("intermediate", "TLSv1.3", "TLS_AES_256_GCM_SHA384", False),
        ("modern", "TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", True),
        ("modern", CLEAR, "", False),
    ],
)
def test_which_handshakes_a_profile_refuses(
    profile: str, version: str, cipher: str, *, is_out: bool
) -> None:
    assert is_refused(PROFILES[profile], version, cipher) is is_out


def test_people_beyond_what_is_named_make_the_number_the_least() -> None:
    many = group(("pop3",), CLEAR, ANNA, people=50)
    (found,) = foresee(OPEN, changed("pop3", is_enabled=False), used(many))
    assert (found.people, found.is_more) == (50, True)


def test_a_name_that_no_certificate_covers_any_more_and_clients_ask_for() -> None:
    before = make_state(
        listener("imaps"),
        certificates=(certificate("mail"), certificate("old", "old.example.test")),
        sni_bindings=(bind("old.example.test", "old"),),
    )
    after = replace(before, sni_bindings=())
    old, mail = AskedName("old.example.test", 5, 300), AskedName("mail.example.test", 9, 300)
    never = AskedName("never.example.test", 1, 300)
    goes, missing = foresee(before, after, used(names=(mail, old, never)))
    assert (goes.code, goes.names, goes.sessions) == ("usage.name_goes", (old,), 5)
    assert (missing.code, missing.names) == ("usage.name_missing", (never,))
    assert (goes.is_surely_noticed, missing.is_surely_noticed) == (True, False)
    unknown = replace(before, default_certificate=fingerprint("unknown"))
    assert is_anything_taken(before, unknown)


def test_who_uses_a_port_that_closes_is_not_told_of_its_tls_as_well() -> None:
    old = group(("pop3",), "TLSv1", ANNA)
    after = replace(changed("pop3", is_enabled=False), tls_profile="modern")
    assert told(foresee(OPEN, after, used(old))) == [("usage.port_goes", "pop3", 1, ())]


def test_a_finding_survives_being_stored() -> None:
    live = (LiveSession("pop3", "192.0.2.7", "anna"),)
    after = changed("pop3", is_enabled=False)
    for found in foresee(OPEN, after, used(IN_CLEAR, EITHER, live=live)):
        assert found.port == 110
        assert Foreseen.from_dict(json.loads(json.dumps(found.as_dict()))) == found


def test_of_many_people_only_the_last_ones_are_stored_and_all_are_counted() -> None:
    crowd = [Person(f"u{n}", 1, n, "192.0.2.7") for n in range(MOST_NAMED + 7)]
    (found,) = foresee(OPEN, changed("pop3", is_enabled=False), used(group(("pop3",), "", *crowd)))
    stored = Foreseen.from_dict(found.as_dict())
    assert (stored.people, len(stored.shown)) == (MOST_NAMED + 7, MOST_NAMED)
    assert stored.shown[0].who == f"u{MOST_NAMED + 6}"


def test_it_is_worth_asking_only_if_something_is_taken_away() -> None:
    assert not is_anything_taken(OPEN, OPEN)
    assert not is_anything_taken(changed("pop3", is_enabled=False), OPEN)
    assert is_anything_taken(OPEN, changed("pop3", is_enabled=False))
    assert is_anything_taken(changed("pop3", tls_mode=TlsMode.NONE), OPEN)
    assert is_anything_taken(OPEN, replace(OPEN, tls_profile="modern"))


def test_a_port_is_newly_open_if_nothing_could_be_reached_there() -> None:
    closed, moved = changed("pop3", is_enabled=False), changed("pop3", port=1110)
    assert newly_open(closed, OPEN) == {"pop3"}
    assert newly_open(OPEN, moved) == {"pop3"}
    assert not newly_open(OPEN, closed)
    assert not newly_open(OPEN, changed("pop3", tls_mode=TlsMode.NONE))
