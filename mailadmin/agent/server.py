"""Listen on the Unix socket: who may ask, how much, and one apply at a time."""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from mailadmin.agent import protocol
from mailadmin.agent.apply import Applier
from mailadmin.agent.config import AgentConfig
from mailadmin.agent.host import Host
from mailadmin.agent.observing import observe
from mailadmin.agent.planner import make_plan
from mailadmin.agent.probe import probe_all
from mailadmin.agent.protocol import (
    AgentError,
    ApplyReport,
    Outcome,
    Request,
    StepEvent,
    Verb,
)
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.state import DesiredState, StateError
from mailadmin.pki.problems import Problem

logger = logging.getLogger(__name__)

_PEER_CREDENTIALS = struct.Struct("3i")
_REQUEST_TIMEOUT = 30.0
_MOST_EXPECTATIONS = 10_000
Send = Callable[[Mapping[str, Any]], None]


@dataclass(slots=True)
class Job:
    """One deployment being applied; whoever asks for it again follows the same job."""

    state: DesiredState
    digest: str
    deployment_id: str
    events: list[StepEvent] = field(default_factory=list)
    report: ApplyReport | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)

    def tell(self, event: StepEvent) -> None:
        """Keep an event and wake whoever follows."""
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def finish(self, report: ApplyReport) -> None:
        """Keep the report and wake whoever follows."""
        with self.changed:
            self.report = report
            self.changed.notify_all()

    def follow(self) -> Iterator[StepEvent]:
        """Yield every event from the first on, until the report is there."""
        told = 0
        while True:
            with self.changed:
                while told == len(self.events) and self.report is None:
                    self.changed.wait()
                fresh, is_over = self.events[told:], self.report is not None
            yield from fresh
            told += len(fresh)
            if is_over:
                return


class Agent:
    """Answers the verbs. Applies run in a thread of their own: a lost client changes nothing."""

    def __init__(self, config: AgentConfig) -> None:
        self.config = config
        self.host = Host(config)
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._applying = threading.Lock()
        self._last_apply = -config.spacing

    def prepare(self) -> None:
        """Create the folder and undo what a dead agent left half done. Raises AgentError."""
        self.host.store.prepare()
        report = self._applier().recover(_log_step)
        if report is not None:
            logger.warning("an interrupted apply was ended: %s", report.outcome)

    def answer(self, request: Request, send: Send) -> dict[str, Any]:
        """Return the result of a request. Raises :class:`AgentError`."""
        match request.verb:
            case Verb.OBSERVE:
                return observe(self.host)
            case Verb.PLAN:
                return make_plan(_read_state(request), self.host).report().as_dict()
            case Verb.PROBE:
                seen = probe_all(_read_expectations(request))
                return {"seen": [item.as_dict() for item in seen]}
            case Verb.APPLY:
                return self._apply(request, send).as_dict()

    def _apply(self, request: Request, send: Send) -> ApplyReport:
        deployment_id = _text(request, "deployment_id")
        if not deployment_id.replace("-", "").isalnum() or len(deployment_id) > 64:
            raise AgentError.because("agent.message_unreadable")
        known = self.host.store.read_result(deployment_id)
        if known is not None and deployment_id not in self._jobs:
            for event in known.steps:
                send({"event": event.as_dict()})
            return known
        job = self._job(request, deployment_id)
        for event in job.follow():
            send({"event": event.as_dict()})
        if job.report is None:
            raise AgentError.because("agent.broken")
        return job.report

    def _job(self, request: Request, deployment_id: str) -> Job:
        with self._lock:
            job = self._jobs.get(deployment_id)
            if job is None:
                job = Job(_read_state(request), _text(request, "digest"), deployment_id)
                self._jobs[deployment_id] = job
                threading.Thread(target=self._run, args=(job,), daemon=False).start()
        return job

    def _run(self, job: Job) -> None:
        try:
            with self._applying:
                self._keep_distance(job)
                report = self._applier().apply(
                    job.state, digest=job.digest, deployment_id=job.deployment_id, tell=job.tell
                )
                if report.outcome is not Outcome.REFUSED:
                    self._last_apply = time.monotonic()
        except AgentError as error:
            report = ApplyReport(Outcome.FAILED, (), problem=error.problem)
        except Exception:
            # Whatever it was, nobody may wait for ever; the journal is undone at the next start.
            logger.exception("an apply broke")
            report = ApplyReport(Outcome.FAILED, (), problem=Problem("agent.broken"))
        job.finish(report)
        with self._lock:
            if len(self._jobs) > 100:
                self._jobs.pop(next(iter(self._jobs)))

    def _keep_distance(self, job: Job) -> None:
        """Wait until the last apply is far enough away, and say so."""
        wait = self._last_apply + self.config.spacing - time.monotonic()
        if wait <= 0:
            return
        event = StepEvent(0, "waiting", "", protocol.StepStatus.RUNNING, "", round(wait * 1000), {})
        job.tell(event)
        time.sleep(wait)

    def _applier(self) -> Applier:
        return Applier(self.host, _probe)


