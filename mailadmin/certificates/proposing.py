"""What an upload would replace, and what that would change, told before anything is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mailadmin.certificates import selectors
from mailadmin.certificates.judging import judge_stored
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.succession import Predecessors, find_predecessors
from mailadmin.pki.bundle import Verdict
from mailadmin.pki.certificate import CertificateProblem, read_certificate
from mailadmin.pki.predecessor import compare_with_predecessor
from mailadmin.pki.problems import Problem


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a certificate would replace, guessed or chosen, out of what; and the differences."""

    predecessors: Predecessors
    chosen: Certificate | None
    differences: tuple[Problem, ...] = ()

    @property
    def is_asked_for(self) -> bool:
        """Tell whether it is what the request renews."""
        return self.predecessors.is_asked_for and self.chosen == self.predecessors.guess


def propose(verdict: Verdict, now: datetime, typed: str = "") -> Proposal | None:
    """Return what the accepted upload would replace; ``typed`` as ``Predecessors.choose`` has it.

    None for what cannot be stored or is here already. Raises :class:`CertificateRefusedError` for
    a choice that is not offered.
    """
    leaf = verdict.leaf
    if leaf is None or not verdict.is_accepted or selectors.is_stored(leaf.fingerprint):
        return None
    predecessors = find_predecessors(leaf)
    chosen = predecessors.choose(typed)
    return Proposal(predecessors, chosen, _compare(chosen, verdict, now) if chosen else ())


def _compare(row: Certificate, verdict: Verdict, now: datetime) -> tuple[Problem, ...]:
    try:
        old = read_certificate(row.leaf_pem.encode())
    except CertificateProblem:
        return ()
    if verdict.leaf is None:
        return ()
    old_root = judge_stored(row, now).anchor
    return tuple(
        compare_with_predecessor(old, verdict.leaf, old_root=old_root, new_root=verdict.anchor)
    )
