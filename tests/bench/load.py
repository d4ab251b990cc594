"""What applying costs the people who send and read meanwhile: ``python -m tests.bench.load``.

Each row is a run of its own on a mail server of its own: 20 clients send with TLS and login, 20
read by IMAP IDLE and five log in slowly, while the server is changed again and again. ``--changes
60`` makes 60 changes however long they take. The panel's rows drive its agent with the panel's own
five seconds between two applies; ``--spacing 0`` sends the next as soon as the last is proven.

Beside them stand the two things that one does by hand, with another certificate put in place by a
rename each time: a reload of both daemons as they are shipped, and a restart of each. They begin
at the moments at which the panel's changes began: those of the row before, or of ``--times FILE``,
which a panel's row writes. One that takes longer than that is followed by the next at once.

What is counted, each fault by the change that began last before it:

* *lost*: accepted with 250, in no mailbox at the end. *doubled*: in a mailbox more than once.
* *failed*: an SMTP session that was begun and broke off, whichever word of it was cut.
* *refused*: a client, sending or reading, that found nobody listening: once for each closed door,
  however often it knocks. It knocks again after half a second: that is what mail programs do that
  are told to, and clients in a tight loop would make a million failures of one stop. How long all
  of them together stood outside is given beside it.
* *dropped*: a session that was logged in. Readers log in again, so each change meets all of them.
* *cut*: a connection to IMAP that ended between its first byte and the end of LOGIN.
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import itertools
import json
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from pathlib import Path

from mailadmin.agent.protocol import Outcome
from mailadmin.mailconf.state import DesiredState
from mailadmin.sandbox import Sandbox
from tests.bench.figures import Figures
from tests.integration.mail_host import MailHost
from tests.integration.traffic import Fault, Tally, Traffic, add_mailboxes
from tests.states import make_material, with_default, with_open

_SLOW_LOGINS = 5
_SPACING = 5.0  # the panel's and the agent's own, between two applies
# Without moments to follow: a reload by hand is over at once, an apply watches for two seconds.
_PERIOD = 7.3
# A copy is stamped when it comes in, and doubled when the change cuts its delivery a moment later.
_DELIVERY = 0.3
_CERTIFICATE, _TLS = "certificate", "certificate, TLS version"
_DOVECOT, _POSTFIX = "port of Dovecot", "port of Postfix"


@dataclass
class Change:
    """One change: what for, from and until when (monotonic seconds), whether it is proven."""

    kind: str
    began: float
    ended: float
    is_proven: bool


@dataclass
class Run:
    """One row of the table."""

    name: str
    tally: Tally
    seconds: float
    changes: list[Change] = field(default_factory=list)
    load: float = 0.0

    @property
    def kinds(self) -> list[str]:
        """Return what the changes were for."""
        return sorted({change.kind for change in self.changes})

    def moments(self) -> list[float]:
        """Return when each change began, in seconds after the first."""
        return [change.began - self.changes[0].began for change in self.changes]

    def count(self, moments: Sequence[float], kind: str) -> int:
        """Return how many of these (monotonic seconds) belong to changes of this kind."""
        return sum(self._kind_at(moment) == kind for moment in moments)

    def _kind_at(self, moment: float) -> str:
        # What comes before the first change belongs to it: nothing may go wrong then.
        begun = bisect.bisect_right([change.began for change in self.changes], moment)
        return self.changes[max(0, begun - 1)].kind

    def lost(self) -> list[float]:
        """Return when each message was accepted that never arrived."""
        return [self.tally.sent[subject] for subject in self.tally.lost]

    def doubled(self) -> list[float]:
        """Return when each message arrived that arrived more than once."""
        since_boot = time.monotonic() - time.time()
        copies = (self.tally.delivered[subject] for subject in self.tally.doubled)
        return [min(times) + since_boot + _DELIVERY for times in copies]


class Dovecot(Enum):
    """How Dovecot is set up before the clients come."""

    AS_SHIPPED = auto()  # a reload ends sessions
    BY_PANEL = auto()
    IN_TWO = auto()  # its ports in an instance of their own


# What makes one change and tells whether it is proven, and what it is for.
Step = tuple[str, Callable[[], bool]]
Changing = Callable[[MailHost], Iterator[Step]]


@contextlib.contextmanager
def _mail_host(
    clients: int, spacing: float, dovecot: Dovecot
) -> Iterator[tuple[MailHost, list[str]]]:
    """Yield a mail server with mailboxes."""
    with tempfile.TemporaryDirectory(prefix="ma-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        sandbox = Sandbox.create(folder / "mail")
        mailboxes = add_mailboxes(sandbox, clients)
        sandbox.start()
        host = MailHost(sandbox, folder, spacing=spacing)
        host.start_agent_process()
        try:
            is_split = dovecot is Dovecot.IN_TWO
            host.base = replace(host.full_state(), is_dovecot_split=is_split)
            host.apply(host.base)
            if dovecot is Dovecot.AS_SHIPPED:
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


def _certificates(host: MailHost) -> Iterator[Step]:
    """Another certificate each time, and another lowest TLS version each second time."""
    for number in itertools.count(1):
        profile = ("intermediate", "modern")[number // 2 % 2]
        state = with_default(host.base, make_material(f"load {number}").certificate)
        yield _TLS, _applying(host, replace(state, tls_profile=profile), number)


def _ports(host: MailHost) -> Iterator[Step]:
    """A certificate, a port of Postfix, a certificate, a port of Dovecot; and so on."""
    state = host.base
    closed: set[str] = set()
    for number in itertools.count(1):
        if number % 2:
            state = with_default(state, make_material(f"load {number}").certificate)
            yield _CERTIFICATE, _applying(host, state, number)
            continue
        service = ("pop3", "smtp")[number // 2 % 2]
        closed ^= {service}
        state = with_open(state, service, is_open=service not in closed)
        kind = _DOVECOT if service == "pop3" else _POSTFIX
        yield kind, _applying(host, state, number)


def _applying(host: MailHost, state: DesiredState, number: int) -> Callable[[], bool]:
    def apply() -> bool:
        digest = host.plan(state).digest
        report = host.client.apply(
            state, digest=digest, deployment_id=f"load-{number}", on_step=lambda _: None
        )
        if report.outcome is not Outcome.SUCCEEDED:
            print(f"  change {number} ended {report.outcome}: {report.problem}")
        return report.outcome is Outcome.SUCCEEDED

    return apply


def _by_hand(script: str) -> Changing:
    """Return what puts another certificate in place by rename, and then runs the script."""

    def change(host: MailHost) -> Iterator[Step]:
        places = {"P": str(host.main_cf.parent), "D": str(host.sandbox.dovecot_config)}
        live = host.config.state_dir / "live" / "default.pem"
        for number in itertools.count(1):
            fresh = live.with_name("fresh.pem")
            fresh.write_text(make_material(f"load {number}").bundle)
            fresh.rename(live)
            yield _CERTIFICATE, _running(script, places)

    return change


def _running(script: str, places: dict[str, str]) -> Callable[[], bool]:
    command, environment = ["/bin/sh", "-c", script], os.environ | places

    def run() -> bool:
        # Not a pipe: a daemon that is started keeps it open, and we would wait for it.
        nowhere = subprocess.DEVNULL
        return not subprocess.run(
            command, env=environment, stdout=nowhere, stderr=nowhere
        ).returncode

    return run


_RELOAD = 'postfix -c "$P" reload && doveadm -c "$D" reload'
# One daemon after the other, as `systemctl restart` does it: neither is away longer than it must.
_RESTART = (
    'postfix -c "$P" stop; postfix -c "$P" start || exit; doveadm -c "$D" stop; '
    'for i in 1 2 3 4 5 6 7 8 9; do dovecot -c "$D" && exit; sleep 0.2; done; exit 1'
)
RUNS: dict[str, tuple[str, Changing, Dovecot]] = {
    "certificates": ("panel: certificates, TLS versions", _certificates, Dovecot.BY_PANEL),
    "ports": ("panel: certificates and ports in turn", _ports, Dovecot.BY_PANEL),
    "split": ("panel: the same, Dovecot in two instances", _ports, Dovecot.IN_TWO),
    "reload": ("postfix reload; doveadm reload", _by_hand(_RELOAD), Dovecot.AS_SHIPPED),
    "restart": ("stop and start of both", _by_hand(_RESTART), Dovecot.AS_SHIPPED),
}
_BY_HAND = ("reload", "restart")


@dataclass(frozen=True)
class Load:
    """How many clients, how long a sender rests (seconds), and how far applies are kept apart."""

    clients: int
    pause: float
    spacing: float


def measure(name: str, load: Load, is_over: Callable[[int, float], bool], moments: Moments) -> Run:
    """Return what became of everything while the changes of this name were made.

    ``is_over`` is asked after each change: how many there were, and for how many seconds.
    """
    title, changing, dovecot = RUNS[name]
    with _mail_host(load.clients, load.spacing, dovecot) as (host, mailboxes):
        traffic = Traffic(
            host.sandbox, host.certificate, mailboxes, slow_logins=_SLOW_LOGINS, pause=load.pause
        )
        traffic.start()
        begun = time.monotonic()
        changes: list[Change] = []
        for kind, change in changing(host):
            if name in _BY_HAND:
                traffic.pass_time(begun + moments.of(len(changes)))
            began = time.monotonic()
            is_proven = change()
            changes.append(Change(kind, began, time.monotonic(), is_proven))
            if is_over(len(changes), time.monotonic() - begun):
                break
        # What the last one does to others shows in the seconds after it, as with all before.
        traffic.pass_time(time.monotonic() + _SPACING)
        seconds = time.monotonic() - begun
        average = os.getloadavg()[0]
        return Run(title, traffic.stop(), seconds, changes, average)


class Moments:
    """When changes by hand begin, in seconds: as the panel's did, if that is known."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known: list[float] = []
        if file is not None and file.exists():
            self._known = json.loads(file.read_text())

    def keep(self, moments: list[float]) -> None:
        """Let the rows after this one, and later calls, follow it."""
        self._known = moments
        if self._file is not None:
            self._file.write_text(json.dumps(moments))

    def of(self, number: int) -> float:
        """Return when the change of this number (from 0) begins."""
        return self._known[number] if number < len(self._known) else number * _PERIOD


