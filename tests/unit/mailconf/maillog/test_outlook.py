"""What a reviewer is told: who would notice, what nobody used, and what nobody can know."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mailadmin.mailconf.maillog.access import CLEAR, SOME_TLS
from mailadmin.mailconf.maillog.foresight import Taking
from mailadmin.mailconf.maillog.outlook import Outlook, look_ahead
from mailadmin.mailconf.maillog.usage import AskedName, Group, Person, Usage
from mailadmin.mailconf.services import TlsMode
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Problem, Severity
from tests.unit.mailconf.builders import all_open, bind, certificate, listener, make_state

DAY = 86_400
OPEN = all_open()
READ = Usage(10 * DAY, 40 * DAY, 10 * DAY, ("/var/log/mail.log",), 7, 0, True, ())
ANNA = Group(("pop3",), CLEAR, "", 3, 1, False, (Person("anna", 3, 300, "192.0.2.7"),))


def closed(*services: str) -> DesiredState:
    kept = (replace(i, is_enabled=i.service not in services) for i in OPEN.listeners)
    return replace(OPEN, listeners=tuple(kept))


def codes(outlook: Outlook) -> list[str]:
    return [problem.code for problem in outlook.problems]


def test_what_goes_is_either_noticed_or_said_to_be_unused() -> None:
    outlook = look_ahead(OPEN, closed("pop3", "pop3s"), replace(READ, groups=(ANNA,)))
    assert [(item.code, item.service) for item in outlook.findings] == [("usage.port_goes", "pop3")]
    assert outlook.unused == (Taking("usage.port_goes", "pop3s", 995),)
    assert outlook.is_whole


def test_what_somebody_used_by_one_of_two_that_both_close_is_not_unused() -> None:
    either = replace(ANNA, services=("pop3", "pop3s"), tls=SOME_TLS)
    outlook = look_ahead(OPEN, closed("pop3", "pop3s"), replace(READ, groups=(either,)))
    assert [item.code for item in outlook.findings] == ["usage.ports_go"]
    assert outlook.unused == ()


def test_a_log_that_could_not_be_read_says_nothing_of_nobody() -> None:
    unread = Problem("usage.no_log", Severity.WARNING, "/var/log/mail.log")
    outlook = look_ahead(OPEN, closed("pop3"), replace(READ, sources=(), problems=(unread,)))
    assert (outlook.unused, outlook.is_whole) == ((), False)


def test_a_version_that_the_log_does_not_tell_is_not_unused() -> None:
    untold = replace(ANNA, services=("imaps",), tls=SOME_TLS)
    outlook = look_ahead(OPEN, replace(OPEN, tls_profile="modern"), replace(READ, groups=(untold,)))
    assert [item.code for item in outlook.findings] == ["usage.version_untold"]
    unused = {item.service for item in outlook.unused}
    assert unused == {item.service for item in OPEN.enabled_listeners} - {"imaps"}


def test_who_sends_in_clear_to_port_25_is_not_refused() -> None:
    kept = (
        replace(i, tls_mode=TlsMode.NONE) if TlsMode.NONE in i.definition.tls_modes else i
        for i in OPEN.listeners
    )
    outlook = look_ahead(replace(OPEN, listeners=tuple(kept)), OPEN, READ)
    assert {item.code for item in outlook.unused} == {"usage.clear_goes"}
    assert "smtp" not in {item.service for item in outlook.unused}


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, []),
        ({"is_complete": False}, ["usage.incomplete"]),
        ({"reaches_to": 12 * DAY}, ["usage.log_short"]),
        ({"reaches_to": 0}, ["usage.log_empty"]),
        ({"reaches_to": 0, "sources": ()}, []),
    ],
)
def test_a_gap_in_the_logs_is_told(values: dict[str, object], wanted: list[str]) -> None:
    outlook = look_ahead(OPEN, closed("pop3"), replace(READ, **values))  # type: ignore[arg-type]
    assert codes(outlook) == wanted
    assert outlook.is_whole is not bool(wanted)


def test_without_names_in_the_log_nobody_can_tell_who_uses_one() -> None:
    before = make_state(
        listener("imaps"),
        certificates=(certificate("mail"), certificate("old", "old.example.test")),
        sni_bindings=(bind("old.example.test", "old"),),
    )
    after = replace(before, sni_bindings=())
    silent = look_ahead(before, after, READ)
    assert (codes(silent), silent.unused) == (["usage.names_untold"], ())
    other = replace(READ, names=(AskedName("mail.example.test", 4, 300),))
    told = look_ahead(before, after, other)
    assert (codes(told), told.unused) == ([], (Taking("usage.name_goes"),))


def test_an_outlook_survives_being_stored() -> None:
    usage = replace(READ, groups=(ANNA,), reaches_to=20 * DAY)
    outlook = look_ahead(OPEN, closed("pop3", "pop3s"), usage)
    assert Outlook.from_dict(json.loads(json.dumps(outlook.as_dict()))) == outlook
