"""The table of hosts (``tests/fixtures/hosts``): is planning right after adopting an empty diff?

``python -m tests.bench.adopting`` prints it as Markdown; the exit code is 1 unless every diff is
empty and every way back, after another certificate and a closed port, restores every byte.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from mailadmin.agent.observing import observe_as_left
from mailadmin.agent.planner import Plan, make_plan
from mailadmin.mailconf.state import DesiredState
from tests.host_fixtures import NAMES, HostFixture, set_up_host
from tests.states import make_material, with_default, with_open


def main() -> int:
    """Print a row for each host."""
    print("| host | Dovecot | ports | certificates | names | left alone | ms | empty diff | back |")
    print("|---|---|---|---|---|---|---|---|---|")
    outcomes = [_try(name) for name in NAMES]
    return 0 if all(outcomes) else 1


def _try(name: str) -> bool:
    with tempfile.TemporaryDirectory(prefix="adopting-") as folder:
        found = set_up_host(name, Path(folder))
        begun = time.perf_counter()
        adopted = observe_as_left(found.host, "mail.example.test")[1]
        is_empty = not make_plan(adopted.state, found.host).report().files
        milliseconds = round((time.perf_counter() - begun) * 1000)
        is_restored = _goes_back(found, adopted.state)
    state = adopted.state
    cells = (
        name,
        found.about["dovecot"],
        len(state.enabled_listeners),
        len(state.certificates),
        len(state.sni_bindings),
        len(adopted.findings),
        milliseconds,
        "yes" if is_empty else "NO",
        "to the byte" if is_restored else "NO",
    )
    print(f"| {' | '.join(map(str, cells))} |", flush=True)
    return is_empty and is_restored


def _goes_back(found: HostFixture, state: DesiredState) -> bool:
    before = found.snapshot()
    changed = with_default(state, make_material("other").certificate)
    written = _put(found, with_open(changed, "imaps", is_open=False))
    is_changed = found.snapshot() != before and not written.is_hosts_own
    left = _put(found, state)
    return is_changed and left.is_hosts_own and found.snapshot() == before


def _put(found: HostFixture, state: DesiredState) -> Plan:
    plan = make_plan(state, found.host)
    found.host.put_files(plan.found, plan.rendered)
    return plan


if __name__ == "__main__":
    sys.exit(main())
