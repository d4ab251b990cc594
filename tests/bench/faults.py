"""How an apply on real daemons ends, whatever happens at any call that changes a file.

``python -m tests.bench.faults``: the calls are found by an apply that works; then, at each, the
agent is killed, the disk is full from there on, fails once, or is read-only from there on. What is
counted is what the next start of the agent finds: the old state or the new one, to the last byte
and on every port, or anything else. The tests do the same on daemons that merely remember
(``tests/unit/agent/test_any_call.py``), because this takes minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from mailadmin.agent import proving
from mailadmin.agent.apply import Applier
from mailadmin.agent.planner import make_plan
from mailadmin.agent.probe import probe_all
from mailadmin.sandbox import Sandbox
from tests.file_calls import (
    Call,
    Fault,
    KilledError,
    failing_from,
    failing_once,
    killed_at,
    watching,
)
from tests.integration.mail_host import SERVICES, MailHost
from tests.states import make_material, with_default, with_open

_CLOSED = ("pop3", "submission")
FAULTS: dict[str, Callable[[int], Fault]] = {
    "killed": killed_at,
    "disk full from there on": lambda number: failing_from(number, errno.ENOSPC),
    "fails once": lambda number: failing_once(number, errno.EIO),
    "read-only from there on": lambda number: failing_from(number, errno.EROFS),
}


@contextlib.contextmanager
def _mail_host() -> Iterator[MailHost]:
    """Yield a mail server in a base state, with no agent running."""
    with tempfile.TemporaryDirectory(prefix="ma-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        sandbox = Sandbox.create(folder / "mail")
        sandbox.start()
        host = MailHost(sandbox, folder)
        host.start_agent()
        try:
            host.base = host.full_state()
            host.apply(host.base)
            yield host
        finally:
            host.stop_agent()
            sandbox.remove()


class Trial:
    """Applies one change again and again, each time with something going wrong."""

    def __init__(self, host: MailHost) -> None:
        self._host = host
        self._numbers = itertools.count()
        new = with_default(host.base, make_material("at any call").certificate)
        self.wanted = with_open(new, *_CLOSED, is_open=False)

    def calls(self) -> list[Call]:
        """Return the calls of an apply that works, and go back."""
        with watching(
            [self._host.config.state_dir, self._host.main_cf.parent.parent.parent]
        ) as seen:
            self._apply()
        self._host.apply(self._host.base)
        return list(seen.calls)

    def outcome(self, fault: Fault) -> str:
        """Return what stands after the fault and the next start of the agent."""
        host = self._host
        files, leaves = host.files(), host.leaves()
        with contextlib.suppress(KilledError), watching(self._folders(), fault):
            self._apply()
        host.stop_agent()
        host.start_agent()
        if host.files() == files and host.leaves() == leaves:
            return "old state"
        if host.leaves() == self._new_leaves() and not host.plan(self.wanted).files:
            host.apply(host.base)
            return "new state"
        host.apply(host.base)
        return "ANYTHING ELSE"

    def _folders(self) -> list[Path]:
        return [self._host.config.state_dir, self._host.sandbox.settings.root]

    def _new_leaves(self) -> dict[str, str]:
        leaf = self.wanted.default_certificate
        return {name: "" if name in _CLOSED else leaf for name in SERVICES}

    def _apply(self) -> None:
        host = self._host.agent.host
        digest = make_plan(self.wanted, host).digest
        Applier(host, lambda wanted, thorough: probe_all(wanted, is_thorough=thorough)).apply(
            self.wanted,
            digest=digest,
            deployment_id=f"fault-{next(self._numbers)}",
            tell=lambda _: None,
        )


def main() -> None:
    """Try each fault at each call and print how often which state stands."""
    parser = argparse.ArgumentParser(prog="tests.bench.faults", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="only each n-th call")
    parser.add_argument("--calls", action="store_true", help="list the calls")
    chosen = parser.parse_args()
    # As in the tests: two seconds of watching after each proof are not the point here.
    proving._WATCH, proving._WATCH_PAUSE, proving._PATIENCE = 0.2, 0.1, 4.0
    with _mail_host() as host:
        trial = Trial(host)
        calls = trial.calls()
        if chosen.calls:
            print("\n".join(map(str, calls)))
        tried = calls[:: chosen.every]
        print(f"{len(calls)} calls that change a file, {len(tried)} of them tried")
        for name, make in FAULTS.items():
            ends = Counter(trial.outcome(make(call.number)) for call in tried)
            print(
                f"  {name:26}", ", ".join(f"{ends[end]} {end}" for end in sorted(ends)), flush=True
            )


if __name__ == "__main__":
    main()
