"""What a plan says would change, which daemon that touches, and what makes it stale."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from mailadmin.agent.keys import read_host_file
from mailadmin.agent.planner import Plan, make_plan
from mailadmin.agent.protocol import Outcome
from mailadmin.mailconf.dovecot_settings import DovecotSettings, read_settings
from mailadmin.mailconf.services import Daemon
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.keys import load_private_key
from mailadmin.pki.problems import Problem
from tests.states import make_material, with_default, with_listener, with_name, with_open
from tests.throwaway_pki import ThrowawayCa
from tests.unit.agent.machine import ADDRESS, Machine

BOTH = (Daemon.DOVECOT, Daemon.POSTFIX)
OTHER = make_material("other").certificate


@pytest.fixture
def state(machine: Machine) -> DesiredState:
    """A state that has been applied, with every service open."""
    services = [item.service for item in machine.state_now().listeners]
    wanted = with_default(machine.state_now(), make_material("first").certificate)
    wanted = with_open(wanted, *services)
    assert machine.apply(wanted, "first").outcome is Outcome.SUCCEEDED
    return wanted


def plan(machine: Machine, state: DesiredState) -> Plan:
    return make_plan(state, machine.host)


def with_own(state: DesiredState, service: str) -> DesiredState:
    certificates = (*state.certificates, OTHER)
    return with_listener(
        replace(state, certificates=certificates), service, certificate=OTHER.fingerprint
    )


def test_the_applied_state_changes_nothing(machine: Machine, state: DesiredState) -> None:
    same = plan(machine, state)
    assert same.changed_daemons == ()
    assert same.report().files == ()


@pytest.mark.parametrize(
    ("service", "daemons"),
    [
        ("smtp", (Daemon.POSTFIX,)),
        ("submission", (Daemon.POSTFIX,)),
        ("submissions", (Daemon.POSTFIX,)),
        ("imap", (Daemon.DOVECOT,)),
        ("imaps", (Daemon.DOVECOT,)),
        ("pop3", (Daemon.DOVECOT,)),
        ("pop3s", (Daemon.DOVECOT,)),
        ("sieve", (Daemon.DOVECOT,)),
    ],
)
def test_closing_a_port_touches_the_daemon_behind_it(
    machine: Machine, state: DesiredState, service: str, daemons: tuple[Daemon, ...]
) -> None:
    closed = plan(machine, with_open(state, service, is_open=False))
    assert closed.changed_daemons == daemons
    if daemons == (Daemon.DOVECOT,):
        assert closed.needs_dovecot_reload


def test_the_default_certificate_is_everybodys_and_needs_no_reload_of_dovecot(
    machine: Machine, state: DesiredState
) -> None:
    renewed = plan(machine, with_default(state, OTHER))
    assert renewed.changed_daemons == BOTH
    assert not renewed.needs_dovecot_reload
    assert [item["name"] for item in renewed.report().files] == ["certificates"]


@pytest.mark.parametrize(
    ("service", "daemon"), [("submissions", Daemon.POSTFIX), ("sieve", Daemon.DOVECOT)]
)
def test_a_certificate_of_its_own_touches_its_daemon_alone(
    machine: Machine, state: DesiredState, service: str, daemon: Daemon
) -> None:
    own = plan(machine, with_own(state, service))
    assert own.changed_daemons == (daemon,)
    assert not own.needs_dovecot_reload


def test_a_host_name_touches_both_and_needs_no_reload_of_dovecot(
    machine: Machine, state: DesiredState
) -> None:
    named = plan(machine, with_name(state, "imap.example.test", OTHER))
    assert named.changed_daemons == BOTH
    assert not named.needs_dovecot_reload


def test_a_tls_profile_needs_no_reload_of_dovecot(machine: Machine, state: DesiredState) -> None:
    modern = plan(machine, replace(state, tls_profile="modern"))
    assert modern.changed_daemons == BOTH
    assert not modern.needs_dovecot_reload


def test_the_port_that_is_left_is_expected_closed(machine: Machine, state: DesiredState) -> None:
    moved = plan(machine, with_listener(state, "imaps", port=9993))
    left = [item for item in moved.expected if item.target == (ADDRESS, 993)]
    assert [(item.service, item.is_open) for item in left] == [("imaps", False)]
    assert len(moved.expected) == 9


def test_a_port_that_another_listener_takes_over_is_not_expected_closed(
    machine: Machine, state: DesiredState
) -> None:
    swapped = with_listener(state, "imaps", port=995)
    swapped = with_listener(swapped, "pop3s", port=993)
    assert all(item.is_open for item in plan(machine, swapped).expected)


def test_a_listener_on_every_address_keeps_its_old_one_open(
    machine: Machine, state: DesiredState
) -> None:
    everywhere = plan(machine, with_listener(state, "imaps", address="*"))
    assert all(item.is_open for item in everywhere.expected)


def test_the_digest_changes_with_the_host_and_with_the_wish(
    machine: Machine, state: DesiredState
) -> None:
    first = plan(machine, state).digest
    assert plan(machine, state).digest == first
    assert plan(machine, with_open(state, "pop3", is_open=False)).digest != first
    machine.master_cf.write_text(machine.master_cf.read_text() + "# by hand\n")
    assert plan(machine, state).digest != first


def test_a_state_that_cannot_be_rendered_is_planned_with_its_reasons(
    machine: Machine, state: DesiredState
) -> None:
    bad = plan(machine, with_listener(state, "imaps", address="mail.example.test"))
    assert "listener.address_invalid" in {item.code for item in bad.problems}
    assert {item["name"] for item in bad.report().files} <= {"certificates"}


def test_problems_are_listed_errors_first(machine: Machine, state: DesiredState) -> None:
    machine.die(Daemon.POSTFIX)
    closed = with_open(state, "imap", "imaps", is_open=False)
    problems = plan(machine, closed).problems
    assert [item.code for item in problems] == ["daemon.down", "imap.none_left"]


def say(machine: Machine, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """Let Dovecot report one setting otherwise."""
    values = machine.host.dovecot.read_settings().values | read_settings(line).values
    monkeypatch.setattr(machine.host.dovecot, "read_settings", lambda: DovecotSettings(values))


def test_names_and_dates_are_those_of_the_leaf_whatever_the_panel_says(
    machine: Machine, state: DesiredState
) -> None:
    certificate = state.certificate(state.default_certificate)
    assert certificate is not None
    far = datetime(2100, 1, 1, tzinfo=UTC)
    claimed = replace(certificate, names=("evil.test",), not_before=far, not_after=far)
    asked = state.with_certificates([claimed])
    judged = plan(machine, asked).state.certificate(state.default_certificate)
    assert judged is not None
    assert judged.names == certificate.names
    assert (judged.not_before, judged.not_after) == (certificate.not_before, certificate.not_after)


def test_a_protocol_that_is_not_installed_is_said(
    machine: Machine, state: DesiredState, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(machine, monkeypatch, "protocols = imap")
    codes = [(item.code, item.subject) for item in plan(machine, state).problems]
    assert ("dovecot.protocol_missing", "sieve") in codes


def test_a_reload_that_would_end_sessions_is_a_warning(
    machine: Machine, state: DesiredState, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(machine, monkeypatch, "shutdown_clients = yes")
    closed = plan(machine, with_open(state, "pop3", is_open=False))
    assert "dovecot.reload_ends_sessions" in {item.code for item in closed.problems}
    renewed = plan(machine, with_default(state, OTHER))
    assert "dovecot.reload_ends_sessions" not in {item.code for item in renewed.problems}


@pytest.mark.parametrize(
    ("inet_protocols", "address", "is_told"),
    [
        ("ipv4", "::1", True),
        ("ipv6", "127.77.0.2", True),
        ("ipv4, ipv6", "::1", False),
        ("all", "::1", False),
        ("ipv4", "127.77.0.2", False),
        ("ipv4", "*", False),
    ],
)
def test_an_address_that_postfix_would_die_of_is_refused(
    machine: Machine, state: DesiredState, inet_protocols: str, address: str, is_told: bool
) -> None:
    machine.inet_protocols = inet_protocols
    moved = plan(machine, with_listener(state, "submission", address=address))
    assert ("postfix.address_family_off" in {item.code for item in moved.problems}) is is_told


@pytest.mark.parametrize(
    ("program", "code"), [("dovecot", "port.held_by_listener"), ("nginx", "port.taken")]
)
def test_a_port_held_by_the_daemon_itself_is_no_reason_to_stop_it(
    machine: Machine, state: DesiredState, program: str, code: str
) -> None:
    machine.port_problem = Problem("port.taken", subject="imaps", params={"program": program})
    wide = plan(machine, with_listener(state, "imaps", address="*"))
    assert code in {item.code for item in wide.problems}


def test_a_pkcs12_file_on_the_host_is_not_opened() -> None:
    """Neither daemon takes one, and how long opening it takes is up to whoever made it."""
    issued = ThrowawayCa().issue()
    key = load_private_key(issued.key_pem)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    leaf = x509.load_pem_x509_certificate(issued.cert_pem)
    container = pkcs12.serialize_key_and_certificates(
        None, key, leaf, None, serialization.NoEncryption()
    )
    for content in (container, _as_pem(container)):
        found = read_host_file(content)
        assert not found.certificates
        assert not found.private_keys
    assert read_host_file(issued.fullchain_pem + issued.key_pem).private_keys


def _as_pem(container: bytes) -> bytes:
    text = base64.encodebytes(container).decode()
    return f"-----BEGIN PKCS12-----\n{text}-----END PKCS12-----\n".encode()
