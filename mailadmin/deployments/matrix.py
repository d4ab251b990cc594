"""The served-now matrix: for each listener, what is wanted beside what the last look saw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext as _

from mailadmin.deployments.drift import open_drift
from mailadmin.deployments.evidence import PortEvidence, ShownCertificate, read_seen
from mailadmin.deployments.models import Drift, Observation, ProbeRun
from mailadmin.deployments.selectors import observations_of
from mailadmin.deployments.sentences import say_problem
from mailadmin.deployments.sentences.drift import say_drift
from mailadmin.listeners.sentences import key_words
from mailadmin.mailconf.state import DesiredState, ListenerState
from mailadmin.pki.problems import Problem
from mailadmin.servers.models import MailServer


@dataclass(frozen=True, slots=True)
class ServedListener:
    """One listener as it was applied, and every connection of a look to it."""

    listener: ListenerState
    ports: tuple[PortEvidence, ...]

    @property
    def plain(self) -> PortEvidence | None:
        """Return the connection that asked for no host name."""
        return next((item for item in self.ports if not item.seen.sni_name), None)

    @property
    def shown(self) -> list[PortEvidence]:
        """Return the connections that asked for no host name: two where two certificates are
        served side by side, each asked for by its kind of key."""
        return [item for item in self.ports if not item.seen.sni_name]

    @property
    def is_pair(self) -> bool:
        """Tell whether two certificates are asked for on this port."""
        return len(self.shown) > 1

    @property
    def named(self) -> list[PortEvidence]:
        """Return the connections that asked for a host name."""
        return [item for item in self.ports if item.seen.sni_name]

    @property
    def problems(self) -> list[Problem]:
        """Return how what was seen differs from what should be, over all names."""
        return [problem for item in self.ports for problem in item.problems]

    @property
    def certificate(self) -> ShownCertificate | None:
        """Return the leaf that a client without SNI is shown; of two, the one that ends first."""
        shown = [item.certificate for item in self.shown if item.certificate]
        return min(shown, key=_end) if shown else None

    @property
    def is_proven(self) -> bool:
        """Tell whether it was seen, and is what was wanted."""
        return self.plain is not None and not self.problems


def _end(shown: ShownCertificate) -> datetime:
    return shown.not_after or datetime.max.replace(tzinfo=UTC)


def read_served(state: DesiredState, run: ProbeRun | None) -> list[ServedListener]:
    """Return a row for each listener of the state, with what the look saw there; one query."""
    seen: dict[tuple[str, str, int], list[Observation]] = defaultdict(list)
    for row in observations_of(run) if run else []:
        seen[row.service, row.address, row.port].append(row)
    return [
        ServedListener(item, _evidence(item, seen[item.service, item.address, item.port]))
        for item in state.listeners
    ]


def _evidence(listener: ListenerState, rows: Sequence[Observation]) -> tuple[PortEvidence, ...]:
    return tuple(
        PortEvidence(
            seen,
            tuple(Problem.from_dict(item) for item in row.problems),
            is_wanted_open=listener.is_enabled,
        )
        for row in rows
        for seen in read_seen([row.evidence])
    )


# For the command line


def say_served(row: ServedListener) -> str:
    """Return what is served, in one line."""
    if row.plain is None:
        return _("not looked at yet")
    if row.problems:
        return say_problem(row.problems[0])
    if not row.plain.seen.is_open:
        return _("closed")
    if row.certificate is None:
        return _("open, no TLS")
    return " / ".join(_say_one(item) for item in row.shown if item.certificate)


def _say_one(port: PortEvidence) -> str:
    certificate = port.certificate
    if certificate is None:
        return ""
    said = _("%(tls)s, %(name)s, until %(date)s, SHA-256 %(fingerprint)s…") % {
        "tls": port.seen.tls_version,
        "name": certificate.label,
        "date": f"{certificate.not_after:%Y-%m-%d}" if certificate.not_after else "?",
        "fingerprint": certificate.fingerprint[:16],
    }
    algorithm = port.seen.key_algorithm
    return f"{key_words(algorithm)}: {said}" if algorithm else said


def as_json(
    server: MailServer, state: DesiredState, run: ProbeRun, rows: Sequence[ServedListener]
) -> dict[str, Any]:
    """Return the matrix for scripts."""
    return {
        "server": server.host_name,
        "checked_at": run.finished_at.isoformat() if run.finished_at else None,
        "is_as_wanted": all(row.is_proven for row in rows),
        "listeners": [_row_json(state, row) for row in rows],
        "versions": server.versions,
        "is_dovecot_split": state.is_dovecot_split,
        "drift": _drift_json(open_drift(server)),
        "upgrade": server.upgrade,
    }


def _drift_json(drift: Drift | None) -> dict[str, Any] | None:
    """Return what on the host is not as it was applied; None where all is."""
    if drift is None:
        return None
    told = ("name", "status", "modified_at", "uid", "lines")
    return {
        "found_at": drift.found_at.isoformat(),
        "message": say_drift(drift),
        "is_left": drift.is_left,
        "left_by": drift.left_by,
        "left_reason": drift.left_reason,
        "pieces": [{name: piece[name] for name in told} for piece in drift.pieces],
    }


def _row_json(state: DesiredState, row: ServedListener) -> dict[str, Any]:
    listener = row.listener
    is_encrypted = listener.is_enabled and listener.is_encrypted
    return {
        "service": listener.service,
        "address": listener.address,
        "port": listener.port,
        "is_as_wanted": row.is_proven,
        "wanted": {
            "is_open": listener.is_enabled,
            "tls_mode": str(listener.tls_mode),
            "is_login_required": listener.is_login_required,
            "fingerprint": state.certificate_for(listener) if is_encrypted else "",
            "fingerprint_by_key": _wanted_by_key(state, listener) if is_encrypted else {},
        },
        "served": _served_json(row.plain) if row.plain else None,
        "served_by_key": _by_key(row.shown),
        "served_by_name": {
            item.seen.sni_name: _served_json(item)
            for item in reversed(row.named)  # of two, the one that is wanted, as in "served"
        },
        "served_by_name_and_key": _by_name_and_key(row.named),
        "problems": [
            {"code": item.code, "severity": str(item.severity), "message": say_problem(item)}
            for item in row.problems
        ],
    }


def _wanted_by_key(state: DesiredState, listener: ListenerState) -> dict[str, str]:
    """Return both fingerprints of a pair by their kind of key; nothing for one alone."""
    pair = state.pair_of(state.certificate_for(listener))
    found = [item for item in map(state.certificate, pair) if item]
    return {item.key_algorithm: item.fingerprint for item in found} if len(found) > 1 else {}


def _by_key(ports: Sequence[PortEvidence]) -> dict[str, Any]:
    return {
        item.seen.key_algorithm: _served_json(item) for item in ports if item.seen.key_algorithm
    }


def _by_name_and_key(ports: Sequence[PortEvidence]) -> dict[str, Any]:
    found: dict[str, list[PortEvidence]] = defaultdict(list)
    for item in ports:
        if item.seen.key_algorithm:
            found[item.seen.sni_name].append(item)
    return {name: _by_key(items) for name, items in found.items()}


def _served_json(port: PortEvidence) -> dict[str, Any]:
    told = port.seen.as_dict()
    names = (
        "is_open", "fingerprint", "tls_version", "cipher", "certificate", "chain",
        "is_starttls_offered", "is_clear_login_offered", "reply_without_tls",
        "reply_without_login",
    )  # fmt: skip
    return {name: told[name] for name in names}
