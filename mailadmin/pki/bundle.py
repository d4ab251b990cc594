"""The upload doctor: takes whatever an administrator has, and says what it is and what it lacks.

:func:`read_parts` takes the input apart, :func:`judge_bundle` puts leaf, chain and key together.
Neither raises for any input; what is wrong is collected as problems.

=====================  ========  ================================================================
code                   severity  params
=====================  ========  ================================================================
bundle.no_certificate  error
bundle.no_leaf         error     names: of the authorities' certificates, which is all there is
bundle.several_leaves  error     names, count: certificates of which the upload names no one key
key.mismatch           error     name: the uploaded key belongs to another certificate
key.missing            error     name
key.unused             warning   name: the right key is known already, the uploaded one is another
=====================  ========  ================================================================

To these come the problems of ``parts``, ``certificate``, ``chain`` and ``weak_keys``.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from mailadmin.pki.certificate import CertificateFacts, certificate_problem, judge_leaf
from mailadmin.pki.chain import MISSING_INTERMEDIATE, chain_problems, order_chain
from mailadmin.pki.facts import load_x509, read_public_key
from mailadmin.pki.keys import PrivateKey, describe_key, public_key_id
from mailadmin.pki.malformed import MALFORMED
from mailadmin.pki.parts import (
    FileFound,
    Found,
    Parts,
    count_found,
    read_loose_keys,
    read_parts,
)
from mailadmin.pki.problems import Problem, Severity, has_errors
from mailadmin.pki.roots import NO_ROOTS, Roots
from mailadmin.pki.weak_keys import (
    NO_KNOWN_KEYS,
    KnownKeys,
    key_digest,
    listed_key_problems,
    weak_key_problems,
)

__all__ = ["Found", "KeySource", "Parts", "Roots", "Verdict", "judge_bundle", "read_parts"]

NEED_CONFIRMATION = frozenset({MISSING_INTERMEDIATE})
_NAMES_SHOWN = 3
_BY_SEVERITY = list(Severity)


class KeySource(StrEnum):
    """Where the private key of the leaf is; ``MISSING`` when nobody is known to have it."""

    UPLOADED = "uploaded"
    PENDING = "pending"
    ELSEWHERE = "elsewhere"
    MISSING = "missing"


@dataclass(frozen=True)
class Verdict:
    """What an upload is worth: errors first in ``problems``; ``chain`` without a root.

    ``anchor`` is the root that the chain leads to, and ``trusted_by`` names the stores that hold
    it (none for one that only the upload held). ``private_key`` is there when the upload held the
    leaf's own key. ``files`` tells what the parts of the upload were.
    """

    problems: tuple[Problem, ...]
    found: Found
    leaf: CertificateFacts | None = None
    chain: tuple[CertificateFacts, ...] = ()
    anchor: CertificateFacts | None = None
    trusted_by: frozenset[str] = frozenset()
    private_key: PrivateKey | None = field(default=None, repr=False)
    key_source: KeySource = KeySource.MISSING
    files: tuple[FileFound, ...] = ()

    @property
    def is_accepted(self) -> bool:
        """Tell whether nothing refuses the upload."""
        return not has_errors(self.problems)

    @property
    def needs_confirmation(self) -> bool:
        """Tell whether a warning must be confirmed before the upload is taken."""
        return self.is_accepted and any(found.code in NEED_CONFIRMATION for found in self.problems)

    @property
    def key_matches(self) -> bool:
        """Tell whether the private key of the leaf is at hand."""
        return self.key_source in (KeySource.UPLOADED, KeySource.PENDING)

    @property
    def chain_pem(self) -> str:
        """The intermediates as PEM, from the leaf's issuer upwards."""
        return "".join(facts.pem for facts in self.chain)


