"""What applying costs the people who send and read meanwhile: ``python -m tests.bench.load``.

Each row is a run of its own on a mail server of its own: clients that never try twice send, read
by IMAP IDLE and log in all the time, while it is changed again and again. Beside the panel's agent
stand the two things that one does by hand: a reload of both daemons, and a restart.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from mailadmin.mailconf.state import DesiredState
from mailadmin.sandbox import Sandbox
from tests.bench.figures import Figures
from tests.integration.mail_host import MailHost
from tests.integration.traffic import Fault, Tally, Traffic, add_mailboxes
from tests.states import make_material, with_default, with_open

_SLOW_LOGINS = 5
_SPACING = 5.0  # the agent's own, between two applies
# A reload by hand is over at once, an apply watches for two seconds more: as often as the agent.
_PERIOD = 7.3


@dataclass
class Change:
    """One change that was made: what for, and from when to when (monotonic seconds)."""

    kind: str
    began: float
    ended: float


@dataclass
class Run:
    """One row of the table."""

    name: str
    tally: Tally
    changes: list[Change] = field(default_factory=list)
    load: float = 0.0

    def cut_while(self, kind: str) -> int:
        """Return how many logins were cut whose last change before was of this kind."""
        return sum(self._kind_at(fault) == kind for fault in self.tally.cut_logins)

    def _kind_at(self, fault: Fault) -> str:
        before = [item.kind for item in self.changes if item.began <= fault.at]
        return before[-1] if before else ""


Changing = Callable[[MailHost], Iterator[tuple[str, Callable[[], object]]]]


@contextlib.contextmanager
def _mail_host(clients: int, *, is_default: bool) -> Iterator[tuple[MailHost, list[str]]]:
    """Yield a mail server with mailboxes; ``is_default``: its Dovecot reloads as shipped."""
    with tempfile.TemporaryDirectory(prefix="ma-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        sandbox = Sandbox.create(folder / "mail")
        mailboxes = add_mailboxes(sandbox, clients)
        sandbox.start()
        host = MailHost(sandbox, folder, spacing=_SPACING)
        host.start_agent_process()
        try:
            host.base = host.full_state()
            host.apply(host.base)
            if is_default:
                host.edit(
                    host.dropin, host.dropin.read_text().replace("clients = no", "clients = yes")
                )
                sandbox.run_doveadm("reload")
                time.sleep(1)
            yield host, mailboxes
        finally:
            host.end_agent_process()
            sandbox.remove()


# What is done meanwhile


def _certificates(host: MailHost) -> Iterator[tuple[str, Callable[[], object]]]:
    """Another certificate each time, and another lowest TLS version each second time."""
    state = host.base
    number = 0
    while True:
        number += 1
        profile = ("intermediate", "modern")[number // 2 % 2]
        state = with_default(host.base, make_material(f"load {number}").certificate)
        state = replace(state, tls_profile=profile)
        yield "certificate", _applying(host, state)


def _ports(host: MailHost) -> Iterator[tuple[str, Callable[[], object]]]:
    """A certificate, a port of Dovecot, a certificate, a port of Postfix; and so on."""
    state, number = host.base, 0
    closed: set[str] = set()
    while True:
        number += 1
        if number % 2:
            state = with_default(state, make_material(f"load {number}").certificate)
            yield "certificate", _applying(host, state)
            continue
        service = ("pop3", "smtp")[number // 2 % 2]
        closed ^= {service}
        state = with_open(state, service, is_open=service not in closed)
        kind = "port of Dovecot" if service == "pop3" else "port of Postfix"
        yield kind, _applying(host, state)


def _applying(host: MailHost, state: DesiredState) -> Callable[[], object]:
    return lambda: host.apply(state)


def _by_hand(script: str) -> Changing:
    """Return what puts another certificate in place by rename, and then runs the script."""

    def change(host: MailHost) -> Iterator[tuple[str, Callable[[], object]]]:
        places = {"P": str(host.main_cf.parent), "D": str(host.sandbox.dovecot_config)}
        live = host.config.state_dir / "live" / "default.pem"
        number = 0
        while True:
            number += 1
            fresh = live.with_name("fresh.pem")
            fresh.write_text(make_material(f"load {number}").bundle)
            fresh.rename(live)
            yield "certificate", _running(script, places)

    return change


def _running(script: str, places: dict[str, str]) -> Callable[[], object]:
    command, environment = ["/bin/sh", "-c", script], os.environ | places
    # Not a pipe: a daemon that is started keeps it open, and we would wait for it.
    nowhere = subprocess.DEVNULL
    return lambda: subprocess.run(command, env=environment, stdout=nowhere, stderr=nowhere)


_RELOAD = 'postfix -c "$P" reload; doveadm -c "$D" reload'
_RESTART = (
    'postfix -c "$P" stop; doveadm -c "$D" stop; '
    'for i in 1 2 3 4 5; do dovecot -c "$D" && break; sleep 0.2; done; postfix -c "$P" start'
)
RUNS: dict[str, tuple[str, Changing, bool]] = {
    "certificates": ("panel: certificates, TLS versions", _certificates, False),
    "ports": ("panel: certificates and ports in turn", _ports, False),
    "reload": ("postfix reload; doveadm reload", _by_hand(_RELOAD), True),
    "restart": ("stop and start of both", _by_hand(_RESTART), True),
}


def measure(name: str, clients: int, seconds: float, most_changes: int | None, pause: float) -> Run:
    """Return what became of everything while the changes of this name were made."""
    title, changing, is_default = RUNS[name]
    with _mail_host(clients, is_default=is_default) as (host, mailboxes):
        traffic = Traffic(
            host.sandbox, host.certificate, mailboxes, slow_logins=_SLOW_LOGINS, pause=pause
        )
        traffic.start()
        begun = time.monotonic()
        changes = []
        for kind, change in changing(host):
            began = time.monotonic()
            change()
            changes.append(Change(kind, began, time.monotonic()))
            if name in {"reload", "restart"}:
                time.sleep(max(0.0, began + _PERIOD - time.monotonic()))
            is_over = time.monotonic() - begun >= seconds
            if len(changes) == most_changes or (most_changes is None and is_over):
                break
        return Run(title, traffic.stop(), changes, os.getloadavg()[0])


def print_run(run: Run) -> None:
    """Print one row, and below it what the faults were."""
    tally = run.tally
    times = Figures(run.name, tally.seconds)
    kinds = Counter(item.kind for item in run.changes)
    cut = ", ".join(f"{run.cut_while(kind)} ({kind})" for kind in kinds)
    print(f"\n{run.name}: {len(run.changes)} changes, load {run.load:.1f}")
    print(f"  SMTP sessions {tally.attempts}, failed {len(tally.smtp_faults)};", end=" ")
    print(f"p50 {times.median * 1000:.0f} ms, p95 {times.p95 * 1000:.0f}, ", end="")
    print(f"worst {max(tally.seconds) * 1000:.0f}")
    print(f"  messages {len(tally.sent)}, lost {len(tally.lost)}, doubled {len(tally.doubled)},")
    print(f"  logged-in sessions dropped {len(tally.dropped_sessions)};", end=" ")
    print(f"logins {len(tally.logins)}, cut {len(tally.cut_logins)}: {cut}")
    for faults in (tally.smtp_faults, tally.dropped_sessions, tally.cut_logins):
        for (stage, words), count in Counter((f.stage, f.words) for f in faults).most_common(3):
            print(f"    {count} x {stage}: {words}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="tests.bench.load", description=__doc__)
    parser.add_argument("runs", nargs="*", choices=[*RUNS, []], help="which; without: all")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--changes", type=int, help="this many, however long it takes")
    parser.add_argument("--pause", type=float, default=0.05, help="of a sender, in seconds")
    chosen = parser.parse_args()
    for name in chosen.runs or RUNS:
        print_run(measure(name, chosen.clients, chosen.seconds, chosen.changes, chosen.pause))


if __name__ == "__main__":
    main()
