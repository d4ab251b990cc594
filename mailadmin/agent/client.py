"""Ask the agent. Only :mod:`mailadmin.deployments.runner` does."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailadmin.agent import protocol
from mailadmin.agent.protocol import (
    AgentError,
    ApplyReport,
    ChallengeWay,
    CheckReport,
    PlanReport,
    Request,
    Standing,
    StepEvent,
    Verb,
)
from mailadmin.mailconf.maillog.usage import Usage
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Problem

# The agent tells a step at least this often; silence for longer means that it is gone.
_LONGEST_SILENCE = 90.0


@dataclass(frozen=True, slots=True)
class AgentClient:
    """The agent behind one Unix socket. Every call opens its own connection."""

    socket_path: Path
    request_id: str = ""

    def observe(self) -> dict[str, Any]:
        """Return versions, listeners and certificates as found on the host."""
        return self._ask(Verb.OBSERVE, {})

    def observe_as_left(self, host_name: str) -> dict[str, Any]:
        """Return versions, the state that leaves the host as its own files have it, findings."""
        return self._ask(Verb.OBSERVE_AS_LEFT, {"host_name": host_name})

    def hand_over_keys(self, fingerprints: Sequence[str]) -> dict[str, str]:
        """Return the keys of certificates found on the host, as PEM by fingerprint."""
        answer = self._ask(Verb.HAND_OVER_KEYS, {"fingerprints": list(fingerprints)})
        return dict(answer["keys"])

    def plan(self, state: DesiredState) -> PlanReport:
        """Return what applying the state would change. Nothing is changed."""
        params = {"state": state.as_dict(with_pem=True, with_key=True)}
        return PlanReport.from_dict(self._ask(Verb.PLAN, params))

    def apply(
        self,
        state: DesiredState,
        *,
        digest: str,
        deployment_id: str,
        on_step: Callable[[StepEvent], None],
        confirm_within: int | None = None,
    ) -> ApplyReport:
        """Apply the planned state, or learn how it went if this deployment was asked for before.

        With ``confirm_within`` (seconds) the agent takes it back by itself unless it is confirmed.
        """
        params = {
            "state": state.as_dict(with_pem=True, with_key=True),
            "digest": digest,
            "deployment_id": deployment_id,
            "confirm_within": confirm_within,
        }
        return self._follow(Verb.APPLY, params, on_step)

    def confirm(self, deployment_id: str) -> None:
        """Let a deployment that waits for it stay; said twice it is no mistake."""
        self._ask(Verb.CONFIRM, {"deployment_id": deployment_id})

    def take_back(self, deployment_id: str, on_step: Callable[[StepEvent], None]) -> ApplyReport:
        """Take back a deployment that waits to be confirmed, or learn how that went."""
        return self._follow(Verb.TAKE_BACK, {"deployment_id": deployment_id}, on_step)

    def standing(self, deployment_id: str) -> Standing:
        """Return where a deployment stands that was to be confirmed."""
        return Standing.from_dict(self._ask(Verb.STANDING, {"deployment_id": deployment_id}))

    def probe(self, expected: Sequence[Expectation]) -> list[Seen]:
        """Return what each port shows now."""
        rows = [item.as_dict() for item in expected]
        answer = self._ask(Verb.PROBE, {"expected": rows})
        return [Seen.from_dict(item) for item in answer["seen"]]

    def check(self) -> CheckReport:
        """Return how what the last apply left on the host stands now. Nothing is changed."""
        return CheckReport.from_dict(self._ask(Verb.CHECK, {}))

    def usage(self, days: int, on_progress: Callable[[dict[str, Any]], None]) -> Usage:
        """Return who used the mail server in the last days; may take a minute.

        ``on_progress`` is told the ``lines`` read so far and their ``source``, twice a second.
        """
        return Usage.from_dict(self._converse(Verb.USAGE, {"days": days}, on_progress))

    def look_around(self, expected: Sequence[Expectation]) -> list[Problem]:
        """Return whether packet filter and fail2ban fit these ports. Nothing is changed."""
        rows = [item.as_dict() for item in expected]
        answer = self._ask(Verb.LOOK_AROUND, {"expected": rows})
        return [Problem.from_dict(item) for item in answer["problems"]]

    def present_challenge(
        self,
        token: str,
        key_authorization: str,
        *,
        seconds: int,
        way: ChallengeWay | None = None,
    ) -> ChallengeWay:
        """Have an authority's question on port 80 answered for so long; returns by whom."""
        params = {
            "token": token,
            "key_authorization": key_authorization,
            "seconds": seconds,
            "way": str(way or ""),
        }
        return ChallengeWay(self._ask(Verb.PRESENT_CHALLENGE, params)["way"])

    def withdraw_challenge(self, token: str) -> None:
        """Have it answered no longer."""
        self._ask(Verb.WITHDRAW_CHALLENGE, {"token": token})

    def rehearse(self, state: DesiredState, names: Sequence[str]) -> list[Seen]:
        """Have the state's default certificate served by a mail server made for that alone.

        Returns what its ports showed, proven; ``names`` are those that clients will use. Takes a
        second or two, ten at the most. Raises :class:`AgentError` if it is not served as wanted.
        """
        shown = state.as_dict(with_pem=True, with_key=True)
        answer = self._ask(Verb.REHEARSE, {"state": shown, "names": list(names)})
        return [Seen.from_dict(item) for item in answer["seen"]]

    def _ask(self, verb: Verb, params: dict[str, Any]) -> dict[str, Any]:
        return self._converse(verb, params, _ignore)

    def _follow(
        self, verb: Verb, params: dict[str, Any], on_step: Callable[[StepEvent], None]
    ) -> ApplyReport:
        answer = self._converse(verb, params, lambda event: on_step(StepEvent.from_dict(event)))
        return ApplyReport.from_dict(answer)

    def _converse(
        self, verb: Verb, params: dict[str, Any], on_event: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        for message in self._messages(Request(verb, params, self.request_id)):
            if "event" in message:
                on_event(message["event"])
            elif "error" in message:
                raise AgentError(Problem.from_dict(message["error"]))
            elif isinstance(message.get("result"), dict):
                return dict(message["result"])
        raise AgentError.because("agent.hung_up", verb=str(verb))

    def _messages(self, request: Request) -> Iterator[dict[str, Any]]:
        line = protocol.encode(
            {
                "verb": str(request.verb),
                "params": request.params,
                "request_id": request.request_id,
            }
        )
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_LONGEST_SILENCE)
            try:
                connection.connect(str(self.socket_path))
                # An agent that refuses us hangs up before it has read all; its answer says why.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(line)
                with connection.makefile("rb") as answers:
                    while answer := answers.readline(protocol.MAX_MESSAGE + 1):
                        yield protocol.decode(answer)
            except TimeoutError:
                raise AgentError.because("agent.silent", verb=str(request.verb)) from None
            except OSError as error:
                raise AgentError.because(
                    "agent.unreachable", detail=error.strerror or "no answer"
                ) from None


def _ignore(_: object) -> None:
    """Plain questions have no steps."""
