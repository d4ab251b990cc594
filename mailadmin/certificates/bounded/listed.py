"""What lists of known keys say of the keys at hand, for a child that cannot look in them itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from mailadmin.pki.certificate import CertificateFacts, load_x509
from mailadmin.pki.facts import read_public_key
from mailadmin.pki.weak_keys import NO_KNOWN_KEYS, KnownKeys, key_digest


@dataclass(frozen=True)
class ListedKeys:
    """The names of the lists that hold a key, by the key's digest in hex."""

    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def look_up(
        cls,
        known: KnownKeys,
        certificates: Iterable[CertificateFacts],
        public_keys: Iterable[PublicKeyTypes],
    ) -> Self:
        """Look up every key once."""
        if known is NO_KNOWN_KEYS:
            return cls()
        digests = set(_digests_of(certificates, public_keys))
        found = {digest.hex(): known.find(digest) for digest in digests}
        return cls({digest: name for digest, name in found.items() if name is not None})

    def find(self, digest: bytes) -> str | None:
        """Return the name of the list that holds the key, if any."""
        return self.names.get(digest.hex())


def _digests_of(
    certificates: Iterable[CertificateFacts], public_keys: Iterable[PublicKeyTypes]
) -> Iterator[bytes]:
    certified = (read_public_key(load_x509(facts)) for facts in certificates)
    for public_key in (*certified, *public_keys):
        digest = key_digest(public_key) if public_key else None
        if digest is not None:
            yield digest
