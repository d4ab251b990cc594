"""An agent that kills itself at a chosen point of an apply: ``python -m ... CONFIG STATE POINT``.

Run by ``test_agent_killed``. What it wraps is the host; the apply is the agent's own.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mailadmin.agent.host as host_module
from mailadmin.agent.apply import Applier
from mailadmin.agent.config import AgentConfig
from mailadmin.agent.host import Host
from mailadmin.agent.planner import make_plan
from mailadmin.agent.probe import probe_all
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.state import DesiredState

# Where the agent dies: the deed, and whether before or after it.
POINTS = (
    "after staging",
    "before the journal",
    "after the journal",
    "after the switch of live",
    "after the first file",
    "after the second file",
    "after all files",
    "after telling Dovecot",
    "before telling Postfix",
    "after telling Postfix",
    "after the proof",
    "before the result",
    "after the result",
    "after the journal is gone",
)
# Nothing has been touched yet; or all is proven and written down.
UNTOUCHED = POINTS[:2]
DONE = POINTS[-2:]


def die() -> None:
    """End as by ``kill -9``: nothing is caught, flushed or closed."""
    os.kill(os.getpid(), signal.SIGKILL)


def wrap(owner: Any, name: str, *, is_before: bool = False, number: int = 1) -> None:
    """Let a deed be the last one: at its ``number``-th call."""
    deed: Callable[..., Any] = getattr(owner, name)
    count = 0

    def last_deed(*arguments: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if is_before and count == number:
            die()
        result = deed(*arguments, **named)
        if count == number:
            die()
        return result

    setattr(owner, name, last_deed)


def arm(host: Host, point: str) -> None:
    """Set the trap."""
    store = host.store
    {
        "after staging": lambda: wrap(host, "write_generation"),
        "before the journal": lambda: wrap(store, "begin", is_before=True),
        "after the journal": lambda: wrap(store, "begin"),
        "after the switch of live": lambda: wrap(store, "switch_live"),
        "after the first file": lambda: wrap(host_module, "replace_file"),
        "after the second file": lambda: wrap(host_module, "replace_file", number=2),
        "after all files": lambda: wrap(host, "put_files"),
        "after telling Dovecot": lambda: (
            wrap(host.dovecot, "reload"),
            wrap(host.dovecot, "reread"),
        ),
        "before telling Postfix": lambda: wrap(host.postfix, "reload", is_before=True),
        "after telling Postfix": lambda: wrap(host.postfix, "reload"),
        "after the proof": lambda: None,
        "before the result": lambda: wrap(store, "save_result", is_before=True),
        "after the result": lambda: wrap(store, "save_result"),
        "after the journal is gone": lambda: wrap(store, "end"),
    }[point]()


def main(config_file: Path, state_file: Path, point: str) -> None:
    """Apply the state and die on the way."""
    config = AgentConfig.load(config_file)
    state = DesiredState.from_dict(json.loads(state_file.read_text()))
    host = Host(config)
    host.store.prepare()
    host.store.lock()
    arm(host, point)
    thorough = 0

    def probe(expected: list[Expectation], is_thorough: bool) -> list[Seen]:
        nonlocal thorough
        if point == "after the proof" and thorough:
            die()
        seen = probe_all(expected, is_thorough=is_thorough)
        thorough += is_thorough
        return seen

    digest = make_plan(state, host).digest
    report = Applier(host, probe).apply(
        state, digest=digest, deployment_id="killed", tell=lambda _: None
    )
    sys.exit(f"not killed at all: {report.outcome} {report.problem}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
