"""The script of a rehearsal: what is refused beforehand, what is found out, and nothing left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mailadmin.agent.protocol import AgentError
from mailadmin.agent.rehearsing import Rehearser
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.services import Daemon
from mailadmin.mailconf.state import CertificateMaterial, DesiredState
from mailadmin.pki.problems import Problem
from tests.file_calls import KilledError
from tests.states import make_material
from tests.unit.agent.machine import Machine

NAME = "mail.example.test"


@pytest.fixture
def certificate() -> CertificateMaterial:
    return make_material("new").certificate


@pytest.fixture
def rehearser(machine: Machine) -> Rehearser:
    return Rehearser(machine.host, machine.host.scratch.look, machine.tick, machine.clock)


def asking_for(certificate: CertificateMaterial, profile: str = "intermediate") -> DesiredState:
    return DesiredState(NAME, (), certificate.fingerprint, (certificate,), tls_profile=profile)


def problem_of(rehearser: Rehearser, asked: DesiredState, *names: str) -> Problem:
    with pytest.raises(AgentError) as caught:
        rehearser.rehearse(asked, names or (NAME,))
    return caught.value.problem


def is_anything_left(machine: Machine) -> bool:
    return machine.host.scratch.folder.exists() or machine.host.scratch.runtime.exists()


def test_every_port_shows_it_to_whoever_asks(
    machine: Machine, rehearser: Rehearser, certificate: CertificateMaterial
) -> None:
    seen = rehearser.rehearse(asking_for(certificate), (NAME,))
    assert [(item.service, item.sni_name) for item in seen] == [
        ("submissions", ""), ("imaps", ""), ("submissions", NAME), ("imaps", NAME),
    ]  # fmt: skip
    assert {item.fingerprint for item in seen} == {certificate.fingerprint}
    assert {item.address for item in seen} == {"127.0.0.1"}
    assert not is_anything_left(machine)


def test_the_real_server_is_only_read(
    machine: Machine, rehearser: Rehearser, certificate: CertificateMaterial
) -> None:
    before, served = machine.snapshot(), machine.served
    rehearser.rehearse(asking_for(certificate), (NAME,))
    assert machine.snapshot() == before
    assert machine.served == served
    deeds = [call for call in machine.faults.calls if not call.startswith("scratch.")]
    assert deeds == ["postfix.read_parameters"]


def test_dovecot_is_there_before_postfix_asks_it(
    machine: Machine, rehearser: Rehearser, certificate: CertificateMaterial
) -> None:
    rehearser.rehearse(asking_for(certificate), (NAME,))
    starts = [call for call in machine.faults.calls if call.startswith("scratch.start")]
    assert starts == ["scratch.start.dovecot", "scratch.start.postfix"]


def test_the_key_is_for_root_alone(
    machine: Machine, rehearser: Rehearser, certificate: CertificateMaterial
) -> None:
    modes: dict[str, int] = {}

    def look(expected: Sequence[Expectation]) -> list[Seen]:
        scratch = machine.host.scratch
        pem = Path(scratch.places.pem_folder, "default.pem")
        assert certificate.key_pem.strip() in pem.read_text()
        for path in (scratch.folder, pem.parent, pem):
            modes[path.name] = path.stat().st_mode & 0o777
        public = [path.read_bytes() for path in scratch.runtime.rglob("*") if path.is_file()]
        assert not any(b"PRIVATE" in content for content in public)
        return scratch.look(expected)

    rehearser.look = look
    rehearser.rehearse(asking_for(certificate), (NAME,))
    assert modes == {"scratch": 0o700, "pem": 0o700, "default.pem": 0o600}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"key_pem": make_material("other").certificate.key_pem}, "material.key_mismatch"),
        ({"key_pem": ""}, "material.key_missing"),
        ({"leaf_pem": "no certificate"}, "material.leaf_unreadable"),
        ({"leaf_pem": make_material("other").certificate.leaf_pem}, "material.other_leaf"),
        ({"chain_pem": "no chain"}, "material.chain_unreadable"),
    ],
)
def test_what_can_be_read_beforehand_starts_nothing(
    machine: Machine,
    rehearser: Rehearser,
    certificate: CertificateMaterial,
    changes: dict[str, str],
    code: str,
) -> None:
    asked = asking_for(certificate)
    asked = asked.with_certificates([replace(certificate, **changes)])  # type: ignore[arg-type]
    assert problem_of(rehearser, asked).code == code
    assert machine.faults.calls == []


def test_a_name_it_is_not_for(
    machine: Machine, rehearser: Rehearser, certificate: CertificateMaterial
) -> None:
    problem = problem_of(rehearser, asking_for(certificate), NAME, "imap.example.test")
    assert (problem.code, problem.params["names"]) == (
        "rehearsal.name_not_covered", "imap.example.test",
    )  # fmt: skip
    assert machine.faults.calls == []


def test_a_profile_or_certificate_that_is_not_there(
    rehearser: Rehearser, certificate: CertificateMaterial
) -> None:
    unknown = asking_for(certificate, "imaginary")
    assert problem_of(rehearser, unknown).code == "agent.message_unreadable"
    empty = asking_for(certificate).with_certificates([])
    assert problem_of(rehearser, empty).code == "agent.message_unreadable"


@pytest.mark.parametrize("daemon", list(Daemon))
def test_a_daemon_that_does_not_start(
    machine: Machine, rehearser: Rehearser, certificate: CertificateMaterial, daemon: Daemon
) -> None:
    machine.faults.fail(f"scratch.start.{daemon}")
    assert problem_of(rehearser, asking_for(certificate)).code == f"test.scratch.start.{daemon}"
    assert not is_anything_left(machine)


def test_a_port_that_somebody_takes_meanwhile(
    machine: Machine, rehearser: Rehearser, certificate: CertificateMaterial
) -> None:
    scratch = machine.host.scratch
    scratch.taken = {"imaps"}
    machine.faults.fail("scratch.start.dovecot")
    problem = problem_of(rehearser, asking_for(certificate))
    assert (problem.code, problem.subject) == ("rehearsal.port_taken", "imaps")
    assert problem.params["port"] == scratch.ports["imaps"]
    assert not is_anything_left(machine)


def test_a_port_taken_although_the_daemon_started(
    machine: Machine, rehearser: Rehearser, certificate: CertificateMaterial
) -> None:
    machine.host.scratch.taken = {"submissions"}
    machine.disturb = lambda seen: (
        replace(seen, fingerprint="ff") if seen.service == "submissions" else seen
    )
    problem = problem_of(rehearser, asking_for(certificate))
    assert (problem.code, problem.subject) == ("rehearsal.port_taken", "submissions")


def cut_off(seen: Seen) -> Seen:
    return replace(seen, fingerprint="", error="probe.tls_failed", error_text="reset")


def test_a_refusal_comes_with_the_daemons_words_at_once(
    machine: Machine, rehearser: Rehearser, certificate: CertificateMaterial
) -> None:
    machine.disturb = lambda seen: cut_off(seen) if seen.service == "submissions" else seen
    machine.host.scratch.words = {Daemon.POSTFIX: "ee key too small"}
    problem = problem_of(rehearser, asking_for(certificate))
    assert (problem.code, problem.subject) == ("rehearsal.refused", "postfix")
    assert problem.params["words"] == "ee key too small"
    assert machine.faults.counts["scratch.look"] == 1
    assert not is_anything_left(machine)


def test_words_that_come_a_moment_later(
    machine: Machine, rehearser: Rehearser, certificate: CertificateMaterial
) -> None:
    scratch = machine.host.scratch

    def look(expected: Sequence[Expectation]) -> list[Seen]:
        seen = [cut_off(item) for item in scratch.look(expected)]
        if machine.faults.counts["scratch.look"] == 3:
            scratch.words = {Daemon.POSTFIX: "no usable key"}
        return seen

    rehearser.look = look
    assert problem_of(rehearser, asking_for(certificate)).params["words"] == "no usable key"


def test_a_refusal_without_a_word_is_told_as_it_was_seen(
    machine: Machine, rehearser: Rehearser, certificate: CertificateMaterial
) -> None:
    machine.disturb = cut_off
    begun = machine.now
    assert problem_of(rehearser, asking_for(certificate)).code == "probe.tls_failed"
    assert machine.now - begun < 10
    assert not is_anything_left(machine)


def test_a_port_that_opens_a_moment_later_is_waited_for(
    machine: Machine, rehearser: Rehearser, certificate: CertificateMaterial
) -> None:
    late = Seen("imaps", "", 0, error="probe.closed", error_text="Connection refused")
    machine.disturb = lambda seen: (
        replace(late, sni_name=seen.sni_name)
        if machine.faults.counts["scratch.look"] < 3 and seen.service == "imaps"
        else seen
    )
    assert len(rehearser.rehearse(asking_for(certificate), (NAME,))) == 4
    assert machine.faults.counts["scratch.look"] == 3


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"fingerprint": "ff"}, "probe.other_certificate"), ({"chain": ()}, "rehearsal.other_chain")],
)
def test_what_is_shown_wrongly_is_no_matter_of_patience(
    machine: Machine,
    rehearser: Rehearser,
    certificate: CertificateMaterial,
    changes: dict[str, object],
    code: str,
) -> None:
    machine.disturb = lambda seen: replace(seen, **changes)  # type: ignore[arg-type]
    assert problem_of(rehearser, asking_for(certificate)).code == code
    assert machine.faults.counts["scratch.look"] == 1


def test_a_host_that_is_too_slow(
    machine: Machine, rehearser: Rehearser, certificate: CertificateMaterial
) -> None:
    moments = iter((0.0, 60.0))
    rehearser.clock = lambda: next(moments)
    problem = problem_of(rehearser, asking_for(certificate))
    assert (problem.code, problem.params["seconds"]) == ("rehearsal.too_slow", 8)
    assert not is_anything_left(machine)


def test_what_a_killed_agent_left_is_removed_at_the_next_start(
    machine: Machine, rehearser: Rehearser, certificate: CertificateMaterial
) -> None:
    machine.faults.fail("scratch.look", error=KilledError)
    # The killed one clears nothing.
    machine.faults.fail("scratch.clear", at=2, error=KilledError)
    with pytest.raises(KilledError):
        rehearser.rehearse(asking_for(certificate), (NAME,))
    assert is_anything_left(machine)
    machine.restart_agent()
    Rehearser(machine.host, machine.host.scratch.look).clear()
    assert not is_anything_left(machine)


def test_an_agent_starts_although_remains_stay(machine: Machine, rehearser: Rehearser) -> None:
    machine.faults.fail("scratch.clear")
    rehearser.clear()
    assert machine.faults.calls == ["scratch.clear"]


def test_remains_that_stay_are_told_to_whoever_rehearses(
    machine: Machine, rehearser: Rehearser, certificate: CertificateMaterial
) -> None:
    machine.faults.fail("scratch.clear")
    assert problem_of(rehearser, asking_for(certificate)).code == "test.scratch.clear"