def judge_bundle(
    parts: Parts,
    *,
    now: datetime,
    known_key_ids: Container[str] = (),
    key_ids_elsewhere: Container[str] = (),
    known_intermediates: Sequence[CertificateFacts] = (),
    roots: Roots = NO_ROOTS,
    known_keys: KnownKeys = NO_KNOWN_KEYS,
) -> Verdict:
    """Find the leaf, its key and its chain among the parts, and judge them together.

    ``known_key_ids``: public key ids of private keys the panel holds, as of pending requests;
    ``key_ids_elsewhere``: of those known to be in other hands; their certificates may come without.
    Known intermediates fill gaps; the roots tell where a chain may end. ``known_keys`` are those
    whose private half others have.
    """
    keys = {public_key_id(key): key for key in parts.private_keys}
    known = _Keys({*keys, *parts.refused_key_ids}, known_key_ids, key_ids_elsewhere)
    leaf, choice_problems = _choose_leaf(parts, known)
    if leaf is None:
        own = (key.public_key() for key in keys.values())
        loose = _loose_keys(parts, {*keys, *_key_ids(parts.certificates)})
        lone = _lone_key_problems([*own, *loose], known_keys)
        held = [facts for facts in parts.certificates if facts.public_key_id not in keys]
        weak = _weak_certificate_problems(held, known_keys)
        found = _sort_problems([*parts.problems, *choice_problems, *lone, *weak])
        return Verdict(found, _count(parts), files=parts.files)
    source = known.find(leaf)
    others = list(parts.certificates)
    others.remove(leaf)
    valid_roots = roots.select_valid(now)
    result = order_chain(
        leaf,
        others,
        known_roots=valid_roots.roots,
        known_intermediates=[facts for facts in known_intermediates if facts.is_valid(now)],
        now=now,
    )
    anchor = result.anchor
    is_public = anchor is not None and valid_roots.is_public(anchor)
    judged = list(judge_leaf(leaf, now, is_public=is_public))
    problems = [
        *(problem for problem in parts.problems if not _is_repeated(problem, judged)),
        *_key_problems(leaf, source, parts),
        *judged,
        *chain_problems(result, now, are_roots_known=bool(roots.roots)),
        *_listed_problems((leaf, *result.chain), known_keys),
        *_lone_key_problems(
            (key.public_key() for key_id, key in keys.items() if key_id != leaf.public_key_id),
            known_keys,
        ),
        *_loose_key_problems(parts, {*keys, *_key_ids((leaf, *result.chain))}, known_keys),
    ]
    return Verdict(
        problems=_sort_problems(problems),
        found=_count(parts),
        leaf=leaf,
        chain=result.chain,
        anchor=anchor,
        trusted_by=valid_roots.find_stores(anchor) if anchor else frozenset(),
        private_key=keys.get(leaf.public_key_id),
        key_source=source,
        files=parts.files,
    )


@dataclass(frozen=True, slots=True)
class _Keys:
    """Which private keys are where, by their public key ids."""

    uploaded: Container[str]
    with_panel: Container[str]
    elsewhere: Container[str]

    def find(self, leaf: CertificateFacts) -> KeySource:
        if leaf.public_key_id in self.uploaded:
            return KeySource.UPLOADED
        if leaf.public_key_id in self.with_panel:
            return KeySource.PENDING
        is_elsewhere = leaf.public_key_id in self.elsewhere
        return KeySource.ELSEWHERE if is_elsewhere else KeySource.MISSING


def _choose_leaf(parts: Parts, keys: _Keys) -> tuple[CertificateFacts | None, list[Problem]]:
    """Return the certificate to serve: one with a key at hand before any other server's.

    The newest of those that share a key. An authority's certificate only if its key was uploaded,
    so that it can be told why it cannot be served.
    """
    certificates = parts.certificates
    servers = [facts for facts in certificates if not facts.is_ca]
    for candidates in (
        [facts for facts in servers if keys.find(facts) is KeySource.UPLOADED],
        [facts for facts in servers if keys.find(facts) is KeySource.PENDING],
        [facts for facts in servers if keys.find(facts) is KeySource.ELSEWHERE],
        servers,
        [facts for facts in certificates if keys.find(facts) is KeySource.UPLOADED],
    ):
        if len({facts.public_key_id for facts in candidates}) > 1:
            return None, [_naming("bundle.several_leaves", candidates)]
        if candidates:
            return max(candidates, key=lambda facts: (facts.not_before, facts.fingerprint)), []
    if certificates:
        return None, [_naming("bundle.no_leaf", certificates)]
    is_malformed = any(problem.code == MALFORMED for problem in parts.problems)
    if is_malformed or (has_errors(parts.problems) and not parts.private_keys):
        return None, []  # what was given could not be read, and that has been said
    return None, [Problem("bundle.no_certificate")]


