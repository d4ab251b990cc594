"""The names of a server certificate."""

from __future__ import annotations

from time import process_time

import pytest

from mailadmin.pki.problems import Severity
from mailadmin.pki.raw_fields import encode
from tests.unit.pki.handmade import SAN, USE, Extension, judge, make, san

GOOD = b"mail.example.org"


def judged(*names: bytes, subject: str = "mail.example.org") -> dict[str, Severity]:
    found = judge(make(san(*names), USE, subject=subject))
    return {code: problem.severity for code, problem in found.items()}


@pytest.mark.parametrize(
    "name",
    [
        GOOD,
        b"MAIL.Example.ORG",
        b"*.example.org",
        b"*.github.io",  # its owner may hold it
        b"xn--bcher-kva.example",
        b"*.xn--bcher-kva.example",
        b"a-b.c--d.example",
        b"1.example",
        b"a" * 63 + b".example",
    ],
)
def test_names_that_match_hosts_are_in_order(name: bytes) -> None:
    assert judged(GOOD, name) == {}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (b"ma*l.example.org", "wildcard_misplaced"),
        (b"mail.*.example.org", "wildcard_misplaced"),
        (b"*.*.example.org", "wildcard_misplaced"),
        ("bücher.example".encode(), "names_not_ascii"),
        (b"xn--\x61\x61\x61\x2d.example", "names_idn_invalid"),
        (b"xn--a.example", "names_idn_invalid"),
        (b"mail_1.example.org", "names_underscore"),
        (b"mail.example.org.", "names_trailing_dot"),
        (b"192.0.2.1", "addresses_as_names"),
        (b"2001:db8::1", "addresses_as_names"),
        (b"localhost", "unusable_names"),
        (b"", "unusable_names"),
        (b".", "unusable_names"),
        (b"-a.example", "unusable_names"),
        (b"a..example", "unusable_names"),
        (b"example.123", "unusable_names"),
        (b"a" * 64 + b".example", "unusable_names"),
        (b".".join([b"a" * 60] * 5), "unusable_names"),
        (b"https://mail.example.org", "unusable_names"),
    ],
)
def test_a_name_that_no_client_matches_is_named_by_its_kind(name: bytes, code: str) -> None:
    assert judged(GOOD, name) == {f"certificate.{code}": Severity.WARNING}
    assert judged(name, subject="Mail") == {
        f"certificate.{code}": Severity.WARNING,
        "certificate.no_usable_name": Severity.ERROR,
    }


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (b"*.org", "wildcard_public_suffix"),
        (b"*.co.uk", "wildcard_public_suffix"),
        (b"*", "wildcard_public_suffix"),
        (b"*.XN--P1AI", "wildcard_public_suffix"),
        (b"mail.example.org\0.evil.example", "names_control_characters"),
        (b"mail.example.org\n", "names_control_characters"),
        (b"mail example.org", "names_control_characters"),
        (b"mail\x7f.example.org", "names_control_characters"),
    ],
)
def test_some_names_are_refused_beside_good_ones(name: bytes, code: str) -> None:
    assert judged(GOOD, name) == {f"certificate.{code}": Severity.ERROR}


def test_names_are_counted_and_the_first_are_shown() -> None:
    found = judge(make(san(GOOD, *(b"bad_%d.example" % number for number in range(5))), USE))
    problem = found["certificate.names_underscore"]
    assert problem.params["names"] == "bad_0.example, bad_1.example, bad_2.example"
    assert problem.params["count"] == 5


def test_what_is_shown_of_a_name_is_short_and_printable() -> None:
    found = judge(make(san(b"\0" + b"x" * 500), USE))
    shown = found["certificate.names_control_characters"].params["names"]
    assert shown == "\ufffd" + "x" * 99
    assert judge(make(san(b""), USE))["certificate.unusable_names"].params["names"] == "“”"


def test_addresses_and_other_names_are_told_apart() -> None:
    address, mailbox = encode(0x87, bytes([192, 0, 2, 1])), encode(0x81, b"a@example.org")
    network = encode(0x87, bytes(8))
    only: Extension = (SAN, encode(0x30, mailbox + network), False)
    assert set(judge(make(only, USE, subject="Mail"))) >= {"certificate.no_usable_name"}
    both: Extension = (SAN, encode(0x30, address + mailbox), False)
    facts = make(both, USE, subject="Mail")
    assert facts.names == ("192.0.2.1",)
    assert judge(facts) == {}


@pytest.mark.parametrize(
    ("subject", "is_told"),
    [
        ("mail.example.org", False),
        ("imap.example.org", True),
        ("IMAP.example.org", True),
        ("192.0.2.1", True),
        ("sub.wild.example", False),
        ("The mail server", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_a_host_that_only_the_common_name_has_is_told(subject: str, is_told: bool) -> None:
    critical = (*san(GOOD, b"*.wild.example")[:2], True)
    found = judge(make(critical, USE, subject=subject, issuer="Somebody"))
    assert set(found) == ({"certificate.common_name_not_covered"} if is_told else set())
    if is_told:
        assert found["certificate.common_name_not_covered"].params["common_name"] == subject


def test_the_common_name_is_no_name() -> None:
    facts = make(USE)
    assert set(judge(facts)) == {"certificate.no_usable_name"}


def test_names_without_a_subject_must_be_critical() -> None:
    names = san(GOOD)
    assert set(judge(make(names, USE, subject="", issuer="Somebody"))) == {
        "certificate.san_not_critical"
    }


@pytest.mark.parametrize(
    "pattern", [b"a%d.io", b"xn--a%d-bcher-kva.io", b"*.a%d.io", b"\xfc%d.io", b"a_%d.io"]
)
def test_ten_thousand_names_are_judged_fast(pattern: bytes) -> None:
    facts = make(san(*(pattern % number for number in range(10_000))), USE, subject="Mail")
    began = process_time()
    judge(facts)
    # Of the processor, not of the clock: the machine may be busy, and coverage is counted.
    assert process_time() - began < 2


def test_a_name_in_no_known_letters_makes_the_san_unreadable() -> None:
    found = judge(make(san(GOOD, b"b\xfccher.example"), USE))
    assert set(found) == {"certificate.extension_unreadable", "certificate.names_not_ascii"}
    assert found["certificate.names_not_ascii"].params["names"] == "b\ufffdcher.example"


def test_a_name_of_idna_2003_is_odd_but_matches() -> None:
    """Clients compare it letter by letter; 2003 allowed the star that 2008 does not."""
    for name in (b"xn--k4h.ws", b"*.xn--k4h.ws"):
        assert judged(name, subject="Mail") == {
            "certificate.names_idn_invalid": Severity.WARNING,
        }
    long = b".".join([b"xn--k4h", *[b"a" * 60] * 5])
    assert "certificate.no_usable_name" in judged(long, subject="Mail")
