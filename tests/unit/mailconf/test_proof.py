"""The judge: what a port must show, and every way in which it can fail to."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from mailadmin.mailconf import proof
from mailadmin.mailconf.proof import Expectation, Seen, compare, expectations, judge
from mailadmin.mailconf.services import SERVICES, Protocol, TlsMode
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Severity
from tests.unit.mailconf.builders import bind, fingerprint, listener, make_state

MAIL, OFFICE = fingerprint("mail"), fingerprint("office")
REFUSED = "530 5.7.0 Authentication required"


def expect(service: str = "submission", **values: Any) -> Expectation:
    """Return what the service should show when it is open and serves ``mail``."""
    definition = SERVICES[service]
    usual = Expectation(
        service, "192.0.2.1", definition.port, True, definition.usual_tls_mode, fingerprint=MAIL
    )
    return replace(usual, **values)


def see(service: str = "submission", **values: Any) -> Seen:
    """Return a sight that proves the service."""
    usual = Seen(
        service,
        "192.0.2.1",
        SERVICES[service].port,
        is_open=True,
        tls_version="TLSv1.3",
        fingerprint=MAIL,
        is_starttls_offered=True,
        is_clear_login_offered=False,
        reply_without_tls="250 2.1.0 Ok" if service == "smtp" else "530 5.7.0 Must issue STARTTLS",
        reply_without_login="" if service == "smtp" else REFUSED,
    )
    return replace(usual, **values)


def codes(expected: Expectation, seen: Seen) -> list[str]:
    return [item.code for item in judge(expected, seen)]


# What is expected


def test_every_listener_is_asked_without_a_name_and_for_every_bound_one() -> None:
    state = make_state(
        listener("imaps"),
        listener("pop3s", certificate=OFFICE),
        sni_bindings=(bind("a.test", "office"), bind("b.test", "mail")),
    )
    found = [(item.service, item.sni_name, item.fingerprint) for item in expectations(state)]
    assert found == [
        ("imaps", "", MAIL),
        ("imaps", "a.test", OFFICE),
        ("imaps", "b.test", MAIL),
        ("pop3s", "", OFFICE),
        ("pop3s", "a.test", OFFICE),
        ("pop3s", "b.test", MAIL),
    ]


@pytest.mark.parametrize("values", [{"is_enabled": False}, {"tls_mode": TlsMode.NONE}])
def test_where_no_tls_is_spoken_no_certificate_and_no_name_is_expected(
    values: dict[str, Any],
) -> None:
    state = make_state(listener("imap", **values), sni_bindings=(bind("a.test", "mail"),))
    (expected,) = expectations(state)
    assert (expected.fingerprint, expected.sni_name) == ("", "")
    assert expected.is_open is values.get("is_enabled", True)


def test_a_listener_on_every_address_is_asked_on_the_loopback() -> None:
    assert expect(address="*").target == ("127.0.0.1", 587)
    assert expect(address="2001:db8::1").target == ("2001:db8::1", 587)


def test_an_expectation_knows_its_conversation_and_its_key() -> None:
    expected = expect("sieve", sni_name="a.test")
    assert expected.protocol is Protocol.SIEVE
    assert expected.key == ("sieve", "192.0.2.1", 4190, "a.test", "")
    assert replace(expected, key_algorithm="rsa").key != expected.key


def test_an_expectation_survives_json() -> None:
    expected = expect(sni_name="a.test")
    assert Expectation.from_dict(json.loads(json.dumps(expected.as_dict()))) == expected


@pytest.mark.parametrize("spoilt", [{"tls_mode": "ssl3"}, {"more": 1}])
def test_another_form_of_an_expectation_is_refused(spoilt: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        Expectation.from_dict(expect().as_dict() | spoilt)
    with pytest.raises(KeyError):
        Expectation.from_dict({})


def test_what_was_seen_survives_json() -> None:
    seen = see(
        certificate={"label": "mail"},
        chain=({"label": "intermediate"},),
        dialogue=(("server", "220 hello"), ("client", "EHLO x")),
        elapsed_ms=12,
    )
    assert Seen.from_dict(json.loads(json.dumps(seen.as_dict()))) == seen


def test_what_a_newer_agent_says_as_well_is_left_out() -> None:
    assert Seen.from_dict(see().as_dict() | {"colour": "green"}) == see()
    assert Seen.from_dict({"service": "imap", "address": "*", "port": 143}) == Seen(
        "imap", "*", 143
    )


def test_what_was_not_seen_proves_nothing() -> None:
    nothing = Seen.from_dict({"service": "imap", "address": "*", "port": 143})
    assert codes(expect("imap"), nothing) == ["probe.closed"]


# The judgement


@pytest.mark.parametrize("service", SERVICES)
def test_a_port_that_shows_all_is_proven(service: str) -> None:
    assert judge(expect(service), see(service)) == []


BREACHES: dict[str, tuple[Expectation, Seen]] = {
    "probe.closed": (expect(), see(is_open=False, error_text="refused")),
    "probe.timeout": (expect(), see(error="probe.timeout")),
    "probe.still_open": (expect(is_open=False), see()),
    "probe.wrong_greeting": (expect(), see(error="probe.wrong_greeting")),
    "probe.too_many": (expect(), see(error="probe.too_many")),
    "probe.tls_failed": (expect(), see(error="probe.tls_failed")),
    "probe.starttls_missing": (expect(), see(error="probe.starttls_missing")),
    "probe.other_certificate": (expect(), see(fingerprint=OFFICE)),
    "probe.mail_without_login": (expect(), see(reply_without_login="250 2.1.5 Ok")),
    "probe.login_in_clear": (expect(), see(is_clear_login_offered=True)),
    "probe.tls_required": (expect("smtp"), see("smtp", reply_without_tls="530 5.7.0 STARTTLS")),
    "probe.tls_not_required": (expect(), see(reply_without_tls="250 2.1.0 Ok")),
}


def test_many_names_are_watched_on_one_open_port_of_each_daemon() -> None:
    state = make_state(
        listener("smtp", is_enabled=False),
        listener("submission"),
        listener("submissions"),
        listener("imap"),
        listener("imaps"),
        sni_bindings=tuple(bind(f"n{number}.test", "mail") for number in range(20)),
    )
    every = expectations(state)
    fewer = proof.on_fewer_ports(every)
    assert len(every) == 1 + 4 * 21
    assert len(fewer) == 5 + 2 * 20
    assert {item.service for item in fewer if item.sni_name} == {"submission", "imap"}
    few = every[:64]
    assert proof.on_fewer_ports(few) == few


def test_a_mail_server_that_turns_us_away_is_quoted() -> None:
    words = "421 4.7.0 Error: too many connections"
    problem = proof.turned_away(see(error="probe.too_many", error_text=words))
    assert (problem.code, problem.subject) == ("probe.too_many", "submission")
    assert problem.params == {"address": "192.0.2.1", "port": 587, "detail": words}


def test_every_code_of_the_table_is_tested() -> None:
    documented = set(re.findall(r"^(probe\.[a-z_]+) ", proof.__doc__ or "", re.MULTILINE))
    assert BREACHES.keys() | {"probe.not_as_before"} == documented


@pytest.mark.parametrize("code", BREACHES)
def test_a_difference_is_an_error_and_the_only_one(code: str) -> None:
    (problem,) = judge(*BREACHES[code])
    expected = BREACHES[code][0]
    assert (problem.code, problem.severity) == (code, Severity.ERROR)
    assert problem.subject == expected.service
    assert problem.params["address"] == "192.0.2.1"
    assert problem.params["port"] == expected.port
    assert "sni_name" not in problem.params


def test_a_closed_port_that_is_closed_is_proven() -> None:
    assert codes(expect(is_open=False), see(is_open=False, error="probe.tls_failed")) == []


def test_the_name_that_was_asked_for_is_told() -> None:
    (problem,) = judge(expect(sni_name="a.test"), see(fingerprint=OFFICE))
    assert problem.params["sni_name"] == "a.test"


def test_another_certificate_is_told_by_both_fingerprints_and_its_label() -> None:
    (problem,) = judge(expect(), see(fingerprint=OFFICE, certificate={"label": "office"}))
    assert problem.params["wanted"] == MAIL
    assert problem.params["found"] == OFFICE
    assert problem.params["label"] == "office"


def test_no_certificate_at_all_is_another_one() -> None:
    assert codes(expect(), see(fingerprint="")) == ["probe.other_certificate"]


def test_where_no_certificate_is_expected_any_will_do() -> None:
    assert codes(expect("imap", fingerprint="", tls_mode=TlsMode.NONE), see("imap")) == []


def test_after_a_failed_handshake_the_certificate_is_not_judged() -> None:
    seen = see(error="probe.tls_failed", error_text="alert", fingerprint="")
    (problem,) = judge(expect(), seen)
    assert problem.params["detail"] == "alert"


def test_policy_is_judged_beside_the_handshake() -> None:
    seen = see(fingerprint=OFFICE, is_clear_login_offered=True, reply_without_login="250 Ok")
    assert codes(expect(), seen) == [
        "probe.other_certificate",
        "probe.login_in_clear",
        "probe.mail_without_login",
    ]


@pytest.mark.parametrize("reply", ["530 5.7.0 no", "554 5.7.1 no", "550 no", ""])
def test_any_lasting_refusal_of_mail_without_login_is_one(reply: str) -> None:
    assert codes(expect("submissions"), see("submissions", reply_without_login=reply)) == []


@pytest.mark.parametrize("reply", ["250 Ok", "354 Go on", "451 later", "421 busy"])
def test_anything_else_is_no_refusal(reply: str) -> None:
    seen = see("submissions", reply_without_login=reply)
    assert codes(expect("submissions"), seen) == ["probe.mail_without_login"]


def test_port_25_takes_mail_without_login_and_without_tls() -> None:
    seen = see("smtp", reply_without_login="250 Ok", reply_without_tls="250 Ok")
    assert codes(expect("smtp"), seen) == []


def test_a_login_in_clear_is_judged_on_port_25_too() -> None:
    assert codes(expect("smtp"), see("smtp", is_clear_login_offered=True)) == [
        "probe.login_in_clear"
    ]


@pytest.mark.parametrize("service", ["imap", "pop3", "sieve"])
@pytest.mark.parametrize(("is_offered", "count"), [(True, 1), (False, 0), (None, 0)])
def test_a_login_in_clear_is_judged_where_starttls_is_wanted(
    service: str, is_offered: bool | None, count: int
) -> None:
    assert len(judge(expect(service), see(service, is_clear_login_offered=is_offered))) == count
    clear = expect(service, tls_mode=TlsMode.NONE)
    assert judge(clear, see(service, is_clear_login_offered=is_offered)) == []


def test_replies_of_smtp_say_nothing_about_another_protocol() -> None:
    seen = see("imap", reply_without_tls="250 Ok", reply_without_login="250 Ok")
    assert codes(expect("imap"), seen) == []


# After a rollback


def test_a_port_that_shows_what_it_showed_is_as_before() -> None:
    assert compare(see(), see(cipher="another", elapsed_ms=99)) is None
    assert compare(see(is_open=False), see(is_open=False)) is None


@pytest.mark.parametrize(
    "values", [{"is_open": False}, {"fingerprint": OFFICE}, {"error": "probe.tls_failed"}]
)
def test_a_port_that_shows_something_else_is_told(values: dict[str, Any]) -> None:
    now = see(error_text="why", **values)
    problem = compare(see(), now)
    assert problem is not None
    assert (problem.code, problem.subject) == ("probe.not_as_before", "submission")
    assert problem.params["was_open"] is True
    assert problem.params["is_open"] is now.is_open
    assert problem.params["was"] == MAIL
    assert problem.params["found"] == now.fingerprint
    assert problem.params["detail"] == "why"
    assert "sni_name" not in problem.params


def test_a_name_that_is_shown_something_else_is_told() -> None:
    problem = compare(see(), see(fingerprint=OFFICE, sni_name="imap.example.test"))
    assert problem is not None
    assert problem.params["sni_name"] == "imap.example.test"


def test_a_state_without_listeners_expects_nothing() -> None:
    assert expectations(DesiredState("mail.test", ())) == ()


def test_what_was_seen_answers_one_expectation() -> None:
    for item in expectations(make_state(listener("imaps"), listener("pop3s"))):
        seen = Seen(item.service, item.address, item.port, item.sni_name)
        assert seen.key == item.key
