"""How long a certificate takes from ``apply`` to proof, beside the least that it could take.

The bare floor is what a shell script would do: put the PEM file in place by rename, ``postfix
reload``, ``doveadm reload``, and connect to the same ports until all of them show the new
certificate. It checks nothing beforehand, keeps nothing to go back to, and is asked by the same
quick handshakes as ours. Both take turns in one run, on one sandbox.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mailadmin.agent.probe import probe_all
from mailadmin.agent.protocol import StepEvent, StepStatus
from mailadmin.mailconf.proof import expectations
from mailadmin.mailconf.state import DesiredState
from mailadmin.sandbox import Sandbox
from tests.bench.figures import Figures
from tests.integration.mail_host import MailHost
from tests.states import make_material, with_default

# Applies and reloads are kept this far apart, as on a real host (reloads closer starve Postfix).
_SPACING = 5.0
_LIMIT = 15.0


@contextmanager
def _mail_host() -> Iterator[MailHost]:
    with tempfile.TemporaryDirectory(prefix="ma-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        sandbox = Sandbox.create(folder / "mail")
        sandbox.start()
        host = MailHost(sandbox, folder)
        host.start_agent()
        try:
            yield host
        finally:
            host.stop_agent()
            sandbox.remove()


def measure_applying(runs: int) -> list[Figures]:
    """Return the figures: to the first proof, to the end of the watch, and the floor."""
    proven, watched, floor = (
        Figures("apply -> first proof on 8 ports"),
        Figures("apply -> watched for 2 s, closed"),
        Figures("bare floor: write, reload both, poll 8 ports"),
    )
    with _mail_host() as host:
        state = host.full_state()
        host.apply(state)
        for number in range(runs):
            state = with_default(state, make_material(f"ours {number}").certificate)
            time.sleep(_SPACING)
            ours = _apply(host, state)
            proven.add(ours[0])
            watched.add(ours[1])
            time.sleep(_SPACING)
            floor.add(_replace_barely(host, state, number))
    return [proven, watched, floor]


def _apply(host: MailHost, state: DesiredState) -> tuple[float, float]:
    """Return the seconds to the first proof and to the report; the plan was reviewed before."""
    digest = host.plan(state).digest
    proven: list[float] = []

    def note(event: StepEvent) -> None:
        if event.code == "proved" and event.status is StepStatus.DONE:
            proven.append(time.monotonic() - started)

    started = time.monotonic()
    deployment_id = f"bench-{time.monotonic_ns()}"
    report = host.client.apply(state, digest=digest, deployment_id=deployment_id, on_step=note)
    assert report.outcome == "succeeded", report.problem
    return proven[0], time.monotonic() - started


def _replace_barely(host: MailHost, state: DesiredState, number: int) -> float:
    """Return the seconds that the bare script takes for a certificate of its own."""
    material = make_material(f"floor {number}")
    live = host.config.state_dir / "live" / "default.pem"
    script = (
        f'cp "{host.folder}/new.pem" "{live}.new" && mv "{live}.new" "{live}"\n'
        f'postfix -c "{host.main_cf.parent}" reload\n'
        f'doveadm -c "{host.sandbox.dovecot_config}" reload\n'
    )
    (host.folder / "new.pem").write_text(material.bundle)
    wanted = material.certificate.fingerprint
    asked = [item for item in expectations(state) if item.is_open]
    started = time.monotonic()
    subprocess.run(["/bin/sh", "-c", script], check=True, capture_output=True)
    while any(seen.fingerprint != wanted for seen in probe_all(asked, is_thorough=False)):
        assert time.monotonic() - started < _LIMIT, "the floor never showed its certificate"
    return time.monotonic() - started