def print_run(run: Run) -> None:
    """Print one row, and below it what the faults were."""
    tally = run.tally
    times = Figures(run.name, tally.seconds)
    took = Figures(run.name, [change.ended - change.began for change in run.changes])
    print(f"\n{run.name}: {len(run.changes)} changes in {run.seconds:.0f} s, load {run.load:.1f};")
    print(f"  not proven {sum(not change.is_proven for change in run.changes)};", end=" ")
    print(f"one takes {took.median:.2f} s (median), {max(took.seconds):.2f} (longest)")
    print(f"  SMTP sessions {tally.attempts}: p50 {times.median * 1000:.0f} ms,", end=" ")
    print(f"p95 {times.p95 * 1000:.0f}, worst {max(tally.seconds) * 1000:.0f};", end=" ")
    print(
        f"IMAP logins {len(tally.logins)}; not answered after DATA {len(tally.unknown)};", end=" "
    )
    print(f"kept out {sum(tally.kept_out):.1f} s in sum")
    for faults in (tally.smtp_faults, tally.refused, tally.dropped_sessions, tally.cut_logins):
        for (stage, words), count in Counter((f.stage, f.words) for f in faults).most_common(3):
            print(f"    {count} x {stage}: {words}")


def print_table(runs: Sequence[Run]) -> None:
    """Print all rows, those of several kinds of changes by kind, as the documentation has them."""
    names = ["changes", "lost", "doubled", "failed", "refused", "dropped", "cut"]
    print(f"\n| {'run':38} | messages | {' | '.join(names)} |")
    print(f"|{'-' * 40}|{'---|' * (len(names) + 1)}")
    for run in runs:
        if len(run.kinds) > 1:
            _print_line(run.name, str(len(run.tally.sent)), run, run.kinds)
        for kind in run.kinds:
            is_part = len(run.kinds) > 1
            sent = "" if is_part else str(len(run.tally.sent))
            _print_line(f"- of these: {kind}" if is_part else run.name, sent, run, [kind])


