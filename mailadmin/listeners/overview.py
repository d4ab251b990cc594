"""What the Listeners page shows: each row with what is pending and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from mailadmin.certificates.models import Certificate
from mailadmin.listeners.models import Listener, SniBinding
from mailadmin.listeners.selectors import Wanted, applied_state, changes_between, read_wanted
from mailadmin.mailconf.plan import Change
from mailadmin.mailconf.rules import check_state
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.names import both_forms
from mailadmin.pki.problems import Problem, has_errors
from mailadmin.servers.models import MailServer


@dataclass(frozen=True, slots=True)
class Findings:
    """What is pending and what is wrong about one subject."""

    changes: tuple[Change, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def state(self) -> str:
        """Return the colour of it: pending before anything else, as it can still be undone."""
        if self.changes:
            return "pending"
        if not self.problems:
            return ""
        return "broken" if has_errors(self.problems) else "attention"


@dataclass(frozen=True, slots=True)
class ListenerRow:
    """One service, the certificates a client would be shown, and its findings."""

    listener: Listener
    certificate: Certificate | None
    findings: Findings
    companion: Certificate | None = None

    @property
    def state(self) -> str:
        """Return the colour of the row; a closed port without findings is grey."""
        return self.findings.state or ("" if self.listener.is_enabled else "off")


@dataclass(frozen=True, slots=True)
class NameRow:
    """One host name. ``binding`` is ``None`` when it is to be removed."""

    host_name: str
    binding: SniBinding | None
    findings: Findings
    companion: Certificate | None = None

    @property
    def both_forms(self) -> str:
        """Return the name as people write it and as the protocol does."""
        return both_forms(self.host_name)


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything the page shows of one server."""

    server: MailServer
    rows: tuple[ListenerRow, ...]
    names: tuple[NameRow, ...]
    # What is about the server itself, or about a certificate that several rows share.
    general: Findings
    is_anything_applied: bool
    # As applied: Dovecot's ports have an instance of their own.
    is_dovecot_split: bool

    @property
    def open_count(self) -> int:
        """Return how many ports are wanted open."""
        return sum(row.listener.is_enabled for row in self.rows)

    @property
    def pending_count(self) -> int:
        """Return how many changes are not applied yet."""
        return sum(len(item.changes) for item in self._findings)

    def changes_of(self, subject: str) -> list[Change]:
        """Return what is pending about a service, a host name or the server."""
        return [
            change
            for item in self._findings
            for change in item.changes
            if change.subject == subject
        ]

    @property
    def _findings(self) -> list[Findings]:
        rows = [row.findings for row in self.rows]
        return [self.general, *rows, *(name.findings for name in self.names)]

    def row(self, service: str) -> ListenerRow | None:
        """Return the row of a service."""
        return next((row for row in self.rows if row.listener.service == service), None)


def read_overview(server: MailServer, now: datetime) -> Overview:
    """Read and judge everything of the server; costs the same however many rows there are."""
    wanted = read_wanted(server)
    applied, desired = applied_state(server), wanted.as_state()
    changes, problems = changes_between(applied, desired), check_state(desired, now)
    names = _bound_names(wanted, applied)
    subjects = {item.service for item in wanted.listeners} | names.keys()
    return Overview(
        server=server,
        rows=tuple(
            ListenerRow(
                listener=item,
                certificate=item.certificate or server.default_certificate,
                findings=_about({item.service}, changes, problems),
                companion=wanted.companion_of(item.certificate or server.default_certificate),
            )
            for item in wanted.listeners
        ),
        names=tuple(
            NameRow(
                name,
                binding,
                _about({name}, changes, problems),
                wanted.companion_of(binding.certificate if binding else None),
            )
            for name, binding in sorted(names.items())
        ),
        general=Findings(
            changes=tuple(item for item in changes if item.subject not in subjects),
            problems=tuple(item for item in problems if item.subject not in subjects),
        ),
        is_anything_applied=applied is not None,
        is_dovecot_split=applied is not None and applied.is_dovecot_split,
    )


def _bound_names(wanted: Wanted, applied: DesiredState | None) -> dict[str, SniBinding | None]:
    """Return the names that are bound now, and those that were when last applied."""
    names: dict[str, SniBinding | None] = {}
    if applied:
        names |= {binding.host_name: None for binding in applied.sni_bindings}
    return names | {binding.host_name: binding for binding in wanted.bindings}


def _about(subjects: set[str], changes: Iterable[Change], problems: Iterable[Problem]) -> Findings:
    return Findings(
        changes=tuple(item for item in changes if item.subject in subjects),
        problems=tuple(item for item in problems if item.subject in subjects),
    )
