"""The served-now matrix: what each listener should show beside what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mailadmin.dashboard.looks import Looks, read_looks
from mailadmin.deployments import selectors
from mailadmin.deployments.drift import Upgrade, open_drift, open_upgrade
from mailadmin.deployments.matrix import ServedListener, read_served
from mailadmin.deployments.models import Drift, ProbeRun
from mailadmin.listeners.selectors import applied_state, changes_between, desired_state
from mailadmin.mailconf.plan import Change
from mailadmin.mailconf.services import TlsMode
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Problem
from mailadmin.servers.models import MailServer

# The part of the whole lifetime below which renewal should have begun.
_LATE_SHARE = 1 / 3
Verdict = tuple[ProbeRun, bool]


@dataclass(frozen=True, slots=True)
class Row(ServedListener):
    """What is served on one listener, with what is pending and how the last looks went."""

    pending: tuple[Change, ...]
    verdicts: tuple[Verdict, ...]
    checked_at: datetime | None
    now: datetime

    @property
    def shown_problems(self) -> list[Problem]:
        """Return one of each kind: what every host name shares is said once."""
        return list({problem.code: problem for problem in reversed(self.problems)}.values())[::-1]

    @property
    def is_open(self) -> bool:
        """Tell whether the port answered."""
        return self.plain is not None and self.plain.seen.is_open

    @property
    def is_expired(self) -> bool:
        """Tell whether mail programs refuse what is served, wanted or not."""
        return any(
            item.certificate and item.certificate.is_expired(self.now) for item in self.ports
        )

    @property
    def is_late(self) -> bool:
        """Tell whether the served certificate should have been renewed by now."""
        shown = self.certificate
        if shown is None or shown.not_before is None or shown.not_after is None:
            return False
        whole = shown.not_after - shown.not_before
        return shown.not_after - self.now < whole * _LATE_SHARE

    @property
    def is_in_clear(self) -> bool:
        """Tell whether it is open and asks nobody to encrypt."""
        return self.listener.is_enabled and self.listener.tls_mode is TlsMode.NONE

    @property
    def served_state(self) -> str:
        """Return the colour of what is served now."""
        if self.plain is None:
            return "unknown"
        if self.problems or self.is_expired:
            return "broken"
        if not self.listener.is_enabled:
            return "off"
        return "attention" if self.is_in_clear else "proven"

    @property
    def state(self) -> str:
        """Return the colour of the row: only what needs a look has one."""
        if self.served_state == "broken":
            return "broken"
        if self.pending:
            return "pending"
        return "off" if self.served_state == "off" else ""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Every listener of one server."""

    server: MailServer
    applied: DesiredState
    desired: DesiredState
    rows: tuple[Row, ...]
    looks: Looks
    # What on the host is not as it was applied, and what an upgrade asks for.
    drift: Drift | None = None
    upgrade: Upgrade | None = None
    # As applied: Dovecot's ports have an instance of their own.
    is_dovecot_split: bool = False

    @property
    def open_rows(self) -> list[Row]:
        """Return the listeners that should be open."""
        return [row for row in self.rows if row.listener.is_enabled]

    @property
    def good_count(self) -> int:
        """Return how many of them are encrypted and proven."""
        return sum(row.served_state == "proven" for row in self.open_rows)

    @property
    def broken_rows(self) -> list[Row]:
        """Return the listeners where mail is or will be broken."""
        return [row for row in self.rows if row.served_state == "broken"]

    @property
    def state(self) -> str:
        """Return the colour of the whole."""
        if not self.is_looked_at:
            return "unknown"
        if self.broken_rows:
            return "broken"
        is_all_good = self.good_count == len(self.open_rows) and not self.looks.is_in_doubt
        return "proven" if is_all_good else "attention"

    @property
    def is_looked_at(self) -> bool:
        """Tell whether anything was ever seen."""
        return self.looks.done is not None

    def row(self, service: str) -> Row | None:
        """Return the row of a service."""
        return next((row for row in self.rows if row.listener.service == service), None)


def read_matrix(server: MailServer, now: datetime) -> Matrix:
    """Read and judge every listener; costs the same however many there are."""
    looks = read_looks(server, now)
    desired = desired_state(server)
    applied = applied_state(server)
    shown = applied or desired
    changes = changes_between(applied, desired)
    verdicts = selectors.recent_verdicts(server)
    return Matrix(
        server=server,
        applied=shown,
        desired=desired,
        rows=tuple(
            Row(
                listener=served.listener,
                ports=served.ports,
                pending=tuple(item for item in changes if item.subject == served.listener.service),
                verdicts=tuple(verdicts.get(served.listener.service, ())),
                checked_at=looks.done.finished_at if looks.done else None,
                now=now,
            )
            for served in read_served(shown, looks.done)
        ),
        looks=looks,
        drift=open_drift(server),
        upgrade=open_upgrade(server),
        is_dovecot_split=applied is not None and applied.is_dovecot_split,
    )
