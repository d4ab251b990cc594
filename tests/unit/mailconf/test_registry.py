"""The port registry and the TLS profiles, as the standards have them."""

from __future__ import annotations

from mailadmin.mailconf.profiles import PROFILES
from mailadmin.mailconf.services import SERVICES, Protocol, TlsMode
from mailadmin.mailconf.state import DEFAULT_PROFILE


def test_the_eight_ports_are_those_of_iana() -> None:
    assert {name: service.port for name, service in SERVICES.items()} == {
        "smtp": 25,
        "submissions": 465,
        "submission": 587,
        "imap": 143,
        "imaps": 993,
        "pop3": 110,
        "pop3s": 995,
        "sieve": 4190,
    }


def test_a_service_is_known_by_its_own_name() -> None:
    assert all(service.name == name for name, service in SERVICES.items())


def test_tls_from_the_first_byte_is_for_465_993_and_995_alone() -> None:
    implicit = {name for name, item in SERVICES.items() if TlsMode.IMPLICIT in item.tls_modes}
    assert implicit == {"submissions", "imaps", "pop3s"}
    for name in implicit:
        assert SERVICES[name].tls_modes == (TlsMode.IMPLICIT,)


def test_the_usual_mode_is_an_encrypted_one() -> None:
    assert all(item.usual_tls_mode is not TlsMode.NONE for item in SERVICES.values())


def test_only_port_25_is_for_other_servers() -> None:
    assert [name for name, item in SERVICES.items() if not item.is_for_clients] == ["smtp"]
    assert [name for name, item in SERVICES.items() if not item.is_login_expected] == ["smtp"]


def test_nobody_can_choose_a_login_where_the_protocol_has_no_use_without() -> None:
    for item in SERVICES.values():
        assert item.is_login_inherent is (item.protocol is not Protocol.SMTP)


def test_a_new_state_has_a_profile_that_exists() -> None:
    assert DEFAULT_PROFILE in PROFILES
    assert all(profile.name == name for name, profile in PROFILES.items())
