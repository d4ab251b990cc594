"""How long a host with many names takes: ``python -m tests.bench.many_names --names 500``.

Plan, first apply, and an apply that renews one of the certificates, beside the bare floor: the same
files and maps put in place, both reloads, and a handshake for each port without a name.
"""

from __future__ import annotations

import argparse
import time

from mailadmin.agent.protocol import StepEvent, StepStatus
from mailadmin.mailconf.state import DesiredState
from tests.bench.applying import _mail_host, _replace_barely
from tests.bench.figures import Figures, print_figures
from tests.integration.mail_host import MailHost
from tests.states import make_material, with_name

_SPACING = 5.0


def build(state: DesiredState, names: int, certificates: int) -> DesiredState:
    """Return the state with so many names, shared out among so many certificates."""
    hosts = [f"mail{number}.example.test" for number in range(names)]
    materials = [
        make_material(f"many {number}", tuple(hosts[number::certificates]))
        for number in range(certificates)
    ]
    for number, host in enumerate(hosts):
        state = with_name(state, host, materials[number % certificates].certificate)
    return state


def measure(names: int, certificates: int) -> list[Figures]:
    """Return the figures of one run."""
    plan, first, proven, closed, floor = (
        Figures("plan"),
        Figures("first apply with all names -> first proof"),
        Figures("one more name -> first proof"),
        Figures("one more name -> watched, closed"),
        Figures("bare floor: one file, both reloads, 8 ports"),
    )
    with _mail_host() as host:
        base = host.full_state()
        host.apply(base)
        state = build(base, names, certificates)
        time.sleep(_SPACING)
        started = time.monotonic()
        host.plan(state)
        plan.add(time.monotonic() - started)
        first.add(_apply(host, state)[0])
        time.sleep(_SPACING)
        more = with_name(
            state, "one.example.test", make_material("one", ("one.example.test",)).certificate
        )
        times = _apply(host, more)
        proven.add(times[0])
        closed.add(times[1])
        time.sleep(_SPACING)
        floor.add(_replace_barely(host, base, 0))
    return [plan, first, proven, closed, floor]


def _apply(host: MailHost, state: DesiredState) -> tuple[float, float]:
    digest = host.plan(state).digest
    proven: list[float] = []

    def note(event: StepEvent) -> None:
        if event.code == "proved" and event.status is StepStatus.DONE:
            proven.append(time.monotonic() - started)

    started = time.monotonic()
    report = host.client.apply(
        state, digest=digest, deployment_id=f"bench-{time.monotonic_ns()}", on_step=note
    )
    assert report.outcome == "succeeded", report.problem
    return proven[0], time.monotonic() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="tests.bench.many_names", description=__doc__)
    parser.add_argument("--names", type=int, default=500)
    parser.add_argument("--certificates", type=int, default=200)
    chosen = parser.parse_args()
    title = f"{chosen.names} names, {chosen.certificates} certificates"
    print_figures(title, measure(chosen.names, chosen.certificates))


if __name__ == "__main__":
    main()