def _print_line(title: str, sent: str, run: Run, kinds: Sequence[str]) -> None:
    tally = run.tally
    columns = [
        [change.began for change in run.changes],
        run.lost(),
        run.doubled(),
        *map(
            _moments_of,
            (tally.smtp_faults, tally.refused, tally.dropped_sessions, tally.cut_logins),
        ),
    ]
    counts = [sum(run.count(moments, kind) for kind in kinds) for moments in columns]
    print(f"| {title:38} | {sent:>8} | {' | '.join(map(str, counts))} |")


def _moments_of(faults: Sequence[Fault]) -> list[float]:
    return [fault.at for fault in faults]


def _version(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.split()[0]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="tests.bench.load",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="*", choices=[*RUNS, []], help="which; without: all")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--changes", type=int, help="this many, however long it takes")
    parser.add_argument("--spacing", type=float, default=_SPACING, help="between two applies")
    parser.add_argument("--pause", type=float, default=0.05, help="of a sender, in seconds")
    parser.add_argument("--times", type=Path, help="when changes begin, for later calls")
    chosen = parser.parse_args()

    def is_over(changes: int, seconds: float) -> bool:
        return changes >= chosen.changes if chosen.changes else seconds >= chosen.seconds

    print(f"Postfix {_version('postconf', '-d', '-h', 'mail_version')}", end=", ")
    print(f"Dovecot {_version('dovecot', '--version')}, {os.cpu_count()} processors")
    load, moments = Load(chosen.clients, chosen.pause, chosen.spacing), Moments(chosen.times)
    runs = []
    for name in chosen.runs or RUNS:
        runs.append(measure(name, load, is_over, moments))
        if name not in _BY_HAND:
            moments.keep(runs[-1].moments())
        print_run(runs[-1])
    print_table(runs)


if __name__ == "__main__":
    main()
