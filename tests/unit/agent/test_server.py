"""Who may ask the agent what, and how applies queue up behind each other."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mailadmin.agent import protocol, proving, server
from mailadmin.agent.client import AgentClient
from mailadmin.agent.config import Http01Config
from mailadmin.agent.protocol import (
    AgentError,
    ApplyReport,
    ChallengeWay,
    Outcome,
    StepEvent,
    StepStatus,
)
from mailadmin.agent.server import Agent, AgentServer
from mailadmin.mailconf import proof
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.services import TlsMode
from mailadmin.mailconf.state import DesiredState
from tests.states import make_material, with_default, with_open
from tests.unit.agent.machine import Machine

LIMIT = 60.0


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)


class Served:
    """An agent over the machine of files, listening on its socket."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.agent = Agent(machine.config)
        self.agent.host = machine.host
        self.agent.prepare()
        self.server = AgentServer(self.agent)
        self.client = AgentClient(machine.config.socket, "request-1")
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self._thread.start()
        # Applies stop at each look while this is not set.
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def probe(self, expected: list[Expectation], *, is_thorough: bool = True) -> list[Seen]:
        assert self.may_go_on.wait(LIMIT)
        return self.machine.probe(expected, is_thorough)

    def look(self, expected: Sequence[Expectation]) -> list[Seen]:
        assert self.may_go_on.wait(LIMIT)
        return self.machine.host.scratch.look(expected)

    def rehearse_aside(self, state: DesiredState) -> tuple[threading.Thread, list[list[Seen]]]:
        """Rehearse in a thread; comes back when the certificate is being looked at."""
        answers: list[list[Seen]] = []
        self.may_go_on.clear()
        asking = threading.Thread(
            target=lambda: answers.append(self.client.rehearse(state, ("mail.example.test",)))
        )
        asking.start()
        started = self.machine.host.scratch.started
        wait_for(lambda: len(started) == 2)
        return asking, answers

    def stop(self) -> None:
        self.may_go_on.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(LIMIT)

    def apply(
        self, state: DesiredState, deployment_id: str, told: list[StepEvent] | None = None
    ) -> ApplyReport:
        digest = self.client.plan(state).digest
        return self.client.apply(
            state,
            digest=digest,
            deployment_id=deployment_id,
            on_step=(told if told is not None else []).append,
        )

    def apply_aside(
        self, state: DesiredState, deployment_id: str
    ) -> tuple[threading.Thread, list[ApplyReport]]:
        digest = self.client.plan(state).digest
        reports: list[ApplyReport] = []

        def ask() -> None:
            reports.append(
                self.client.apply(
                    state, digest=digest, deployment_id=deployment_id, on_step=lambda _: None
                )
            )

        thread = threading.Thread(target=ask)
        thread.start()
        return thread, reports

    def say(self, line: bytes) -> list[dict[str, Any]]:
        """Say one raw line, as no client of ours would, and return the answers."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(LIMIT)
            connection.connect(str(self.machine.config.socket))
            connection.sendall(line)
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as answers:
                return [json.loads(answer) for answer in answers]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> Iterator[Callable[..., Served]]:
    """Start agents over the machine; the two seconds of watching are cut short."""
    started: list[Served] = []
    monkeypatch.setattr(proving, "_WATCH", 0.0)

    def start(**config: Any) -> Served:
        machine.config = replace(machine.config, **config)
        one = Served(machine)
        monkeypatch.setattr(server, "probe_all", one.probe)
        monkeypatch.setattr(server, "look_briefly", one.look)
        started.append(one)
        return one

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def wanted(machine: Machine) -> DesiredState:
    return with_default(machine.state_now(), make_material("new").certificate)


def code_of(answers: list[dict[str, Any]]) -> str:
    (answer,) = answers
    return str(answer["error"]["code"])


# Asking


def test_the_host_is_told_as_it_is(serve: Callable[..., Served], machine: Machine) -> None:
    found = serve().client.observe()
    assert found["versions"] == {"postfix": "3.7.11", "dovecot": "2.3.19.1"}
    assert found["running"] == {"postfix": True, "dovecot": True}
    enabled = {item["service"] for item in found["listeners"] if item["is_enabled"]}
    assert enabled == {"smtp", "imap", "imaps", "pop3", "pop3s", "sieve"}
    (certificate,) = found["certificates"]
    assert certificate["fingerprint"] == machine.original.certificate.fingerprint
    assert "PRIVATE" not in json.dumps(found)


def test_a_plan_changes_nothing(
    serve: Callable[..., Served], machine: Machine, wanted: DesiredState
) -> None:
    before = machine.snapshot()
    plan = serve().client.plan(wanted)
    assert {item["name"] for item in plan.files} == {
        "main.cf", "master.cf", "99-mailadmin.conf", "certificates",
    }  # fmt: skip
    assert machine.snapshot() == before
    assert machine.generations == []


def test_ports_are_looked_at(
    serve: Callable[..., Served], machine: Machine, wanted: DesiredState
) -> None:
    expected = proof.expectations(machine.state_now())
    seen = serve().client.probe(expected)
    assert all(not proof.judge(item, shown) for item, shown in zip(expected, seen, strict=True))


def test_an_apply_tells_its_steps_and_its_report(
    serve: Callable[..., Served], machine: Machine, wanted: DesiredState
) -> None:
    told: list[StepEvent] = []
    report = serve().apply(wanted, "one", told)
    assert report.outcome is Outcome.SUCCEEDED
    assert set(machine.served.values()) == {wanted.default_certificate}
    assert tuple(event for event in told if event.status is not StepStatus.RUNNING) == report.steps


def test_an_error_crosses_as_its_code(serve: Callable[..., Served], machine: Machine) -> None:
    one = serve()
    machine.faults.fail("postfix.read_parameters")
    with pytest.raises(AgentError) as raised:
        one.client.observe()
    assert raised.value.problem.code == "test.postfix.read_parameters"


def test_a_fault_crosses_without_its_text(serve: Callable[..., Served], machine: Machine) -> None:
    one = serve()
    machine.faults.fail("postfix.read_parameters", error=lambda: RuntimeError("very secret"))
    assert one.say(b'{"verb": "observe"}\n') == [
        {"error": {"code": "agent.broken", "severity": "error", "subject": "", "params": {}}}
    ]


# Answering an authority

TOKEN = "token-1"
PROOF = f"{TOKEN}.nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ"


def with_web_root(serve: Callable[..., Served], tmp_path: Path) -> tuple[Served, Path]:
    web_root = tmp_path / "www"
    web_root.mkdir(exist_ok=True)
    one = serve(http01=Http01Config((), 80, web_root))
    return one, web_root / ".well-known" / "acme-challenge" / TOKEN


def test_a_challenge_is_presented_and_withdrawn(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    one, file = with_web_root(serve, tmp_path)
    assert one.client.present_challenge(TOKEN, PROOF, seconds=60) is ChallengeWay.WEB_ROOT
    assert file.read_text() == PROOF
    one.client.withdraw_challenge(TOKEN)
    assert not file.exists()


def test_the_panel_is_told_how_an_authority_could_be_answered(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    one, _ = with_web_root(serve, tmp_path)
    http01 = one.client.observe()["http01"]
    assert (http01["way"], http01["problem"]["code"]) == ("web_root", "http01.no_listener")


def test_only_one_way_may_be_meant(serve: Callable[..., Served], tmp_path: Path) -> None:
    one, file = with_web_root(serve, tmp_path)
    with pytest.raises(AgentError) as raised:
        one.client.present_challenge(TOKEN, PROOF, seconds=60, way=ChallengeWay.LISTENER)
    assert raised.value.problem.code == "http01.no_listener"
    assert not file.exists()


def test_nothing_but_an_answer_is_published(serve: Callable[..., Served], tmp_path: Path) -> None:
    one, file = with_web_root(serve, tmp_path)
    with pytest.raises(AgentError) as raised:
        one.client.present_challenge(TOKEN, f"{TOKEN}.hello", seconds=60)
    assert raised.value.problem.code == "http01.answer_refused"
    with pytest.raises(AgentError):
        one.client.withdraw_challenge("../token-1")
    assert not file.parent.exists()


def test_an_agent_that_stops_takes_its_answers_back(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    one, file = with_web_root(serve, tmp_path)
    one.client.present_challenge(TOKEN, PROOF, seconds=60)
    one.stop()
    assert not file.exists()


# Who may ask, and how much


def test_a_user_who_is_not_named_is_refused(serve: Callable[..., Served]) -> None:
    one = serve(allowed_uids=frozenset({os.getuid() + 1}))
    with pytest.raises(AgentError) as raised:
        one.client.observe()
    assert raised.value.problem.code == "agent.peer_refused"
    assert raised.value.problem.params == {"uid": os.getuid()}


def test_a_refusal_is_heard_although_nobody_reads_the_request(
    serve: Callable[..., Served],
) -> None:
    """More than a socket holds: it is still being sent when the agent hangs up."""
    one = serve(allowed_uids=frozenset({os.getuid() + 1}))
    item = Expectation("imaps", "127.0.0.1", 993, True, TlsMode.IMPLICIT)
    with pytest.raises(AgentError) as raised:
        one.client.probe([item] * 20_000)
    assert raised.value.problem.code == "agent.peer_refused"


@pytest.mark.parametrize(("uids", "mode"), [({0}, 0o660), ({0, 33}, 0o666)])
def test_the_socket_lets_those_reach_it_who_may_ask(
    serve: Callable[..., Served], machine: Machine, uids: set[int], mode: int
) -> None:
    path = machine.folder / "new" / "run" / "agent.sock"
    before = os.umask(0o077)
    try:
        serve(allowed_uids=frozenset(uids), socket=path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755


def test_a_socket_left_by_a_dead_agent_is_replaced(
    serve: Callable[..., Served], machine: Machine
) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(machine.config.socket))
    assert serve().client.observe()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"hello\n", "agent.message_unreadable"),
        (b"[" * 100_000 + b"\n", "agent.message_unreadable"),
        (b'{"verb": "shell"}\n', "agent.verb_unknown"),
        (b'{"verb": "plan"}\n', "agent.message_unreadable"),
        (b'{"verb": "plan", "params": {"state": []}}\n', "agent.message_unreadable"),
        (
            b'{"verb": "plan", "params": {"state": {"listeners": 5}}}\n',
            "agent.state_unreadable",
        ),
        (b'{"verb": "apply"}\n', "agent.message_unreadable"),
        (b'{"verb": "apply", "params": {"deployment_id": 7}}\n', "agent.message_unreadable"),
        (b'{"verb": "probe"}\n', "agent.message_unreadable"),
        (b'{"verb": "probe", "params": {"expected": [5]}}\n', "agent.message_unreadable"),
        (b'{"verb": "probe", "params": {"expected": [{}]}}\n', "agent.message_unreadable"),
    ],
)
def test_what_is_not_a_question_is_refused(
    serve: Callable[..., Served], line: bytes, code: str
) -> None:
    assert code_of(serve().say(line)) == code


@pytest.mark.parametrize(
    "changes",
    [
        {"port": 70_000},
        {"port": -1},
        {"port": "25"},
        {"port": None},
        {"service": "shell"},
        {"service": []},
        {"address": 5},
        {"address": "mail.example.org"},
        {"address": "/run/socket"},
        {"sni_name": 5},
        {"tls_mode": "maybe"},
        {"more": 1},
    ],
)
def test_a_place_that_cannot_be_looked_at_is_refused(
    serve: Callable[..., Served], changes: dict[str, object]
) -> None:
    sound = Expectation("smtp", "127.0.0.9", 25, True, TlsMode.NONE).as_dict()
    line = protocol.encode({"verb": "probe", "params": {"expected": [sound | changes]}})
    assert code_of(serve().say(line)) == "agent.message_unreadable"


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a/b", "a.b", "x" * 65, "-", "a\n"])
def test_a_deployment_is_named_by_letters_and_digits(
    serve: Callable[..., Served], machine: Machine, wanted: DesiredState, name: str
) -> None:
    state = wanted.as_dict(with_pem=True, with_key=True)
    params = {"state": state, "digest": "", "deployment_id": name}
    answers = serve().say(protocol.encode({"verb": "apply", "params": params}))
    assert code_of(answers) == "agent.message_unreadable"
    assert not list((machine.config.state_dir / "results").iterdir())


def test_a_message_that_is_too_long_is_refused(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = serve()
    monkeypatch.setattr(protocol, "MAX_MESSAGE", 1000)
    # Not one byte more than is read, else the refusal is lost in the reset.
    assert code_of(one.say(b"x" * 1001)) == "agent.message_too_large"


def test_a_client_that_says_nothing_is_no_hindrance(
    serve: Callable[..., Served], machine: Machine
) -> None:
    one = serve()
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as slow:
        for connection in (silent, slow):
            connection.connect(str(machine.config.socket))
        slow.sendall(b'{"verb": "obs')
        assert one.client.observe()
    assert one.say(b"") == []


def test_a_question_that_never_ends_is_given_up(
    serve: Callable[..., Served], machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server._Connection, "timeout", 0.05)
    serve()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(LIMIT)
        connection.connect(str(machine.config.socket))
        # On a busy machine it has been given up by now.
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(b'{"verb": "obs')
        answer = json.loads(connection.makefile("rb").readline())
    assert answer["error"]["code"] == "agent.request_incomplete"


# One deployment, asked for more than once


def test_the_same_deployment_asked_twice_at_once_is_applied_once(
    serve: Callable[..., Served],
    machine: Machine,
    wanted: DesiredState,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Each is told the last step again after a silence, and their silences begin at different times.
    monkeypatch.setattr(server, "_SIGN_OF_LIFE", LIMIT)
    one = serve()
    digest = one.client.plan(wanted).digest
    one.may_go_on.clear()
    told: list[list[StepEvent]] = [[], []]
    reports: list[ApplyReport] = []

    def ask(mine: list[StepEvent]) -> None:
        reports.append(
            one.client.apply(wanted, digest=digest, deployment_id="same", on_step=mine.append)
        )

    threads = [threading.Thread(target=ask, args=(mine,)) for mine in told]
    for thread in threads:
        thread.start()
    wait_for(lambda: all(mine for mine in told))
    one.may_go_on.set()
    for thread in threads:
        thread.join(LIMIT)
    assert reports[0] == reports[1]
    assert told[0] == told[1]
    assert reports[0].outcome is Outcome.SUCCEEDED
    assert machine.generations == ["0001"]
    assert machine.faults.calls.count("host.put_files") == 1


def test_a_deployment_that_ended_is_answered_from_memory(
    serve: Callable[..., Served], machine: Machine, wanted: DesiredState
) -> None:
    one = serve()
    report = one.apply(wanted, "same")
    told: list[StepEvent] = []
    again = one.client.apply(wanted, digest="x", deployment_id="same", on_step=told.append)
    assert again == report
    assert machine.generations == ["0001"]


def test_a_deployment_is_answered_after_a_restart_too(
    serve: Callable[..., Served], machine: Machine, wanted: DesiredState
) -> None:
    first = serve()
    report = first.apply(wanted, "same")
    first.stop()
    told: list[StepEvent] = []
    again = serve().client.apply(wanted, digest="x", deployment_id="same", on_step=told.append)
    assert again == report
    assert tuple(told) == report.steps
    assert machine.generations == ["0001"]


def test_a_refused_deployment_stays_refused_while_the_agent_lives(
    serve: Callable[..., Served], wanted: DesiredState
) -> None:
    one = serve()
    for _ in range(2):
        report = one.client.apply(wanted, digest="x", deployment_id="a", on_step=lambda _: None)
        assert report.outcome is Outcome.REFUSED
        assert report.problem is not None
        assert report.problem.code == "plan.stale"


def test_a_client_that_goes_away_does_not_stop_the_apply(
    serve: Callable[..., Served], machine: Machine, wanted: DesiredState
) -> None:
    one = serve()
    digest = one.client.plan(wanted).digest
    one.may_go_on.clear()
    params = {
        "state": wanted.as_dict(with_pem=True, with_key=True),
        "digest": digest,
        "deployment_id": "left",
    }
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(machine.config.socket))
        connection.sendall(protocol.encode({"verb": "apply", "params": params}))
        assert connection.recv(1)
    one.may_go_on.set()
    wait_for(lambda: machine.host.store.read_result("left") is not None)
    report = one.client.apply(wanted, digest="", deployment_id="left", on_step=lambda _: None)
    assert report.outcome is Outcome.SUCCEEDED
    assert set(machine.served.values()) == {wanted.default_certificate}


def test_jobs_keep_no_keys(serve: Callable[..., Served], wanted: DesiredState) -> None:
    one = serve()
    one.apply(wanted, "one")
    (job,) = one.agent._jobs.values()
    assert "PRIVATE KEY" not in repr(vars_of(job))


def vars_of(job: server.Job) -> list[object]:
    return [getattr(job, name) for name in job.__slots__]


def test_only_the_last_hundred_jobs_are_remembered(
    serve: Callable[..., Served], machine: Machine, wanted: DesiredState
) -> None:
    one = serve()
    for number in range(103):
        one.client.apply(wanted, digest="x", deployment_id=f"n{number}", on_step=lambda _: None)
    wait_for(lambda: len(one.agent._jobs) == 100)
    assert "n102" in one.agent._jobs
    assert "n2" not in one.agent._jobs


# One apply at a time, and not too soon after the last


def test_a_second_apply_waits_for_the_distance_and_says_so(
    serve: Callable[..., Served], wanted: DesiredState, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = serve(spacing=600)
    one.apply(wanted, "one")
    waits: list[float] = []
    monkeypatch.setattr(one.agent._stopping, "wait", waits.append)
    told: list[StepEvent] = []
    report = one.apply(with_open(wanted, "pop3", is_open=False), "two", told)
    assert report.outcome is Outcome.SUCCEEDED
    (wait,) = waits
    assert 600 - LIMIT < wait <= 600
    assert (told[0].code, told[0].status) == ("waiting", StepStatus.RUNNING)
    assert told[0].duration_ms == round(wait * 1000)
    assert "waiting" not in [step.code for step in report.steps]


def test_a_refused_apply_makes_nobody_wait(
    serve: Callable[..., Served], wanted: DesiredState
) -> None:
    one = serve(spacing=60)
    one.client.apply(wanted, digest="x", deployment_id="stale", on_step=lambda _: None)
    told: list[StepEvent] = []
    assert one.apply(wanted, "two", told).outcome is Outcome.SUCCEEDED
    assert "waiting" not in [event.code for event in told]


def test_two_deployments_never_run_at_once(
    serve: Callable[..., Served], machine: Machine, wanted: DesiredState
) -> None:
    one = serve()
    one.may_go_on.clear()
    first, first_reports = one.apply_aside(wanted, "first")
    wait_for(lambda: "postfix.check" in machine.faults.calls)
    second, second_reports = one.apply_aside(wanted, "second")
    wait_for(lambda: len(one.agent._jobs) == 2)
    assert machine.faults.calls.count("store.write_generation") == 1
    one.may_go_on.set()
    first.join(LIMIT)
    second.join(LIMIT)
    assert first_reports[0].outcome is Outcome.SUCCEEDED
    # Its plan was made before the first was applied.
    assert second_reports[0].problem is not None
    assert second_reports[0].problem.code == "plan.stale"


# Stopping and starting


def test_a_stopping_agent_ends_its_apply_and_begins_no_other(
    serve: Callable[..., Served], machine: Machine, wanted: DesiredState
) -> None:
    one = serve(spacing=60)
    one.apply(wanted, "one")
    later = with_open(wanted, "pop3", is_open=False)
    before = machine.snapshot()
    problems: list[str] = []

    def ask() -> None:
        try:
            one.apply(later, "two")
        except AgentError as error:
            problems.append(error.problem.code)

    thread = threading.Thread(target=ask)
    thread.start()
    wait_for(lambda: "two" in one.agent._jobs and bool(one.agent._jobs["two"].events))
    one.stop()
    thread.join(LIMIT)
    assert problems == ["agent.hung_up"]
    assert machine.snapshot() == before
    assert serve(spacing=0).apply(later, "two").outcome is Outcome.SUCCEEDED


def test_a_second_agent_does_not_start_beside_the_first(
    serve: Callable[..., Served], machine: Machine
) -> None:
    one = serve()
    with pytest.raises(AgentError) as raised:
        Agent(machine.config).prepare()
    assert raised.value.problem.code == "agent.already_running"
    assert one.client.observe()


def test_what_a_dead_agent_staged_is_removed_at_the_start(
    serve: Callable[..., Served], machine: Machine, wanted: DesiredState
) -> None:
    first = serve()
    first.apply(wanted, "one")
    first.stop()
    machine.host.store.write_generation(2, {"default.pem": b"key"})
    machine.host.store.fresh_staging()
    serve()
    assert machine.generations == ["0001"]
    assert not (machine.config.state_dir / "staging").exists()


# The client's side


def answer_with(path: Path, *lines: bytes) -> threading.Thread:
    """Serve one connection that reads the question and answers with these lines."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve_one() -> None:
        with listener:
            connection, _ = listener.accept()
            with connection:
                connection.makefile("rb").readline()
                for line in lines:
                    connection.sendall(line)

    thread = threading.Thread(target=serve_one)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ((), "agent.hung_up"),
        ((b'{"result": 5}\n',), "agent.hung_up"),
        ((b"{}\n",), "agent.hung_up"),
        ((b"garbage\n",), "agent.message_unreadable"),
        ((b'{"error": {"code": "a.b", "severity": "error"}}\n',), "a.b"),
    ],
)
def test_an_agent_that_answers_oddly_is_an_error_with_a_code(
    tmp_path: Path, lines: tuple[bytes, ...], code: str
) -> None:
    thread = answer_with(tmp_path / "agent.sock", *lines)
    with pytest.raises(AgentError) as raised:
        AgentClient(tmp_path / "agent.sock").observe()
    thread.join(LIMIT)
    assert raised.value.problem.code == code


