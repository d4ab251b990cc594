"""Listen on the Unix socket: who may ask, how much, and one apply at a time."""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from mailadmin.agent import protocol
from mailadmin.agent.apply import Applier
from mailadmin.agent.challenges import Challenge, Challenges, read_token
from mailadmin.agent.config import AgentConfig
from mailadmin.agent.confirming import Confirming
from mailadmin.agent.drift import check
from mailadmin.agent.handing_over import find_refusal, hand_over_keys
from mailadmin.agent.host import Host
from mailadmin.agent.host.ports import is_local_address
from mailadmin.agent.host.surroundings import look_around
from mailadmin.agent.host.usage import read_usage
from mailadmin.agent.observing import describe_as_left, observe
from mailadmin.agent.planner import make_plan
from mailadmin.agent.probe import probe_all
from mailadmin.agent.protocol import (
    AgentError,
    ApplyReport,
    CheckReport,
    Outcome,
    Request,
    StepEvent,
    Verb,
)
from mailadmin.agent.reading import (
    read_confirm_within,
    read_days,
    read_deployment_id,
    read_expectations,
    read_fingerprints,
    read_names,
    read_state,
    read_text,
)
from mailadmin.agent.recovering import Recovering
from mailadmin.agent.rehearsing import Rehearser, look_briefly
from mailadmin.agent.steps import Tell
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Problem

logger = logging.getLogger(__name__)

_PEER_CREDENTIALS = struct.Struct("3i")
_REQUEST_TIMEOUT = 30.0
_KEPT_JOBS = 100
_SIGN_OF_LIFE = 5.0
Send = Callable[[Mapping[str, Any]], None]
IsThere = Callable[[], bool]


@dataclass(slots=True)
class Job:
    """One deployment being applied; whoever asks for it again follows the same job."""

    deployment_id: str
    events: list[StepEvent] = field(default_factory=list)
    report: ApplyReport | None = None
    is_over: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)

    def tell(self, event: StepEvent) -> None:
        """Keep an event and wake whoever follows."""
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def finish(self, report: ApplyReport | None) -> None:
        """Keep the report (None: never begun, the agent stops) and wake whoever follows."""
        with self.changed:
            self.report = report
            self.is_over = True
            self.changed.notify_all()

    def follow(self) -> Iterator[StepEvent]:
        """Yield every event from the first on, until it is over; in a long silence the last again.

        Whoever follows takes a longer one for the end of the agent.
        """
        told = 0
        while True:
            with self.changed:
                is_news = told < len(self.events) or self.is_over
                if not is_news:
                    is_news = self.changed.wait(_SIGN_OF_LIFE)
                fresh, is_over = self.events[told:], self.is_over
            if not is_news and told:
                yield self.events[told - 1]
            yield from fresh
            told += len(fresh)
            if is_over:
                return


