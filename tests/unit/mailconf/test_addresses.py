"""Which addresses cannot share a port."""

from __future__ import annotations

import ipaddress

import pytest

from mailadmin.mailconf.addresses import is_collision, normalize_address

EVERY_IPV4 = str(ipaddress.IPv4Address(0))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("*", "192.0.2.1"),
        ("*", "*"),
        ("*", "mail.example.test"),
        ("192.0.2.1", "192.0.2.1"),
        (EVERY_IPV4, "192.0.2.1"),
        ("::", "2001:db8::1"),
        ("2001:db8::1", "2001:DB8:0:0::1"),
        ("localhost", "127.0.0.1"),
        ("localhost", "::1"),
        ("localhost", EVERY_IPV4),
        ("mail.example.test", "mail.example.test"),
    ],
)
def test_these_cannot_share_a_port(one: str, other: str) -> None:
    assert is_collision(one, other)
    assert is_collision(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.1", "192.0.2.2"),
        (EVERY_IPV4, "2001:db8::1"),
        ("::", "192.0.2.1"),
        (EVERY_IPV4, "::"),
        ("localhost", "192.0.2.1"),
        ("mail.example.test", "192.0.2.1"),
    ],
)
def test_these_can(one: str, other: str) -> None:
    assert not is_collision(one, other)
    assert not is_collision(other, one)


def test_an_address_is_known_by_its_usual_spelling() -> None:
    assert normalize_address("2001:DB8:0:0:0:0:0:25") == "2001:db8::25"
    assert normalize_address("192.0.2.1") == "192.0.2.1"
    assert normalize_address("mail.example.test") == "mail.example.test"
    assert normalize_address("") == ""
