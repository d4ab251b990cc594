"""A host as its own files have it, the state that leaves it so, and the plan that proves it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from django.conf import settings

from mailadmin.agent.client import AgentClient
from mailadmin.agent.config import AgentConfig
from mailadmin.agent.host import Host
from mailadmin.agent.observing import observe_as_left
from mailadmin.agent.planner import make_plan
from mailadmin.agent.protocol import AgentError, PlanReport
from mailadmin.audit.request_id import current_request_id
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Problem


@dataclass(frozen=True, slots=True)
class HostAsLeft:
    """What was understood, what was not, and what applying that state would change: nothing."""

    versions: dict[str, str]
    state: DesiredState
    findings: tuple[Problem, ...]
    plan: PlanReport
    # Which program listens on a port now.
    programs: Mapping[str, str] = field(default_factory=dict)
    # Why the agent would hand over no key.
    keys_refused: Problem | None = None

    @property
    def is_unchanged(self) -> bool:
        """Tell whether applying would leave every byte as it is."""
        return not self.plan.files

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form: no PEM, no key."""
        state = self.state.as_dict()
        return {
            "digest": self.state.digest,
            "versions": self.versions,
            "host_name": self.state.host_name,
            "default_certificate": self.state.default_certificate,
            "listeners": state["listeners"],
            "certificates": state["certificates"],
            "sni_bindings": state["sni_bindings"],
            "programs": dict(self.programs),
            "keys_refused": self.keys_refused.as_dict() if self.keys_refused else None,
            "not_understood": [item.as_dict() for item in self.findings],
            "plan": {
                "is_empty": self.is_unchanged,
                "files": [dict(item) for item in self.plan.files],
                "problems": [item.as_dict() for item in self.plan.problems],
            },
        }


def look_as_left(host_name: str, agent_socket: str = "") -> HostAsLeft:
    """Ask the agent, and have it plan what was found. Raises ``AgentError``."""
    socket = Path(agent_socket) if agent_socket else settings.AGENT_SOCKET
    agent = AgentClient(socket, current_request_id())
    found = agent.observe_as_left(host_name)
    state = DesiredState.from_dict(found["state"])
    refused = found["keys_refused"]
    return HostAsLeft(
        versions=found["versions"],
        state=state,
        findings=tuple(Problem.from_dict(item) for item in found["findings"]),
        plan=agent.plan(state),
        programs=found["programs"],
        keys_refused=Problem.from_dict(refused) if refused else None,
    )


def fetch_keys(found: HostAsLeft, agent_socket: str = "") -> dict[str, str]:
    """Return the keys of every certificate that was found, as PEM by fingerprint.

    For whoever seals them at once; nobody else is to see them. Raises ``AgentError``.
    """
    wanted = {item.fingerprint: item.label for item in found.state.certificates}
    socket = Path(agent_socket) if agent_socket else settings.AGENT_SOCKET
    keys = AgentClient(socket, current_request_id()).hand_over_keys(sorted(wanted))
    missing = sorted(label for item, label in wanted.items() if item not in keys)
    if missing:
        raise AgentError.because("adopting.keys_incomplete", labels=", ".join(missing))
    return keys


def read_copy(host_name: str, postfix: Path, dovecot: Path) -> HostAsLeft:
    """Read a copy of a configuration with this machine's own programs; nothing is started.

    ``postfix`` is a folder, ``dovecot`` a file, both absolute. Raises ``AgentError``.
    """
    with tempfile.TemporaryDirectory(prefix="mailadmin-") as folder:
        host = Host(_config_of_copy(Path(folder), postfix, dovecot))
        host.store.prepare()
        found, adopted = observe_as_left(host, host_name)
        plan = make_plan(adopted.state, host).report()
    # Nobody runs a copy.
    problems = tuple(item for item in plan.problems if item.code != "daemon.down")
    report = replace(plan, problems=problems)
    return HostAsLeft(found.versions, adopted.state, adopted.findings, report)


def _config_of_copy(folder: Path, postfix: Path, dovecot: Path) -> AgentConfig:
    return AgentConfig.from_dict(
        {
            "socket": str(folder / "socket"),
            "state_dir": str(folder / "state"),
            "postfix": {"config_directory": str(postfix)},
            "dovecot": {
                "config_file": str(dovecot),
                "dropin": str(dovecot.parent / "conf.d" / "99-mailadmin.conf"),
                "base_dir": str(folder / "run"),
            },
        }
    )