class Agent:
    """Answers the verbs. Applies run in a thread of their own: a lost client changes nothing."""

    def __init__(self, config: AgentConfig) -> None:
        self.config = config
        self.host = Host(config)
        self.challenges = Challenges(config.http01, config.state_dir / "challenges.json")
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._applying = threading.Lock()
        self._rehearsing = threading.Lock()
        self._reading_logs = threading.Lock()
        self._stopping = threading.Event()
        self._last_apply = -config.spacing
        self.confirming = Confirming(
            trials=lambda: self._applier().trials,
            applying=self._applying,
            keep_distance=self._keep_distance,
            forget_job=self._forget_job,
            note_change=self._note_change,
            follow_up=self._follow_up,
        )
        self.recovering = Recovering(
            applier=self._applier,
            applying=self._applying,
            keep_distance=self._keep_distance,
            forget_job=self._forget_job,
            note_change=self._note_change,
        )

    def prepare(self) -> None:
        """Create the folder and undo what a dead agent left half done. Raises AgentError."""
        self.host.store.prepare()
        self.host.store.lock()
        journal = self.host.store.open_journal()
        report = self._applier().recover(_log_step)
        if journal is not None and report is not None:
            self._note_change()
            self._follow_up(journal.deployment_id, report)
            logger.warning("an interrupted apply was ended: %s", report.outcome)
        else:
            # What a dead agent staged and never put in place holds keys.
            self.host.store.drop_unused()
        self.host.store.drop_staging()
        self._start_front()
        self.confirming.take_up()
        self._rehearser().clear()
        self.challenges.prepare()

    def _start_front(self) -> None:
        """Start the instance of Dovecot that has the ports, as after a boot of the machine.

        The distribution starts the other one, and knows nothing of ours.
        """
        dovecot = self.host.dovecot
        if not dovecot.is_split or not dovecot.core.is_running() or dovecot.front.is_running():
            return
        try:
            dovecot.front.start()
        except AgentError as error:
            logger.exception("Dovecot's ports stay closed: %s", dict(error.problem.params))

    def release(self) -> None:
        """Begin no further apply, let the one under way end, and let another agent take over."""
        self._stopping.set()
        self.confirming.stop()
        self.recovering.stop()
        self.challenges.release()
        with self._rehearsing, self._applying:
            self.host.store.unlock()

    def answer(
        self, request: Request, send: Send, is_there: IsThere = lambda: True
    ) -> dict[str, Any]:
        """Return the result of a request. Raises :class:`AgentError`.

        ``is_there`` tells whether whoever asked still waits.
        """
        match request.verb:
            case Verb.OBSERVE | Verb.OBSERVE_AS_LEFT | Verb.HAND_OVER_KEYS:
                return self._observe(request)
            case Verb.PLAN:
                return make_plan(read_state(request), self.host).report().as_dict()
            case Verb.PROBE | Verb.LOOK_AROUND:
                return _answer_about_ports(request)
            case Verb.CHECK:
                return self._check().as_dict()
            case Verb.APPLY:
                return self._apply(request, send).as_dict()
            case Verb.CONFIRM | Verb.TAKE_BACK | Verb.STANDING:
                return self._answer_about_trial(request, send)
            case Verb.USAGE:
                return self._read_usage(request, send, is_there)
            case Verb.PRESENT_CHALLENGE | Verb.WITHDRAW_CHALLENGE:
                return self._answer_about_challenge(request)
            case Verb.REHEARSE:
                asked = (read_state(request), read_names(request))
                return {"seen": [item.as_dict() for item in self._rehearse(*asked)]}

    def _observe(self, request: Request) -> dict[str, Any]:
        is_allowed = self.config.hands_over_keys
        if request.verb is Verb.HAND_OVER_KEYS:
            wanted = read_fingerprints(request)
            logger.warning("handing over the keys of %s", ", ".join(wanted))
            return {"keys": hand_over_keys(self.host, wanted, is_allowed=is_allowed)}
        if request.verb is Verb.OBSERVE_AS_LEFT:
            refusal = find_refusal(self.host, is_allowed=is_allowed)
            return describe_as_left(self.host, read_text(request, "host_name")) | {
                "keys_refused": refusal.as_dict() if refusal else None
            }
        return observe(self.host) | {"http01": self.challenges.describe()}

    def _answer_about_challenge(self, request: Request) -> dict[str, Any]:
        if request.verb is Verb.PRESENT_CHALLENGE:
            return {"way": str(self.challenges.present(Challenge.from_params(request.params)))}
        self.challenges.withdraw(read_token(request.params))
        return {}

    def _check(self) -> CheckReport:
        """Compare the host with what was applied, unless that is being changed just now."""
        generation = self.host.store.generation
        report = check(self.host)
        # Not the lock: whoever rehearses or applies meanwhile is not to be kept waiting by a look.
        if self._applying.locked() or self.host.store.generation != generation:
            raise AgentError.because("drift.apply_under_way")
        return report

    def _rehearse(self, state: DesiredState, names: Sequence[str]) -> list[Seen]:
        """Rehearse, if neither another rehearsal nor an apply is under way; an apply that is asked
        for meanwhile waits. Raises :class:`AgentError`.
        """
        with (
            _held(self._rehearsing, "rehearsal.under_way"),
            _held(self._applying, "rehearsal.apply_under_way"),
        ):
            if self._stopping.is_set():
                raise AgentError.because("agent.hung_up", verb=str(Verb.REHEARSE))
            return self._rehearser().rehearse(state, names)

    def _read_usage(self, request: Request, send: Send, is_there: IsThere) -> dict[str, Any]:
        days = read_days(request)
        with _held(self._reading_logs, "usage.under_way"):
            usage = read_usage(self.host, days, lambda event: send({"event": event}), is_there)
        return usage.as_dict()

    def _apply(self, request: Request, send: Send) -> ApplyReport:
        deployment_id = read_deployment_id(request)
        # The job before the report: whatever is over and forgotten by now is on the disk.
        job = self._jobs.get(deployment_id)
        if job is None:
            known = self.host.store.read_result(deployment_id)
            if known is not None:
                for event in known.steps:
                    send({"event": event.as_dict()})
                return known
            job = self._job(request, deployment_id)
        for event in job.follow():
            send({"event": event.as_dict()})
        if job.report is None:
            # Never begun: whoever asks the next agent starts from the beginning.
            raise AgentError.because("agent.hung_up", verb=str(request.verb))
        return job.report

    def _answer_about_trial(self, request: Request, send: Send) -> dict[str, Any]:
        deployment_id = read_deployment_id(request)
        if request.verb is Verb.CONFIRM:
            self.confirming.confirm(deployment_id)
            return {}
        if request.verb is Verb.STANDING:
            standing = self.confirming.standing(deployment_id)
            return replace(standing, retry_in=self.recovering.next_in(deployment_id)).as_dict()
        report = self.confirming.take_back(
            deployment_id, lambda event: send({"event": event.as_dict()})
        )
        return report.as_dict()

    def _forget_job(self, deployment_id: str) -> None:
        with self._lock:
            self._jobs.pop(deployment_id, None)

    def _note_change(self) -> None:
        """Keep the distance from now on."""
        self._last_apply = time.monotonic()

    def _follow_up(self, deployment_id: str, report: ApplyReport) -> None:
        """See to it that what could not be taken back with proof is tried again."""
        if report.outcome is Outcome.FAILED:
            self.recovering.keep_trying(deployment_id)

    def _job(self, request: Request, deployment_id: str) -> Job:
        with self._lock:
            job = self._jobs.get(deployment_id)
            if job is None:
                # The state goes to the thread alone: a job is kept for long, and keys are not.
                within = read_confirm_within(request, self.config.shortest_trial)
                asked = (read_state(request), read_text(request, "digest"), within)
                job = Job(deployment_id)
                self._jobs[deployment_id] = job
                threading.Thread(target=self._run, args=(job, *asked), daemon=False).start()
        return job

    def _run(self, job: Job, state: DesiredState, digest: str, within: int | None) -> None:
        report: ApplyReport | None = None
        try:
            with self._applying:
                self._keep_distance(job.tell)
                if not self._stopping.is_set():
                    report = self._applier().apply(
                        state,
                        digest=digest,
                        deployment_id=job.deployment_id,
                        tell=job.tell,
                        confirm_within=within,
                    )
                    if report.confirm_by:
                        self.confirming.keep_time()
                    if report.outcome is not Outcome.REFUSED:
                        self._note_change()
                    self._follow_up(job.deployment_id, report)
        except Exception:
            # Whatever it was, nobody may wait for ever; the journal is undone at the next start.
            logger.exception("an apply broke")
            report = ApplyReport(Outcome.FAILED, (), problem=Problem("agent.broken"))
        job.finish(report)
        self._forget_old_jobs()

    def _forget_old_jobs(self) -> None:
        with self._lock:
            over = [name for name, job in self._jobs.items() if job.is_over]
            for name in over[:-_KEPT_JOBS]:
                del self._jobs[name]

    def _keep_distance(self, tell: Tell) -> None:
        """Wait until the last apply is far enough away, and say so."""
        wait = self._last_apply + self.config.spacing - time.monotonic()
        if wait <= 0:
            return
        event = StepEvent(0, "waiting", "", protocol.StepStatus.RUNNING, "", round(wait * 1000), {})
        tell(event)
        self._stopping.wait(wait)

    def _applier(self) -> Applier:
        return Applier(self.host, _probe)

    def _rehearser(self) -> Rehearser:
        return Rehearser(self.host, look_briefly)


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
            self._send({"result": agent.answer(request, self._send, self._is_there)})
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

    def _is_there(self) -> bool:
        """Tell whether the client waits for its answer: one that went away closed its end."""
        # Asked first, because a socket with a time limit waits in spite of MSG_DONTWAIT.
        if not select.select([self.connection], [], [], 0)[0]:
            return True
        try:
            return bool(self.connection.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

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
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
            # Not by the umask, which keeps everything else we create to ourselves.
            path.parent.chmod(0o755)
        path.unlink(missing_ok=True)
        super().__init__(str(path), _Connection)
        # Who may ask is decided by user number (SO_PEERCRED); the mode lets them reach us.
        path.chmod(0o660 if agent.config.allowed_uids == {0} else 0o666)

    def server_close(self) -> None:
        """Close the socket, wait for an apply to end, and let another agent take over."""
        super().server_close()
        self.agent.release()


@contextlib.contextmanager
def _held(lock: threading.Lock, code: str) -> Iterator[None]:
    """Hold the lock. Raises :class:`AgentError` with the code if somebody else has it."""
    if not lock.acquire(blocking=False):
        raise AgentError.because(code)
    try:
        yield
    finally:
        lock.release()


def _probe(expected: Any, is_thorough: bool) -> list[Seen]:
    return probe_all(expected, is_thorough=is_thorough)


def _answer_about_ports(request: Request) -> dict[str, Any]:
    expected = read_expectations(request)
    if request.verb is Verb.PROBE:
        return {"seen": [item.as_dict() for item in _look(expected)]}
    return {"problems": [item.as_dict() for item in look_around(expected)]}


def _look(expected: Sequence[Expectation]) -> list[Seen]:
    """Look at the ports of this machine; whoever asks gets nobody else looked at by us."""
    is_local = {address: is_local_address(address) for address in {e.address for e in expected}}
    seen = iter(probe_all([item for item in expected if is_local[item.address]]))
    return [next(seen) if is_local[item.address] else _elsewhere(item) for item in expected]


def _elsewhere(item: Expectation) -> Seen:
    return Seen(
        item.service,
        item.address,
        item.port,
        item.sni_name,
        error="probe.closed",
        error_text="not an address of the mail server",
        key_algorithm=item.key_algorithm,
    )


def _log_step(event: StepEvent) -> None:
    logger.info("%s %s %s", event.code, event.subject, event.status)
