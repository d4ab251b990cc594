"""Have the mail host answer an authority on port 80 (RFC 8555, section 8.3)."""

from __future__ import annotations

from dataclasses import dataclass

from mailadmin.agent.client import AgentClient
from mailadmin.agent.protocol import AgentError, ChallengeWay
from mailadmin.deployments.runner.asking import agent_of
from mailadmin.pki.problems import Problem
from mailadmin.servers.models import MailServer


@dataclass(frozen=True, slots=True)
class HostWay:
    """How the mail host could answer now; ``way`` is None if it could not.

    ``problem`` says why its agent cannot listen, if that is so.
    """

    way: ChallengeWay | None
    problem: Problem | None


def present_challenge(
    server: MailServer | None,
    token: str,
    key_authorization: str,
    *,
    seconds: int,
    way: ChallengeWay | None = None,
) -> ChallengeWay:
    """Have it answered for so many seconds, at most an hour; returns by whom.

    ``way`` insists on one of them. Raises ``AgentError``; then nothing was published.
    """
    agent = _agent_of(server)
    return agent.present_challenge(token, key_authorization, seconds=seconds, way=way)


def withdraw_challenge(server: MailServer | None, token: str) -> None:
    """Have it answered no longer; one that is not answered is no mistake. Raises ``AgentError``."""
    _agent_of(server).withdraw_challenge(token)


def find_host_way(server: MailServer) -> HostWay:
    """Ask how the host could answer now. Raises ``AgentError``."""
    found = agent_of(server).observe().get("http01", {})
    problem = found.get("problem")
    return HostWay(
        ChallengeWay(found["way"]) if found.get("way") else None,
        Problem.from_dict(problem) if problem else None,
    )


def _agent_of(server: MailServer | None) -> AgentClient:
    if server is None:
        raise AgentError.because("http01.no_server")
    return agent_of(server)
