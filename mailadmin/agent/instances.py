"""From one instance of Dovecot to two, and back: who has the ports is told by the files.

The ports cannot be handed over: one instance must have closed them before the other can open them,
and a master that finds one taken while it starts gives up. So the one that loses them goes first,
and the other is not told before they are free. Those who are connected stay with their processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mailadmin.agent.host import Host
from mailadmin.agent.steps import Steps
from mailadmin.mailconf.proof import Expectation
from mailadmin.mailconf.services import SERVICES, Daemon

# Dovecot closes its ports some 10 ms after it was told to.
_MOST_SECONDS = 10.0
_PAUSE = 0.005


@dataclass(slots=True)
class Instances:
    """Brings Dovecot's instances in line with the files that are in place."""

    host: Host
    steps: Steps
    sleep: Callable[[float], None]
    clock: Callable[[], float]
    wait_for_core: Callable[[], int]

    def arrange(self, looked_at: Iterable[Expectation]) -> None:
        """Start, end or reload what the files ask for; ``looked_at`` are the ports of before and
        after. Raises :class:`AgentError`.
        """
        ports = sorted({item.target for item in looked_at if _is_dovecots(item) and item.is_open})
        dovecot = self.host.dovecot
        if not dovecot.is_split and dovecot.front.is_running():
            with self.steps.run("stopped", "dovecot-front") as evidence:
                dovecot.front.end()
                evidence["waited_ms"] = self._wait_until_free(ports)
        self._tell_core()
        if dovecot.is_split:
            self._tell_front(ports)

    def _tell_core(self) -> None:
        core = self.host.dovecot.core
        with self.steps.run("reloaded", "dovecot-core") as evidence:
            if core.is_running():
                core.reload()
            else:
                core.start()
                evidence["started"] = True
            evidence["waited_ms"] = self.wait_for_core()

    def _tell_front(self, ports: list[tuple[str, int]]) -> None:
        front = self.host.dovecot.front
        if front.is_running():
            with self.steps.run("reloaded", "dovecot-front"):
                front.reload()
            return
        with self.steps.run("started", "dovecot-front") as evidence:
            evidence["waited_ms"] = self._wait_until_free(ports)
            front.start()

    def _wait_until_free(self, ports: list[tuple[str, int]]) -> int:
        """Wait for the ports to be closed; one that stays taken is for the proof to find."""
        started = self.clock()
        while self.clock() - started < _MOST_SECONDS and self._is_any_taken(ports):
            self.sleep(_PAUSE)
        return round((self.clock() - started) * 1000)

    def _is_any_taken(self, ports: list[tuple[str, int]]) -> bool:
        return any(self.host.port_problem("", address, port) for address, port in ports)


def _is_dovecots(item: Expectation) -> bool:
    return SERVICES[item.service].daemon is Daemon.DOVECOT