def test_no_agent_is_an_error_with_a_code(tmp_path: Path) -> None:
    with pytest.raises(AgentError) as raised:
        AgentClient(tmp_path / "agent.sock").observe()
    assert raised.value.problem.code == "agent.unreachable"
    assert raised.value.problem.params == {"detail": "No such file or directory"}


def test_a_silent_agent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailadmin.agent.client._LONGEST_SILENCE", 0.05)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "agent.sock"))
        listener.listen()
        with pytest.raises(AgentError) as raised:
            AgentClient(tmp_path / "agent.sock").observe()
    assert raised.value.problem.code == "agent.silent"


def test_only_ports_of_this_machine_are_looked_at(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stolen panel must not look at others' ports through the agent."""
    asked: list[str] = []

    def probe(expected: list[Expectation]) -> list[Seen]:
        asked.extend(item.address for item in expected)
        return [Seen(item.service, item.address, item.port, is_open=True) for item in expected]

    client = serve().client
    monkeypatch.setattr(server, "probe_all", probe)
    here = Expectation("imaps", "127.0.0.1", 993, True, TlsMode.IMPLICIT)
    elsewhere = replace(here, address="192.0.2.1")
    seen = client.probe([elsewhere, here, elsewhere])
    assert asked == ["127.0.0.1"]
    assert [(item.address, item.is_open) for item in seen] == [
        ("192.0.2.1", False), ("127.0.0.1", True), ("192.0.2.1", False),
    ]  # fmt: skip
    assert seen[0].error_text == "not an address of the mail server"


# Rehearsals


def rehearsal_code(one: Served, state: DesiredState) -> str:
    with pytest.raises(AgentError) as caught:
        one.client.rehearse(state, ("mail.example.test",))
    return caught.value.problem.code


def test_a_rehearsal_answers_with_what_was_seen(
    serve: Callable[..., Served], machine: Machine, wanted: DesiredState
) -> None:
    one = serve()
    before, served = machine.snapshot(), machine.served
    seen = one.client.rehearse(wanted, ("mail.example.test",))
    assert {item.service for item in seen} == {"submissions", "imaps"}
    assert {item.fingerprint for item in seen} == {wanted.default_certificate}
    assert (machine.snapshot(), machine.served) == (before, served)


def test_one_rehearsal_at_a_time(
    serve: Callable[..., Served], machine: Machine, wanted: DesiredState
) -> None:
    one = serve()
    asking, answers = one.rehearse_aside(wanted)
    assert rehearsal_code(one, wanted) == "rehearsal.under_way"
    # The second one has not disturbed the first.
    one.may_go_on.set()
    asking.join(LIMIT)
    assert len(answers[0]) == 4
    assert len(one.client.rehearse(wanted, ())) == 2


def test_no_rehearsal_beside_an_apply(
    serve: Callable[..., Served], machine: Machine, wanted: DesiredState
) -> None:
    one = serve()
    one.may_go_on.clear()
    thread, reports = one.apply_aside(wanted, "one")
    wait_for(lambda: machine.generations == ["0001"])
    assert rehearsal_code(one, wanted) == "rehearsal.apply_under_way"
    one.may_go_on.set()
    thread.join(LIMIT)
    assert reports[0].outcome is Outcome.SUCCEEDED
    assert len(one.client.rehearse(wanted, ())) == 2


def test_an_apply_waits_for_a_rehearsal(
    serve: Callable[..., Served], machine: Machine, wanted: DesiredState
) -> None:
    one = serve()
    asking, answers = one.rehearse_aside(wanted)
    thread, reports = one.apply_aside(wanted, "one")
    wait_for(lambda: "one" in one.agent._jobs)
    assert machine.generations == []
    one.may_go_on.set()
    for each in (asking, thread):
        each.join(LIMIT)
    assert len(answers[0]) == 4
    assert reports[0].outcome is Outcome.SUCCEEDED


def test_an_agent_that_stops_ends_its_rehearsal_first(
    serve: Callable[..., Served], machine: Machine, wanted: DesiredState
) -> None:
    one = serve()
    asking, answers = one.rehearse_aside(wanted)
    stopping = threading.Thread(target=one.stop)
    stopping.start()
    for each in (asking, stopping):
        each.join(LIMIT)
    assert len(answers[0]) == 4
    assert not machine.host.scratch.folder.exists()


def test_a_stopped_agent_begins_no_rehearsal(
    serve: Callable[..., Served], machine: Machine, wanted: DesiredState
) -> None:
    one = serve()
    one.agent._stopping.set()
    assert rehearsal_code(one, wanted) == "agent.hung_up"
    assert not machine.host.scratch.started


def test_remains_of_a_dead_agents_rehearsal_go_at_the_start(
    serve: Callable[..., Served], machine: Machine
) -> None:
    for folder in (machine.host.scratch.folder / "pem", machine.host.scratch.runtime / "queue"):
        folder.mkdir(parents=True)
    serve()
    assert not machine.host.scratch.folder.exists()
    assert not machine.host.scratch.runtime.exists()


@pytest.mark.parametrize("names", [None, "mail.example.test", [1], ["no name"], ["a.test"] * 1001])
def test_names_that_are_none_are_refused(
    serve: Callable[..., Served], machine: Machine, wanted: DesiredState, names: object
) -> None:
    state = wanted.as_dict(with_pem=True, with_key=True)
    params = {"state": state, "names": names}
    line = json.dumps({"verb": "rehearse", "params": params}).encode() + b"\n"
    assert code_of(serve().say(line)) == "agent.message_unreadable"


@pytest.mark.parametrize("deed", ["scratch.write", "scratch.start.postfix", "scratch.look"])
def test_the_key_is_in_no_log_and_no_answer(
    serve: Callable[..., Served],
    machine: Machine,
    wanted: DesiredState,
    caplog: pytest.LogCaptureFixture,
    deed: str,
) -> None:
    one = serve()
    machine.faults.fail(deed, error=lambda: RuntimeError("broken"))
    state = wanted.as_dict(with_pem=True, with_key=True)
    params = {"state": state, "names": []}
    line = json.dumps({"verb": "rehearse", "params": params}).encode() + b"\n"
    with caplog.at_level("DEBUG"):
        answers = one.say(line)
    assert code_of(answers) == "agent.broken"
    assert "PRIVATE" not in caplog.text + json.dumps(answers)
    assert not machine.host.scratch.folder.exists()


def test_a_step_that_takes_long_is_told_again_as_a_sign_of_life(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "_SIGN_OF_LIFE", 0.01)
    job = server.Job("one")
    step = StepEvent(0, "proved", "", StepStatus.RUNNING, "")
    job.tell(step)
    followed = job.follow()
    assert [next(followed) for _ in range(3)] == [step] * 3
    job.finish(None)
    assert list(followed) == []
