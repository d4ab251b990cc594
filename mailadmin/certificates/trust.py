"""The roots that chains may end at: those this machine trusts, Mozilla's, and the admin's own.

The first are Debian's package ca-certificates, the second the package certifi (whose data are
under MPL 2.0), the third the rows of :class:`~mailadmin.certificates.models.TrustedAuthority`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from cryptography.utils import CryptographyDeprecationWarning
from django.conf import settings

from mailadmin.certificates.models import TrustedAuthority
from mailadmin.pki.certificate import CertificateFacts
from mailadmin.pki.offered import read_certificates
from mailadmin.pki.roots import Roots, Store


def find_trusted_roots() -> Roots:
    """Return the roots of this machine, of Mozilla's list, and those added here. One query."""
    rows = TrustedAuthority.objects.order_by("pk").values_list("pem", flat=True)
    return _gather(_look_at(), tuple(rows))


def find_public_roots() -> Roots:
    """Return only the roots that need no database: of this machine, and of Mozilla's list."""
    return _gather(_look_at(), ())


def count_public_roots() -> dict[str, int]:
    """Return how many roots each of the public lists holds, by its name."""
    counts: dict[str, int] = {}
    for store, path, changed_at in _look_at():
        counts[str(store)] = len(_read_file(path, changed_at))
    return counts


_FileState = tuple[Store, Path, int]  # the last: when it was changed, in nanoseconds


def _look_at() -> tuple[_FileState, ...]:
    """Return which files of roots there are; they are read again when they have changed."""
    files = (
        (Store.SYSTEM, settings.TRUST_STORE_FILE),
        (Store.MOZILLA, settings.MOZILLA_ROOTS_FILE),
    )
    states = []
    for store, path in files:
        with suppress(OSError):
            states.append((store, path, path.stat().st_mtime_ns))
    return tuple(states)


@lru_cache(maxsize=4)
def _gather(files: tuple[_FileState, ...], private: tuple[str, ...]) -> Roots:
    own = (facts for pem in private for facts in read_certificates(pem.encode()))
    stores: dict[str, Iterable[CertificateFacts]] = {Store.PRIVATE: own}
    for store, path, changed_at in files:
        stores[store] = _read_file(path, changed_at)
    return Roots.gather(stores)


@lru_cache(maxsize=2)
def _read_file(path: Path, changed_at: int) -> tuple[CertificateFacts, ...]:  # noqa: ARG001  # part of the cache's key
    try:
        content = path.read_bytes()
    except OSError:
        return ()
    with warnings.catch_warnings():
        # Old roots have serial numbers that RFC 5280 forbids; nobody here can change that.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return tuple(read_certificates(content))
