"""The served-now matrix: for each listener, what is wanted beside what was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from mailadmin.deployments.models import Observation, ProbeRun
from mailadmin.deployments.selectors import observations_of
from mailadmin.deployments.sentences import say_problem
from mailadmin.listeners.selectors import applied_state, desired_state
from mailadmin.mailconf.state import DesiredState, ListenerState
from mailadmin.servers.models import MailServer


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One listener. ``seen`` holds the answer without a host name first, then one per name."""

    wanted: ListenerState
    fingerprint: str
    seen: tuple[Observation, ...]

    @property
    def service(self) -> str:
        """Return the registry name."""
        return self.wanted.service

    @property
    def port(self) -> int:
        """Return the port."""
        return self.wanted.port

    @property
    def plain(self) -> Observation | None:
        """Return what a client without SNI saw."""
        return next((item for item in self.seen if not item.sni_name), None)

    @property
    def evidence(self) -> Mapping[str, Any]:
        """Return what that client saw, in detail."""
        return self.plain.evidence if self.plain else {}

    @property
    def certificate(self) -> Mapping[str, Any]:
        """Return the leaf that client was shown."""
        found: Mapping[str, Any] = self.evidence.get("certificate") or {}
        return found

    @property
    def not_after(self) -> datetime | None:
        """Return when the shown leaf expires."""
        text = self.certificate.get("not_after")
        return datetime.fromisoformat(text) if text else None

    @property
    def problems(self) -> list[dict[str, Any]]:
        """Return how what was seen differs from what is wanted, over all names."""
        return [problem for item in self.seen for problem in item.problems]

    @property
    def is_looked_at(self) -> bool:
        """Tell whether anybody has looked at this port, where it is wanted now."""
        return self.plain is not None

    @property
    def is_as_wanted(self) -> bool:
        """Tell whether the last look proved this listener."""
        return self.is_looked_at and not self.problems

    @property
    def sentence(self) -> str:
        """Return what is served, in words."""
        if self.plain is None:
            return _("not looked at yet")
        if self.problems:
            return say_problem(self.problems[0])
        if not self.plain.is_open:
            return _("closed")
        if not self.plain.fingerprint:
            return _("open, no TLS")
        return _("%(tls)s, %(name)s, until %(date)s, SHA-256 %(fingerprint)s…") % {
            "tls": self.evidence.get("tls_version", ""),
            "name": self.certificate.get("label", ""),
            "date": str(self.certificate.get("not_after", ""))[:10],
            "fingerprint": self.plain.fingerprint[:16],
        }


def read_matrix(server: MailServer, run: ProbeRun | None) -> list[MatrixRow]:
    """Return a row for each listener of the applied state, with what the look saw there."""
    state = applied_state(server) or desired_state(server)
    seen = observations_of(run) if run else []
    return [_row(state, listener, seen) for listener in state.listeners]


def _row(state: DesiredState, listener: ListenerState, seen: Sequence[Observation]) -> MatrixRow:
    is_encrypted = listener.is_enabled and listener.is_encrypted
    here = (listener.service, listener.address, listener.port)
    return MatrixRow(
        wanted=listener,
        fingerprint=state.certificate_for(listener) if is_encrypted else "",
        seen=tuple(item for item in seen if (item.service, item.address, item.port) == here),
    )


def as_json(server: MailServer, run: ProbeRun, rows: Sequence[MatrixRow]) -> dict[str, Any]:
    """Return the matrix for scripts."""
    return {
        "server": server.host_name,
        "checked_at": run.finished_at.isoformat() if run.finished_at else None,
        "is_as_wanted": all(row.is_as_wanted for row in rows),
        "listeners": [_row_json(row) for row in rows],
    }


def _row_json(row: MatrixRow) -> dict[str, Any]:
    return {
        "service": row.service,
        "address": row.wanted.address,
        "port": row.port,
        "is_as_wanted": row.is_as_wanted,
        "wanted": {
            "is_open": row.wanted.is_enabled,
            "tls_mode": str(row.wanted.tls_mode),
            "is_login_required": row.wanted.is_login_required,
            "fingerprint": row.fingerprint,
        },
        "served": _served_json(row.plain),
        "served_by_name": {item.sni_name: _served_json(item) for item in row.seen if item.sni_name},
        "problems": [
            {"code": item["code"], "severity": item["severity"], "message": say_problem(item)}
            for item in row.problems
        ],
    }


def _served_json(seen: Observation | None) -> dict[str, Any] | None:
    if seen is None:
        return None
    names = (
        "tls_version", "cipher", "certificate", "chain", "is_starttls_offered",
        "is_clear_login_offered", "reply_without_tls", "reply_without_login",
    )  # fmt: skip
    return {
        "is_open": seen.is_open,
        "fingerprint": seen.fingerprint,
        **{name: seen.evidence[name] for name in names if name in seen.evidence},
    }
