"""The place that a certificate can take: that of the one it replaces, with its companion."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mailadmin.certificates.models import Certificate
from mailadmin.certificates.pairing import judge_handover
from mailadmin.listeners.selectors import Wanted
from mailadmin.pki.problems import Problem, has_errors


@dataclass(frozen=True, slots=True)
class PlaceToTake:
    """Where the predecessor is used, and what becomes of the certificate beside it."""

    old: Certificate
    companion: Certificate | None
    problems: tuple[Problem, ...]

    @property
    def is_companion_kept(self) -> bool:
        """Tell whether the companion is served beside the new one; if not, problems say why."""
        return self.companion is not None and not has_errors(self.problems)


def find_place(certificate: Certificate, wanted: Wanted, now: datetime) -> PlaceToTake | None:
    """Return the place of the predecessor; None if it has none or nobody knows of one."""
    old = certificate.replaces
    if old is None or old.fingerprint not in wanted.certificates:
        return None
    companion = old.companion if old.companion_id != certificate.pk else None
    place = PlaceToTake(old, companion, tuple(judge_handover(old, certificate, now)))
    is_named = old.fingerprint in wanted.as_state().chosen_fingerprints
    return place if is_named or place.is_companion_kept or companion is None else None
