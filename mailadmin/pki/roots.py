"""The roots that a chain may end at, and who trusts each of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from mailadmin.pki.facts import CertificateFacts


class Store(StrEnum):
    """Who trusts a root: this machine, Mozilla's list (``certifi``), or the admin's own choice."""

    SYSTEM = "system"
    MOZILLA = "mozilla"
    PRIVATE = "private"


@dataclass(frozen=True)
class Roots:
    """Roots, each once, and the names of the stores that hold them, by fingerprint."""

    roots: tuple[CertificateFacts, ...] = ()
    stores: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def gather(cls, stores: Mapping[str, Iterable[CertificateFacts]]) -> Roots:
        """Put together what several stores hold; the keys of ``stores`` are their names."""
        roots: dict[str, CertificateFacts] = {}
        names: dict[str, frozenset[str]] = {}
        for store, certificates in stores.items():
            for facts in certificates:
                roots[facts.fingerprint] = facts
                names[facts.fingerprint] = names.get(facts.fingerprint, frozenset()) | {str(store)}
        return cls(tuple(roots.values()), names)

    def select_valid(self, now: datetime) -> Roots:
        """Return those that clients accept now."""
        return Roots(tuple(root for root in self.roots if root.is_valid(now)), self.stores)

    def find_stores(self, root: CertificateFacts) -> frozenset[str]:
        """Return who trusts the root: its name and key, whichever certificate carries them."""
        twins = (
            known
            for known in self.roots
            if (known.subject, known.public_key_id) == (root.subject, root.public_key_id)
        )
        return frozenset[str]().union(*(self.stores.get(twin.fingerprint, ()) for twin in twins))

    def is_public(self, root: CertificateFacts) -> bool:
        """Tell whether the root is one of a public authority, bound to the Baseline Requirements.

        Mozilla's list says so. Where it is not at hand, the system's does, which may also hold
        private ones.
        """
        has_mozilla = any(Store.MOZILLA in names for names in self.stores.values())
        return (Store.MOZILLA if has_mozilla else Store.SYSTEM) in self.find_stores(root)


NO_ROOTS = Roots()
