"""What an upload turned out to be: how many of each sort, and in what kind of file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from mailadmin.pki.certificate import CertificateFacts
from mailadmin.pki.keys import PrivateKey
from mailadmin.pki.problems import Problem


class FileKind(StrEnum):
    """What a part of an upload is, by its content."""

    TEXT = "text"  # PEM, or base64 alone
    DER = "der"
    PKCS7 = "pkcs7"
    PKCS12 = "pkcs12"
    ZIP = "zip"


@dataclass(frozen=True, slots=True)
class Found:
    """How many of each sort there were, before anything was judged."""

    leaves: int = 0
    intermediates: int = 0
    roots: int = 0
    keys: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class FileFound:
    """One part of an upload that was understood; parts are counted from 1."""

    part: int
    kind: FileKind
    found: Found


@dataclass(frozen=True)
class Parts:
    """What an upload holds, in the order found. ``requests`` counts signing requests.

    ``refused_key_ids`` are the public key ids of private keys that no mail server can use;
    ``loose_keys`` are public keys that stand alone or in requests, as :mod:`loose` writes them.
    """

    certificates: tuple[CertificateFacts, ...] = ()
    private_keys: tuple[PrivateKey, ...] = field(default=(), repr=False)
    refused_key_ids: frozenset[str] = frozenset()
    requests: int = 0
    loose_keys: tuple[bytes, ...] = ()
    problems: tuple[Problem, ...] = ()
    files: tuple[FileFound, ...] = ()


def count_found(
    certificates: Sequence[CertificateFacts], *, keys: int = 0, requests: int = 0
) -> Found:
    """Sort certificates by what they are."""
    authorities = [facts for facts in certificates if facts.is_ca]
    roots = sum(facts.is_self_signed for facts in authorities)
    return Found(
        leaves=len(certificates) - len(authorities),
        intermediates=len(authorities) - roots,
        roots=roots,
        keys=keys,
        requests=requests,
    )
