"""The store of well-known intermediates: a local file that completes chains, and its making.

The store is a zip file with one certificate (DER) per member, named after its subject and its
fingerprint. The list of members is the index: looking an issuer up parses only what is returned.
What goes in has been verified up to a root; nothing here reaches the network.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from django.conf import settings
from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.drafting import draft_beside
from mailadmin.pki.certificate import (
    CertificateFacts,
    CertificateProblem,
    load_x509,
    read_certificate,
)
from mailadmin.pki.chain import MAX_CANDIDATES
from mailadmin.pki.problems import has_errors
from mailadmin.pki.structure import structure_problems
from mailadmin.pki.x509_fields import is_issued_by

_ABOUT = "about.json"
_MAX_STORE_BYTES = 32 * 1024 * 1024
_MAX_MEMBER_BYTES = 16 * 1024
_SERVER_USES = frozenset({"serverAuth", "anyExtendedKeyUsage"})
# The members get one fixed time, so that the same certificates make the same file.
_MEMBER_TIME = (1980, 1, 1, 0, 0, 0)


class Rejection(StrEnum):
    """Why a certificate does not belong into the store."""

    NOT_AN_AUTHORITY = "not_an_authority"
    ROOT = "root"
    OUT_OF_DATE = "out_of_date"
    NOT_FOR_SERVERS = "not_for_servers"
    WEAK = "weak"
    NO_KNOWN_ROOT = "no_known_root"


class StoreProblem(Exception):  # noqa: N818 - as the other problems
    """The store cannot be written; the text says why."""


@dataclass(frozen=True, slots=True)
class About:
    """What a store says of itself: when it was made, from what, and how much it holds."""

    made_at: str
    sources: tuple[str, ...]
    count: int


def find_issuers_of(certificates: Iterable[CertificateFacts]) -> list[CertificateFacts]:
    """Return the stored intermediates that may stand above these, up to the highest.

    They are found by name; whether they fit is decided by the signature, as for any other.
    """
    path: Path = settings.INTERMEDIATES_FILE
    index = _find_index(path)
    if not index:
        return []
    found: dict[str, CertificateFacts] = {}
    asked: set[str] = set()
    queue = deque(certificates)
    with suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as store:
        while queue and len(found) < MAX_CANDIDATES:
            key = name_key(load_x509(queue.popleft()).issuer)
            if key in asked:
                continue
            asked.add(key)
            above = list(_read_members(store, index.get(key, ())))
            found.update((facts.fingerprint, facts) for facts in above)
            queue.extend(above)
    return list(found.values())


def read_about() -> About | None:
    """Return what the store says of itself, or ``None`` without a store that can be read."""
    try:
        with zipfile.ZipFile(settings.INTERMEDIATES_FILE) as store:
            about = json.loads(store.read(_ABOUT))
        sources = tuple(str(source) for source in about["sources"])
        return About(str(about["made_at"]), sources, int(about["count"]))
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError):
        return None


def read_all() -> list[CertificateFacts]:
    """Return every certificate of the store, by name. For lists and tests; it reads all of it."""
    path: Path = settings.INTERMEDIATES_FILE
    index = _find_index(path)
    with suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as store:
        names = [name for members in index.values() for name in members]
        return sorted(_read_members(store, names), key=lambda facts: facts.title.casefold())
    return []


def name_key(name: x509.Name) -> str:
    """Return a short digest of a distinguished name, the same however its text is encoded."""
    parts = (f"{attribute.oid.dotted_string}={attribute.value!r}" for attribute in name)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def choose_intermediates(
    candidates: Iterable[CertificateFacts], roots: Sequence[CertificateFacts], now: datetime
) -> tuple[list[CertificateFacts], dict[Rejection, int]]:
    """Return those that may complete chains, and how many of the others were rejected for what.

    Each one kept leads by verified signatures to one of the roots.
    """
    rejected: dict[Rejection, int] = defaultdict(int)
    fit: dict[str, CertificateFacts] = {}
    for facts in {facts.fingerprint: facts for facts in candidates}.values():
        reason = _find_rejection(facts, now)
        if reason is None:
            fit[facts.fingerprint] = facts
        else:
            rejected[reason] += 1
    kept = _climb_down(list(fit.values()), [root for root in roots if root.is_valid(now)])
    if len(fit) > len(kept):
        rejected[Rejection.NO_KNOWN_ROOT] = len(fit) - len(kept)
    return kept, dict(rejected)


def replace_store(
    *, actor: Actor, certificates: Sequence[CertificateFacts], sources: Sequence[str], now: datetime
) -> About:
    """Write a new store in the place of the old one, at once. Raises :class:`StoreProblem`."""
    about = About(now.date().isoformat(), tuple(sources), len(certificates))
    before = read_about()
    path: Path = settings.INTERMEDIATES_FILE
    try:
        with draft_beside(path) as draft:
            _write_store(draft, certificates, about)
            with transaction.atomic():
                record_event(
                    actor=actor,
                    verb="intermediates.updated",
                    object_type="intermediates",
                    before={"count": before.count, "made_at": before.made_at} if before else None,
                    after={
                        "count": about.count,
                        "made_at": about.made_at,
                        "sources": list(about.sources),
                    },
                )
                draft.replace(path)
    except OSError as error:
        raise StoreProblem(f"{path}: {error.strerror}") from None
    return about


def _find_index(path: Path) -> Mapping[str, tuple[str, ...]]:
    try:
        state = path.stat()
    except OSError:
        return {}
    return _read_index(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=2)
def _read_index(path: Path, changed_at: int, size: int) -> Mapping[str, tuple[str, ...]]:  # noqa: ARG001  # part of the cache's key
    index: dict[str, list[str]] = defaultdict(list)
    if size > _MAX_STORE_BYTES:
        return {}
    with suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as store:
        for member in store.infolist():
            key, _, file_name = member.filename.partition("/")
            if file_name and member.file_size <= _MAX_MEMBER_BYTES:
                index[key].append(member.filename)
    return {key: tuple(members) for key, members in index.items()}


def _read_members(store: zipfile.ZipFile, names: Iterable[str]) -> Iterator[CertificateFacts]:
    for name in names:
        with suppress(CertificateProblem, KeyError):
            yield read_certificate(store.read(name))


def _find_rejection(facts: CertificateFacts, now: datetime) -> Rejection | None:
    usages, extended = facts.key_usages, facts.extended_key_usages
    if not facts.is_ca or (usages and "keyCertSign" not in usages):
        return Rejection.NOT_AN_AUTHORITY
    if facts.is_self_signed:
        return Rejection.ROOT
    if not facts.is_valid(now):
        return Rejection.OUT_OF_DATE
    if extended and not _SERVER_USES & set(extended):
        return Rejection.NOT_FOR_SERVERS
    return Rejection.WEAK if has_errors(structure_problems(facts)) else None


def _climb_down(
    candidates: Sequence[CertificateFacts], roots: Sequence[CertificateFacts]
) -> list[CertificateFacts]:
    """Return those whose signatures lead to a root: each accepted one is asked whom it signed."""
    waiting: dict[str, list[CertificateFacts]] = defaultdict(list)
    for facts in candidates:
        waiting[facts.issuer].append(facts)
    kept: dict[str, CertificateFacts] = {}
    queue = deque(roots)
    while queue:
        above = queue.popleft()
        parsed = load_x509(above)
        for facts in waiting.get(above.subject, ()):
            if facts.fingerprint not in kept and is_issued_by(load_x509(facts), parsed):
                kept[facts.fingerprint] = facts
                queue.append(facts)
    return list(kept.values())


def _write_store(path: Path, certificates: Sequence[CertificateFacts], about: About) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as store:
        words = {"made_at": about.made_at, "sources": about.sources, "count": about.count}
        store.writestr(zipfile.ZipInfo(_ABOUT, _MEMBER_TIME), json.dumps(words))
        for facts in sorted(certificates, key=lambda facts: facts.fingerprint):
            key = name_key(load_x509(facts).subject)
            member = zipfile.ZipInfo(f"{key}/{facts.fingerprint}.der", _MEMBER_TIME)
            member.compress_type = zipfile.ZIP_DEFLATED
            store.writestr(member, facts.der)