def _naming(code: str, certificates: Iterable[CertificateFacts]) -> Problem:
    titles = sorted({facts.title for facts in certificates})
    shown = ", ".join(titles[:_NAMES_SHOWN])
    return Problem(code, params={"names": shown, "count": len(titles)})


def _key_problems(leaf: CertificateFacts, source: KeySource, parts: Parts) -> list[Problem]:
    if source is KeySource.UPLOADED:
        return []
    if source is KeySource.PENDING:
        unused = certificate_problem("key.unused", leaf, Severity.WARNING)
        return [unused] if parts.private_keys else []
    if parts.private_keys:
        return [certificate_problem("key.mismatch", leaf)]
    if source is KeySource.ELSEWHERE:
        return []
    if any(problem.code.startswith(("key.", "pkcs12.")) for problem in parts.problems):
        return []  # the key was there, and why it was not read has been said
    return [certificate_problem("key.missing", leaf)]


def _listed_problems(
    certificates: Iterable[CertificateFacts], known_keys: KnownKeys
) -> Iterator[Problem]:
    for facts in certificates:
        public_key = read_public_key(load_x509(facts))
        digest = key_digest(public_key) if public_key else None
        for problem in listed_key_problems(digest, known_keys):
            yield certificate_problem(problem.code, facts, problem.severity, **problem.params)


def _weak_certificate_problems(
    certificates: Iterable[CertificateFacts], known_keys: KnownKeys
) -> Iterator[Problem]:
    """Warn of the weak keys of certificates of which none was chosen as the server's."""
    for facts in certificates:
        public_key = read_public_key(load_x509(facts))
        for problem in weak_key_problems(public_key) if public_key else ():
            yield certificate_problem(problem.code, facts, problem.severity, **problem.params)
    yield from _listed_problems(certificates, known_keys)


def _is_repeated(problem: Problem, judged: Iterable[Problem]) -> bool:
    """Tell whether what is said of a private key is said of its certificate as well."""
    return any(
        problem.code == other.code and problem.params.items() <= other.params.items()
        for other in judged
    )


def _key_ids(certificates: Iterable[CertificateFacts]) -> Iterator[str]:
    return (facts.public_key_id for facts in certificates)


def _loose_keys(parts: Parts, judged: Container[str]) -> Iterator[PublicKeyTypes]:
    """Yield the public keys by themselves or in requests, but for those judged anyway."""
    for key in read_loose_keys(parts.loose_keys):
        if public_key_id(key) not in judged:
            yield key


def _loose_key_problems(
    parts: Parts, judged: Container[str], known_keys: KnownKeys
) -> Iterator[Problem]:
    """Warn of weak keys beside a whole certificate, which they do not concern."""
    for problem in _lone_key_problems(_loose_keys(parts, judged), known_keys):
        yield Problem(problem.code, Severity.WARNING, params=problem.params)


def _lone_key_problems(
    public_keys: Iterable[PublicKeyTypes], known_keys: KnownKeys
) -> Iterator[Problem]:
    """Warn of weak keys whose certificate is not there."""
    for public_key in public_keys:
        for problem in (
            *weak_key_problems(public_key),
            *listed_key_problems(key_digest(public_key), known_keys),
        ):
            name = describe_key(public_key)
            yield Problem(problem.code, problem.severity, params={"name": name, **problem.params})


def _count(parts: Parts) -> Found:
    keys = len(parts.private_keys)
    return count_found(parts.certificates, keys=keys, requests=parts.requests)


def _sort_problems(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems with errors first, otherwise in their order."""
    return tuple(sorted(problems, key=lambda problem: _BY_SEVERITY.index(problem.severity)))
