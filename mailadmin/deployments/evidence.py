"""What handshakes showed, read back from the rows and set beside what was wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mailadmin.mailconf import proof
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.services import SERVICES
from mailadmin.pki.names import both_forms
from mailadmin.pki.problems import Problem


@dataclass(frozen=True, slots=True)
class ShownCertificate:
    """A certificate as a port presented it."""

    label: str
    issuer: str
    fingerprint: str
    key: str
    is_self_signed: bool
    not_before: datetime | None
    not_after: datetime | None

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> ShownCertificate:
        """Read what the probe wrote; whatever it left out stays empty."""
        return cls(
            label=both_forms(str(value.get("label", ""))),
            issuer=str(value.get("issuer", "")),
            fingerprint=str(value.get("fingerprint", "")),
            key=str(value.get("key", "")),
            is_self_signed=bool(value.get("is_self_signed", False)),
            not_before=_moment(value.get("not_before")),
            not_after=_moment(value.get("not_after")),
        )

    def is_expired(self, now: datetime) -> bool:
        """Tell whether mail programs refuse it already."""
        return self.not_after is not None and self.not_after <= now


@dataclass(frozen=True, slots=True)
class PortEvidence:
    """One connection: what it showed and how that differs from what was wanted."""

    seen: Seen
    problems: tuple[Problem, ...] = ()
    is_wanted_open: bool = True

    @property
    def certificate(self) -> ShownCertificate | None:
        """Return the leaf that was presented."""
        shown = self.seen.certificate
        return ShownCertificate.from_dict(shown) if shown else None

    @property
    def chain(self) -> list[ShownCertificate]:
        """Return the certificates that came after the leaf."""
        return [ShownCertificate.from_dict(item) for item in self.seen.chain]

    @property
    def state(self) -> str:
        """Return the colour: what is closed by choice is grey, not green."""
        if self.problems:
            return "broken"
        return "proven" if self.is_wanted_open else "off"

    @property
    def reply(self) -> str:
        """Return what was answered to mail without a login, where that says something."""
        return self.seen.reply_without_login

    @property
    def reply_code(self) -> str:
        """Return the three digits of that answer."""
        return self.reply[:3]


def read_seen(rows: Iterable[Mapping[str, Any]]) -> list[Seen]:
    """Return what is readable of the evidence as stored; an unknown shape is left out."""
    found = []
    for row in rows:
        try:
            seen = Seen.from_dict(row)
        except (TypeError, ValueError, AttributeError):
            continue
        if seen.service in SERVICES:
            found.append(seen)
    return found


def set_beside(expected: Iterable[Expectation], seen: Iterable[Seen]) -> tuple[PortEvidence, ...]:
    """Return each connection with what it should have shown, if that is known."""
    wanted = {item.key: item for item in expected}
    return tuple(_judged(wanted.get(item.key), item) for item in seen)


def as_before(seen: Iterable[Seen]) -> tuple[PortEvidence, ...]:
    """Return connections after a rollback: the agent compared them with those before."""
    return tuple(PortEvidence(item, is_wanted_open=item.is_open) for item in seen)


def _judged(wanted: Expectation | None, seen: Seen) -> PortEvidence:
    if wanted is None:
        return PortEvidence(seen, is_wanted_open=seen.is_open)
    return PortEvidence(seen, tuple(proof.judge(wanted, seen)), wanted.is_open)


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
