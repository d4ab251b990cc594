"""An agent that kills itself on the way into or out of a trial.

``python -m ... CONFIG POINT [STATE]``, run by ``test_trial_killed``. With a state that is put on
trial, else the one on trial is taken back.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mailadmin.agent.host.store as store_module
from mailadmin.agent.apply import Applier
from mailadmin.agent.config import AgentConfig
from mailadmin.agent.host import Host
from mailadmin.agent.planner import make_plan
from mailadmin.agent.probe import probe_all
from mailadmin.agent.protocol import StepEvent
from mailadmin.agent.trials import DECLINED
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.state import DesiredState
from tests.integration.killed_agent import wrap

INTO = (
    "before it is noted",
    "after it is noted",
    "before the result",
    "after the result",
    "after the journal is gone",
)
# Success has not been told yet: what was before comes back.
NOT_TOLD = INTO[:3]
BACK = (
    "before it is noted",
    "after it is noted",
    "after the first file",
    "after the second file",
    "after all files",
    "after telling Dovecot",
    "before telling Postfix",
    "after telling Postfix",
    "before the result",
    "after the result",
    "after it is forgotten",
    "after the journal is gone",
)
# Nobody can know that it was to be taken back: it goes on waiting.
NOT_NOTED = BACK[:1]


def arm(host: Host, point: str) -> None:
    """Set the trap."""
    {
        "before it is noted": lambda: wrap(host.trial, "keep", is_before=True),
        "after it is noted": lambda: wrap(host.trial, "keep"),
        "after the first file": lambda: wrap(store_module, "restore_file"),
        "after the second file": lambda: wrap(store_module, "restore_file", number=2),
        "after all files": lambda: wrap(host.store, "undo_files"),
        "after telling Dovecot": lambda: (
            wrap(host.dovecot, "reload"),
            wrap(host.dovecot, "reread"),
        ),
        "before telling Postfix": lambda: wrap(host.postfix, "reload", is_before=True),
        "after telling Postfix": lambda: wrap(host.postfix, "reload"),
        "before the result": lambda: wrap(host.store, "save_result", is_before=True),
        "after the result": lambda: wrap(host.store, "save_result"),
        "after it is forgotten": lambda: wrap(host.trial, "drop"),
        "after the journal is gone": lambda: wrap(host.store, "end"),
    }[point]()


def main(config_file: Path, point: str, state_file: Path | None) -> None:
    """Do it, and die on the way."""
    host = Host(AgentConfig.load(config_file))
    host.store.prepare()
    host.store.lock()
    applier = Applier(host, _probe)
    trials = applier.trials
    if state_file is None:
        trial = trials.find()
        assert trial is not None
        arm(host, point)
        trials.take_back(trial, DECLINED, _ignore)
    else:
        state = DesiredState.from_dict(json.loads(state_file.read_text()))
        digest = make_plan(state, host).digest
        arm(host, point)
        applier.apply(
            state, digest=digest, deployment_id="killed", tell=_ignore, confirm_within=300
        )
    sys.exit("not killed at all")


def _probe(expected: list[Expectation], is_thorough: bool) -> list[Seen]:
    return probe_all(expected, is_thorough=is_thorough)


def _ignore(_: StepEvent) -> None:
    """Nobody follows."""


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]) if len(sys.argv) > 3 else None)