class _Connection(socketserver.StreamRequestHandler):
    """One client, one request."""

    timeout = _REQUEST_TIMEOUT

    def handle(self) -> None:
        """Check who asks, read one line, answer."""
        agent = cast(AgentServer, self.server).agent
        try:
            self._check_peer(agent.config.allowed_uids)
            line = self.rfile.readline(protocol.MAX_MESSAGE + 1)
            if not line:
                return
            request = protocol.read_request(line)
            logger.info("%s [%s]", request.verb, request.request_id)
            self._send({"result": agent.answer(request, self._send)})
        except AgentError as error:
            logger.warning("refused: %s %s", error.problem.code, error.problem.subject)
            self._send({"error": error.problem.as_dict()})
        except TimeoutError:
            self._send({"error": Problem("agent.request_incomplete").as_dict()})
        except Exception:
            logger.exception("a request broke")
            self._send({"error": Problem("agent.broken").as_dict()})

    def _check_peer(self, allowed: frozenset[int]) -> None:
        raw = self.connection.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size
        )
        _, uid, _ = _PEER_CREDENTIALS.unpack(raw)
        if uid not in allowed:
            raise AgentError.because("agent.peer_refused", uid=uid)

    def _send(self, message: Mapping[str, Any]) -> None:
        """Send a line; a client that went away must not stop an apply."""
        with contextlib.suppress(OSError):
            self.wfile.write(protocol.encode(message))
            self.wfile.flush()


class AgentServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A thread for each client."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        path = agent.config.socket
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        super().__init__(str(path), _Connection)
        # Who may ask is decided by user number (SO_PEERCRED); the mode lets them reach us.
        path.chmod(0o660 if agent.config.allowed_uids == {0} else 0o666)


def _probe(expected: Any, is_thorough: bool) -> list[Seen]:
    return probe_all(expected, is_thorough=is_thorough)


def _log_step(event: StepEvent) -> None:
    logger.info("%s %s %s", event.code, event.subject, event.status)


def _read_state(request: Request) -> DesiredState:
    value = request.params.get("state")
    if not isinstance(value, dict):
        raise AgentError.because("agent.message_unreadable")
    try:
        return DesiredState.from_dict(value)
    except StateError as error:
        raise AgentError.because("agent.state_unreadable", detail=str(error)) from None


def _read_expectations(request: Request) -> list[Expectation]:
    rows = request.params.get("expected")
    if not isinstance(rows, list) or len(rows) > _MOST_EXPECTATIONS:
        raise AgentError.because("agent.message_unreadable")
    try:
        return [Expectation.from_dict(row) for row in rows]
    except (KeyError, TypeError, ValueError):
        raise AgentError.because("agent.message_unreadable") from None


def _text(request: Request, name: str) -> str:
    value = request.params.get(name)
    if not isinstance(value, str):
        raise AgentError.because("agent.message_unreadable")
    return value
