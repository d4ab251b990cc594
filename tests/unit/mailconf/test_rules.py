"""Every rule, both ways: what breaks it, and what does not."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from mailadmin.mailconf import rules
from mailadmin.mailconf.rules import check_state, is_address, judge_values
from mailadmin.mailconf.services import SERVICES, TlsMode
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Severity
from tests.unit.mailconf.builders import (
    NOW,
    all_open,
    bind,
    certificate,
    fingerprint,
    listener,
    make_state,
    pair_up,
)

MAIL, OFFICE = fingerprint("mail"), fingerprint("office")
TWO = (certificate("mail"), certificate("office"))
PAIR = pair_up(certificate("mail"), certificate("mail-ec"))
SOUND = all_open(certificates=TWO)
NAMED = replace(SOUND, sni_bindings=(bind("mail.example.test", "office"),))
EVERY_IPV4 = str(ipaddress.IPv4Address(0))


def changed(service: str, state: DesiredState = SOUND, **values: object) -> DesiredState:
    """Return the state with something else about one listener."""
    return replace(
        state,
        listeners=tuple(
            replace(item, **values) if item.service == service else item for item in state.listeners
        ),
    )


def with_mail(**values: object) -> DesiredState:
    """Return the state with something else about its certificate."""
    return replace(SOUND, certificates=(certificate("mail", **values),))


def found(state: DesiredState) -> set[tuple[str, str, str]]:
    """Return what the state breaks: code, severity, subject."""
    return {(item.code, str(item.severity), item.subject) for item in check_state(state, NOW)}


def test_a_sound_state_breaks_nothing() -> None:
    assert found(SOUND) == set()
    assert found(NAMED) == set()


BREACHES: dict[str, tuple[DesiredState, str, str]] = {
    "listener.duplicate_port": (changed("submission", port=465), "error", "submission"),
    "listener.port_invalid": (changed("imap", port=0), "error", "imap"),
    "listener.address_invalid": (changed("imap", address="mail.test"), "error", "imap"),
    "listener.tls_mode_impossible": (
        changed("imaps", tls_mode=TlsMode.STARTTLS),
        "error",
        "imaps",
    ),
    "smtp.login_required": (changed("smtp", is_login_required=True), "error", "smtp"),
    "submission.without_login": (
        changed("submissions", is_login_required=False),
        "error",
        "submissions",
    ),
    "submission.without_tls": (
        changed("submission", tls_mode=TlsMode.NONE),
        "error",
        "submission",
    ),
    "certificate.none_assigned": (
        make_state(listener("imaps"), listener("pop3s", certificate=MAIL), default_certificate=""),
        "error",
        "imaps",
    ),
    "certificate.unknown": (replace(SOUND, certificates=()), "error", MAIL),
    "certificate.expired": (with_mail(not_after=NOW), "error", MAIL),
    "certificate.not_yet_valid": (with_mail(not_before=NOW + timedelta(seconds=1)), "error", MAIL),
    "certificate.shared_by_protocol": (changed("imaps", certificate=OFFICE), "error", "imaps"),
    "certificate.own_with_sni": (
        changed("imap", changed("imaps", NAMED, certificate=OFFICE), certificate=OFFICE),
        "error",
        "imaps",
    ),
    "pair.same_algorithm": (
        replace(
            SOUND,
            certificates=(
                PAIR["mail"],
                replace(PAIR["mail-ec"], key_algorithm="rsa"),
            ),
        ),
        "error",
        MAIL,
    ),
    "pair.one_sided": (
        replace(SOUND, certificates=(PAIR["mail"], replace(PAIR["mail-ec"], companion=""))),
        "error",
        MAIL,
    ),
    "sni.name_invalid": (
        replace(SOUND, sni_bindings=(bind("../x", "mail"),)),
        "error",
        "../x",
    ),
    "profile.unknown": (replace(SOUND, tls_profile="old"), "error", "old"),
    "smtp.without_tls": (changed("smtp", tls_mode=TlsMode.NONE), "warning", "smtp"),
    "login.in_clear": (changed("sieve", tls_mode=TlsMode.NONE), "warning", "sieve"),
    "certificate.name_not_covered": (with_mail(names=("other.test",)), "warning", "smtp"),
    "sni.name_not_covered": (
        replace(SOUND, sni_bindings=(bind("a.test", "office"),)),
        "warning",
        "a.test",
    ),
    "imap.none_left": (
        changed("imap", changed("imaps", is_enabled=False), is_enabled=False),
        "warning",
        "imap",
    ),
    "submission.none_left": (
        changed("submission", changed("submissions", is_enabled=False), is_enabled=False),
        "warning",
        "submission",
    ),
    "smtp.closed": (changed("smtp", is_enabled=False), "warning", "smtp"),
}


def documented() -> dict[str, str]:
    """Return the table of the module: severity by code."""
    rows = re.findall(r"^([a-z_]+\.[a-z_]+) +(error|warning) ", rules.__doc__ or "", re.MULTILINE)
    return dict(rows)


def test_every_rule_of_the_table_is_tested() -> None:
    assert {code: severity for code, (_, severity, _) in BREACHES.items()} == documented()


@pytest.mark.parametrize("code", BREACHES)
def test_a_breach_is_found(code: str) -> None:
    state, severity, subject = BREACHES[code]
    assert (code, severity, subject) in found(state)


# No certificate covers an impossible name, so that one is never alone.
TOGETHER = {"sni.name_invalid"}


@pytest.mark.parametrize("code", sorted(BREACHES.keys() - TOGETHER))
def test_a_breach_is_nothing_else_as_well(code: str) -> None:
    state, *_ = BREACHES[code]
    assert {item.code for item in check_state(state, NOW)} == {code}


def test_errors_come_before_warnings() -> None:
    state = changed("smtp", replace(SOUND, tls_profile="old"), is_enabled=False)
    state = changed("imap", state, port=0)
    severities = [item.severity for item in check_state(state, NOW)]
    assert severities == [Severity.ERROR, Severity.ERROR, Severity.WARNING]


# Listeners


@pytest.mark.parametrize("text", ["*", "192.0.2.1", "::1", "2001:db8::25", EVERY_IPV4])
def test_an_address_is_any_or_one(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize(
    "text", ["", "mail.test", "192.0.2.256", "192.0.2.0/24", "[::1]", "fe80::1%eth0", "**", " *"]
)
def test_anything_else_is_no_address(text: str) -> None:
    assert not is_address(text)


@pytest.mark.parametrize("port", [1, 65535])
def test_the_outermost_ports_are_ports(port: int) -> None:
    assert list(judge_values(listener("imap", port=port))) == []


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_what_is_outside_is_no_port(port: int) -> None:
    (problem,) = judge_values(listener("imap", port=port))
    assert (problem.code, problem.params) == ("listener.port_invalid", {"port": port})


def test_values_are_judged_while_a_listener_is_closed() -> None:
    state = changed("imap", changed("imap", port=0), is_enabled=False)
    assert ("listener.port_invalid", "error", "imap") in found(state)


def test_decisions_are_not_judged_while_a_listener_is_closed() -> None:
    state = make_state(
        listener("smtp", is_login_required=True, is_enabled=False),
        listener("submissions", is_login_required=False, is_enabled=False),
        listener("submission", tls_mode=TlsMode.NONE, is_enabled=False),
        listener("imap", tls_mode=TlsMode.NONE, is_enabled=False),
        listener("imaps", certificate="unknown", is_enabled=False),
        listener("pop3", is_login_required=False, is_enabled=False),
    )
    assert {code for code, *_ in found(state)} == {
        "smtp.closed",
        "imap.none_left",
        "submission.none_left",
    }


@pytest.mark.parametrize(
    ("one", "other", "is_clash"),
    [
        ("*", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.1", True),
        (EVERY_IPV4, "192.0.2.1", True),
        ("::1", "0:0:0:0:0:0:0:1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::1", False),
    ],
)
def test_a_port_is_taken_once_for_each_address(one: str, other: str, is_clash: bool) -> None:
    state = changed("imap", changed("imaps", address=one, port=1000), address=other, port=1000)
    codes = {code for code, *_ in found(state)}
    assert codes == ({"listener.duplicate_port"} if is_clash else set())


def test_a_closed_listener_takes_no_port() -> None:
    assert found(changed("submission", changed("submission", port=465), is_enabled=False)) == set()


def test_of_three_on_one_port_each_pair_is_told() -> None:
    state = changed("pop3", changed("pop3s", changed("imap", port=993), port=993), port=993)
    pairs = [
        (item.subject, item.params["other"])
        for item in check_state(state, NOW)
        if item.code == "listener.duplicate_port"
    ]
    assert len(pairs) == 6


# Certificates


def test_a_certificate_ends_with_its_last_second() -> None:
    assert found(with_mail(not_after=NOW + timedelta(seconds=1))) == set()
    assert found(with_mail(not_before=NOW)) == set()


def test_a_default_certificate_that_nobody_serves_must_exist_but_may_be_over() -> None:
    own = make_state(
        *(listener(name, certificate=OFFICE) for name in SERVICES),
        certificates=(certificate("office"),),
    )
    assert found(own) == {("certificate.unknown", "error", MAIL)}
    over = (*own.certificates, certificate("mail", not_after=NOW))
    assert found(replace(own, certificates=over)) == set()


def test_a_bound_certificate_is_judged_too() -> None:
    expired = (certificate("mail"), certificate("office", not_after=NOW))
    assert ("certificate.expired", "error", OFFICE) in found(replace(NAMED, certificates=expired))
    missing = replace(NAMED, certificates=(certificate("mail"),))
    assert ("certificate.unknown", "error", OFFICE) in found(missing)


def test_both_ports_of_a_protocol_may_share_a_certificate() -> None:
    state = changed("imap", changed("imaps", certificate=OFFICE), certificate=OFFICE)
    assert found(state) == set()


@pytest.mark.parametrize("values", [{"is_enabled": False}, {"tls_mode": TlsMode.NONE}])
def test_a_port_that_serves_none_does_not_count(values: dict[str, object]) -> None:
    state = changed("imap", changed("imaps", certificate=OFFICE), **values)
    assert "certificate.shared_by_protocol" not in {code for code, *_ in found(state)}


def test_in_postfix_ports_differ_as_they_like() -> None:
    assert found(changed("submissions", NAMED, certificate=OFFICE)) == set()


def test_naming_the_default_certificate_is_not_having_an_own_one() -> None:
    assert found(changed("imaps", NAMED, certificate=MAIL)) == set()


def test_the_servers_name_may_be_covered_by_a_binding_instead() -> None:
    other = (certificate("mail", "other.test"), certificate("office", "mail.example.test"))
    assert found(replace(NAMED, certificates=other)) == set()


def test_a_wildcard_covers_and_each_certificate_is_told_once() -> None:
    assert found(with_mail(names=("*.example.test",))) == set()
    problems = check_state(with_mail(names=("other.test",)), NOW)
    assert [item.code for item in problems] == ["certificate.name_not_covered"]


@pytest.mark.parametrize(
    "name",
    [
        "", "localhost", "A.test", "a_b.test", "-a.test", "a-.test", "a..test", "a.test.",
        "*.test", "a.test\nb.test", "a b.test", "bücher.test", f"{'a' * 64}.test",
        f"{'a.' * 130}test", "a.test x.pem", "sni/../x.test",
    ],
)  # fmt: skip
def test_a_name_that_could_not_be_written_safely_is_refused(name: str) -> None:
    state = replace(SOUND, sni_bindings=(bind(name, "mail"),))
    assert ("sni.name_invalid", "error", name) in found(state)


@pytest.mark.parametrize("name", ["mail.test", "xn--bcher-kva.test", "1.a-b.test", "a" * 63 + ".b"])
def test_an_ordinary_name_is_accepted(name: str) -> None:
    state = replace(SOUND, sni_bindings=(bind(name, "mail"),))
    assert "sni.name_invalid" not in {code for code, *_ in found(state)}


@pytest.mark.parametrize(("length", "is_valid"), [(253, True), (254, False)])
def test_a_name_has_253_characters_at_most(length: int, is_valid: bool) -> None:
    name = ("a" * 62 + ".") * 3 + "b" * (length - 194) + ".test"
    state = replace(SOUND, sni_bindings=(bind(name, "mail"),))
    assert len(name) == length
    assert ("sni.name_invalid" not in {code for code, *_ in found(state)}) is is_valid


# Reachability


@pytest.mark.parametrize("left", ["imap", "imaps"])
def test_one_imap_port_is_enough(left: str) -> None:
    state = make_state(
        *(listener(name, is_enabled=name == left) for name in ("imap", "imaps")),
    )
    assert found(state) == set()


def test_what_the_state_does_not_speak_of_is_not_missed() -> None:
    assert found(make_state(listener("pop3s"))) == set()
