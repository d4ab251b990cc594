"""How long work waits in the queue, and how long a person waits from the click to the proof."""

from __future__ import annotations

import json

from tests.bench.figures import Figures
from tests.stacks import RunningStack, run_stack

_READ = (
    "import json; from mailadmin.deployments.models import Deployment as D; "
    "print(json.dumps([[(d.started_at - d.requested_at).total_seconds(), d.proof_ms] "
    "for d in D.objects.filter(kind='apply', status='succeeded').order_by('number')]))"
)


def measure_queueing(runs: int) -> list[Figures]:
    """Return the seconds from the request to its start by a worker, and on to the proof."""
    waited = Figures("request -> started by a worker")
    proven = Figures("request -> first proof (a port opened or closed)")
    with run_stack() as running:
        for number in range(runs):
            _toggle(running, is_open=bool(number % 2))
        for seconds, proof_ms in json.loads(running.shell(_READ)):
            waited.add(seconds)
            proven.add(seconds + proof_ms / 1000)
    return [waited, proven]


def _toggle(running: RunningStack, *, is_open: bool) -> None:
    running.manage("listener", "pop3", "--enable" if is_open else "--disable")
    done = running.manage("apply", "--wait")
    assert done.returncode == 0, done.stderr
