"""Serve one certificate from a mail server made for that alone, and prove it by handshakes.

What is proven is what an apply could only find out on the real ports: that the host's own Postfix
and Dovecot take this certificate, this key and this chain under this TLS profile.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mailadmin.agent.host import Host
from mailadmin.agent.keys import with_key
from mailadmin.agent.probe import probe_all
from mailadmin.agent.protocol import AgentError
from mailadmin.mailconf import rehearsal
from mailadmin.mailconf.profiles import PROFILES
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.services import SERVICES, Daemon
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.parts import read_parts
from mailadmin.pki.problems import Problem

logger = logging.getLogger(__name__)

Look = Callable[[Sequence[Expectation]], list[Seen]]

# Of the ten seconds that all of it may take: what is left is for ending it.
_LIMIT = 8.0
# Each start takes a quarter of a second at the most (measured).
_START_LIMIT = 4.0
# A port that is open answers at once; what does not is asked again.
_PATIENCE = 2.0
_ANSWER_LIMIT = 1.0
_PAUSE = 0.05
_MAY_PASS = frozenset({"probe.closed", "probe.timeout", "probe.tls_failed"})
# An smtpd without Dovecot's socket gives up.
_IN_ORDER = (Daemon.DOVECOT, Daemon.POSTFIX)


@dataclass(slots=True)
class Rehearser:
    """Rehearses on one host. Not to be used by two threads at once."""

    host: Host
    look: Look
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def rehearse(self, asked: DesiredState, names: Sequence[str]) -> list[Seen]:
        """Return what each port showed, proven. Nothing of it is left, whatever happens.

        ``asked`` carries the certificate as its default one, with its key; ``names`` are those
        that clients will use. Raises :class:`AgentError`.
        """
        ends_at = self.clock() + _LIMIT
        certified = _complete(asked, names)
        installed = self.host.read_installed()
        scratch = self.host.scratch
        scratch.clear()
        try:
            ports = scratch.pick_ports(rehearsal.choose_services(installed.protocols))
            state = rehearsal.state_to_rehearse(certified, ports)
            files = rehearsal.render(state, scratch.places, installed)
            scratch.write(files, rehearsal.pem_files(state), installed.postfix["mail_owner"])
            for daemon in _IN_ORDER:
                self._start(daemon, ports, ends_at)
            return self._prove(state, names, ends_at)
        finally:
            scratch.clear()

    def clear(self) -> None:
        """End and remove what a dead agent left; what cannot be is told to the log."""
        try:
            self.host.scratch.clear()
        except AgentError as error:
            problem = error.problem
            logger.warning("remains of a rehearsal: %s %s", problem.code, problem.subject)

    def _start(self, daemon: Daemon, ports: Mapping[str, int], ends_at: float) -> None:
        timeout = min(_START_LIMIT, ends_at - self.clock())
        if timeout <= 0:
            raise _too_slow()
        try:
            self.host.scratch.start(daemon, timeout=timeout)
        except AgentError as error:
            raise self._taken(daemon, ports) or error from None

    def _taken(self, daemon: Daemon, ports: Mapping[str, int]) -> AgentError | None:
        """Return which port somebody else took after it had been found free, if that was it."""
        for service, port in ports.items():
            if SERVICES[service].daemon is daemon and self.host.scratch.is_taken(port):
                address = rehearsal.ADDRESS
                return AgentError.because(
                    "rehearsal.port_taken", service, address=address, port=port
                )
        return None

    def _prove(self, state: DesiredState, names: Sequence[str], ends_at: float) -> list[Seen]:
        expected = rehearsal.expectations(state, names)
        chain = _chain_fingerprints(state)
        given_up_at = min(self.clock() + _PATIENCE, ends_at)
        while True:
            seen = self.look(expected)
            pairs = zip(expected, seen, strict=True)
            judged = (rehearsal.judge(wanted, shown, chain) for wanted, shown in pairs)
            problem = next(itertools.chain.from_iterable(judged), None)
            if problem is None:
                return seen
            is_last = problem.code not in _MAY_PASS or self.clock() > given_up_at
            self._refuse_if_final(problem, state, is_last=is_last)
            self.sleep(_PAUSE)

    def _refuse_if_final(self, problem: Problem, state: DesiredState, *, is_last: bool) -> None:
        """Raise :class:`AgentError` where another look would show the same."""
        daemon = SERVICES[problem.subject].daemon
        ports = {item.service: item.port for item in state.enabled_listeners}
        taken = self._taken(daemon, ports) if is_last else None
        if taken:
            raise taken
        # A daemon that cannot use its key or certificate hangs up, and says why in its log alone;
        # a moment later at times.
        is_cut_off = problem.code == "probe.tls_failed"
        words = self.host.scratch.trouble(daemon) if is_cut_off or is_last else ""
        if words:
            raise AgentError.because("rehearsal.refused", str(daemon), words=words)
        if is_last:
            raise AgentError(problem)


def look_briefly(expected: Sequence[Expectation]) -> list[Seen]:
    """Look at ports of this machine that answer at once or not at all."""
    return probe_all(expected, patience=_ANSWER_LIMIT)


def _complete(asked: DesiredState, names: Sequence[str]) -> DesiredState:
    """Return the state with the one certificate, read anew. Raises :class:`AgentError`."""
    certificate = asked.certificate(asked.default_certificate)
    if certificate is None or asked.tls_profile not in PROFILES:
        raise AgentError.because("agent.message_unreadable")
    completed, problems = with_key(replace(certificate, companion=""), {})
    if problems:
        raise AgentError(problems[0])
    uncovered = rehearsal.uncovered_problem(names, completed.names)
    if uncovered:
        raise AgentError(uncovered)
    return asked.with_certificates([completed])


def _chain_fingerprints(state: DesiredState) -> list[str]:
    certificate = state.certificate(state.default_certificate)
    chain_pem = certificate.chain_pem if certificate else ""
    return [item.fingerprint for item in read_parts([chain_pem.encode()]).certificates]


def _too_slow() -> AgentError:
    return AgentError.because("rehearsal.too_slow", seconds=int(_LIMIT))
