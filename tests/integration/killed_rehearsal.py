"""An agent that kills itself in a rehearsal: ``python -m ... CONFIG STATE POINT``.

Run by ``test_rehearsal``. What it wraps is the scratch server; the rehearsal is the agent's own.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from mailadmin.agent.config import AgentConfig
from mailadmin.agent.host import Host
from mailadmin.agent.rehearsing import Rehearser, look_briefly
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.services import Daemon
from mailadmin.mailconf.state import DesiredState
from tests.integration.killed_agent import die, wrap

# Where the agent dies: after the deed, or while Postfix' own script is still starting it.
POINTS = (
    "after the files",
    "after the start of Dovecot",
    "while Postfix starts",
    "after the start of Postfix",
    "after the handshakes",
)


def arm(host: Host, point: str) -> None:
    """Set the trap."""
    scratch = host.scratch
    if point == "after the files":
        wrap(scratch, "write")
    elif point == "after the start of Dovecot":
        wrap(scratch, "start")
    elif point == "after the start of Postfix":
        wrap(scratch, "start", number=2)
    elif point == "while Postfix starts":
        start = scratch.start

        def start_and_die(daemon: Daemon, *, timeout: float) -> None:
            if daemon is Daemon.POSTFIX:
                threading.Timer(0.05, die).start()
            start(daemon, timeout=timeout)

        scratch.start = start_and_die  # type: ignore[method-assign]


def main(config_file: Path, state_file: Path, point: str) -> None:
    """Rehearse the state and die on the way."""
    host = Host(AgentConfig.load(config_file))
    host.store.prepare()
    host.store.lock()
    arm(host, point)

    def look(expected: Sequence[Expectation]) -> list[Seen]:
        seen = look_briefly(expected)
        if point == "after the handshakes":
            die()
        return seen

    state = DesiredState.from_dict(json.loads(state_file.read_text()))
    Rehearser(host, look).rehearse(state, ())
    sys.exit("not killed at all")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
