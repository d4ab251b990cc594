"""From a leaf and a heap of certificates to the chain a server sends: intermediates in order.

A chain goes from the leaf's issuer upwards and holds no root (clients have their own). Whether one
certificate issued another is decided by its signature, not by names alone.

===========================  ========  ==========================================================
code                         severity  params
===========================  ========  ==========================================================
chain.too_many               error     count, limit
chain.expired                error     name, not_after: an intermediate
chain.not_yet_valid          error     name, not_before: an intermediate
chain.issuer_is_no_authority error     name: who signed the topmost certificate; lacks
chain.missing_intermediate   warning   issuer: who should have issued the topmost certificate
chain.root_unknown           warning   issuer: a root; only an info when no roots are known at all
chain.stranger               warning   name, issuer: it belongs to no part of the chain
chain.duplicates             info      count
chain.root_left_out          info      name
chain.completed              info      name: an intermediate that was already known
===========================  ========  ==========================================================

The strength of intermediates is judged like that of a leaf (``certificate.weak_signature``,
``key.rsa_too_small``, ``key.unsupported``), and what each member of the path allows below it by
:mod:`path_rules`. ``lacks`` is ``CA:TRUE`` or ``keyCertSign`` (RFC 5280, section 6.1.4 k and n).
``Problem.subject`` is the fingerprint.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache

from mailadmin.pki.certificate import (
    CertificateFacts,
    certificate_problem,
    load_x509,
)
from mailadmin.pki.path_rules import Path, PathRules
from mailadmin.pki.problems import Problem, Severity, has_errors
from mailadmin.pki.structure import structure_problems
from mailadmin.pki.x509_fields import is_issued_by

MAX_CANDIDATES = 20
MISSING_INTERMEDIATE = "chain.missing_intermediate"
_MAX_WAYS = 200  # that are looked at beyond those that reach each certificate first


@dataclass(frozen=True)
class ChainResult:
    """A chain in order, and what became of everything else that was given.

    ``anchor`` is the root that the chain leads to; ``root`` is the same if it was found among the
    candidates and left out; ``is_root_known`` tells whether it is one of the known roots.
    ``completed`` are the members of the chain that were known before. ``missing_issuer`` names the
    issuer of the topmost certificate when neither it nor a root is at hand; ``unfit_issuer`` is the
    one whose key signed it but that is no authority. ``problems`` are what breaks the rules of the
    path, or ``chain.too_many``, and then nothing was ordered.
    """

    chain: Path = ()
    anchor: CertificateFacts | None = None
    root: CertificateFacts | None = None
    is_root_known: bool = False
    strangers: tuple[CertificateFacts, ...] = ()
    duplicates: int = 0
    completed: tuple[CertificateFacts, ...] = ()
    missing_issuer: str | None = None
    unfit_issuer: CertificateFacts | None = None
    problems: tuple[Problem, ...] = ()


def order_chain(
    leaf: CertificateFacts,
    candidates: Sequence[CertificateFacts],
    known_roots: Sequence[CertificateFacts] = (),
    known_intermediates: Sequence[CertificateFacts] = (),
    now: datetime | None = None,
) -> ChainResult:
    """Find the chain above a leaf; the order of the candidates does not matter.

    Every link is a verified signature, and every pair is verified once at most, so that loops and
    many certificates of one name cost no more than others. Of several ways to a root the longest
    is taken, as what an authority hands out (cross-signed roots too) is meant to be sent; but one
    that clients refuse, ``now`` or by the rules of the path, only if there is no other. Known
    intermediates are used only where the candidates leave a gap.
    """
    if len(candidates) > MAX_CANDIDATES:
        counts = {"count": len(candidates), "limit": MAX_CANDIDATES}
        return ChainResult(problems=(Problem("chain.too_many", params=counts),))
    others = _without_duplicates(candidates, leaf)
    duplicates = len(candidates) - len(others)
    if leaf.is_self_signed:
        return ChainResult(strangers=tuple(others), duplicates=duplicates)
    given_roots = [facts for facts in others if facts.is_self_signed]
    roots = _Issuers([*known_roots, *given_roots])
    rules = PathRules()
    way = _climb(leaf, others, roots, rules, now)
    if way.anchor is None:
        additions = _select_by_name([leaf, *others], known_intermediates)
        if additions:
            way = _climb(leaf, [*others, *additions], roots, rules, now)
    sorted_out = _sort_out(leaf, way, others, [*others, *known_roots])
    return replace(
        sorted_out,
        duplicates=duplicates,
        is_root_known=way.anchor in known_roots,
        problems=rules.judge(leaf, way.path, way.anchor),
    )


def _without_duplicates(
    candidates: Iterable[CertificateFacts], leaf: CertificateFacts
) -> list[CertificateFacts]:
    """Return each certificate but the leaf once: the last to expire first, then by fingerprint."""
    unique = {facts.fingerprint: facts for facts in candidates}
    unique.pop(leaf.fingerprint, None)
    ordered = sorted(unique.values(), key=lambda facts: facts.fingerprint)
    return sorted(ordered, key=lambda facts: facts.not_after, reverse=True)


class _Issuers:
    """Certificates that may issue others, found by name and confirmed by signature."""

    def __init__(self, certificates: Iterable[CertificateFacts]) -> None:
        self._by_subject: dict[str, list[CertificateFacts]] = defaultdict(list)
        for facts in certificates:
            if _may_issue(facts):
                self._by_subject[facts.subject].append(facts)
        self._found: dict[str, list[CertificateFacts]] = {}

    def find_issuers(self, facts: CertificateFacts) -> list[CertificateFacts]:
        """Return each one whose key signed the certificate."""
        if facts.fingerprint not in self._found:
            named = self._by_subject.get(facts.issuer, ())
            self._found[facts.fingerprint] = _select_signers(facts, named)
        return self._found[facts.fingerprint]

    def find_anchor(self, facts: CertificateFacts) -> CertificateFacts | None:
        """Return one that issued the certificate, or that it is a cross-signed copy of."""
        found = self.find_issuers(facts) or list(self._find_twins(facts))
        return next(iter(found), None)

    def _find_twins(self, facts: CertificateFacts) -> Iterator[CertificateFacts]:
        """Yield each one with the same name and key, as the root behind a cross-signed copy."""
        for twin in self._by_subject.get(facts.subject, ()):
            if twin.public_key_id == facts.public_key_id:
                yield twin


def _select_signers(
    facts: CertificateFacts, named: Sequence[CertificateFacts]
) -> list[CertificateFacts]:
    if not named:
        return []
    parsed = load_x509(facts)
    return [issuer for issuer in named if is_issued_by(parsed, load_x509(issuer))]


def _may_issue(facts: CertificateFacts) -> bool:
    if facts.version == 1:  # roots older than basic constraints
        return facts.is_self_signed
    return facts.is_ca and (not facts.key_usages or "keyCertSign" in facts.key_usages)


@dataclass(frozen=True)
class _Way:
    """A way up from the leaf (which is not part of it), and the root that it leads to."""

    path: Path = ()
    anchor: CertificateFacts | None = None

    def holds(self, facts: CertificateFacts) -> bool:
        """Tell whether an authority, by its name and key, stands in the way already."""
        return any(
            (known.subject, known.public_key_id) == (facts.subject, facts.public_key_id)
            for known in self.path
        )


def _climb(
    leaf: CertificateFacts,
    candidates: Iterable[CertificateFacts],
    roots: _Issuers,
    rules: PathRules,
    now: datetime | None,
) -> _Way:
    """Return the best way up: to a root, accepted by clients, long."""
    ways = _find_ways(leaf, candidates, roots)
    anchored = [way for way in ways if way.anchor is not None]
    if len(anchored) < 2:
        return max(anchored or ways, key=lambda way: len(way.path))
    is_sound = cache(_is_sound)

    def rank(way: _Way) -> tuple[bool, int]:
        is_accepted = all(is_sound(facts, now) for facts in way.path) and not has_errors(
            rules.judge(leaf, way.path, way.anchor)
        )
        return is_accepted, len(way.path)

    return max(anchored, key=rank)


def _is_sound(facts: CertificateFacts, now: datetime | None) -> bool:
    is_valid = now is None or facts.is_valid(now)
    return is_valid and not has_errors(structure_problems(facts))


def _find_ways(
    leaf: CertificateFacts, candidates: Iterable[CertificateFacts], roots: _Issuers
) -> list[_Way]:
    """Return ways up, breadth first; those to certificates not met before come before others.

    So each certificate is reached, while the others, of which there may be exponentially many, are
    counted. No authority stands twice in a way, whichever certificates it has: a loop ends where it
    closes.
    """
    issuers = _Issuers(facts for facts in candidates if not facts.is_self_signed)
    met = {leaf.fingerprint}
    ways = [_Way(anchor=roots.find_anchor(leaf))]
    first, others = deque(ways), deque[_Way]()
    while first or (others and len(ways) < _MAX_WAYS):
        way = (first or others).popleft()
        for issuer in issuers.find_issuers(way.path[-1] if way.path else leaf):
            if issuer.fingerprint != leaf.fingerprint and not way.holds(issuer):
                anchor = roots.find_anchor(issuer) or way.anchor
                longer = _Way((*way.path, issuer), anchor)
                ways.append(longer)
                (others if issuer.fingerprint in met else first).append(longer)
                met.add(issuer.fingerprint)
    return ways


def _select_by_name(
    below: Iterable[CertificateFacts], known: Sequence[CertificateFacts]
) -> list[CertificateFacts]:
    """Return the known intermediates that could stand above these, going by their names."""
    by_subject: dict[str, list[CertificateFacts]] = defaultdict(list)
    for facts in known:
        if not facts.is_self_signed:
            by_subject[facts.subject].append(facts)
    selected: list[CertificateFacts] = []
    queue = deque(below)
    while queue and len(selected) < MAX_CANDIDATES:
        found = by_subject.pop(queue.popleft().issuer, [])
        selected.extend(found)
        queue.extend(found)
    return selected[:MAX_CANDIDATES]


def _sort_out(
    leaf: CertificateFacts,
    way: _Way,
    others: Sequence[CertificateFacts],
    all_known: Sequence[CertificateFacts],
) -> ChainResult:
    given = {facts.fingerprint for facts in others}
    root = way.anchor if way.anchor and way.anchor.fingerprint in given else None
    used = {facts.fingerprint for facts in (*way.path, *((root,) if root else ()))}
    top = way.path[-1] if way.path else leaf
    unfit = None if way.anchor else _find_unfit(top, all_known)
    used |= {unfit.fingerprint} if unfit else set()
    return ChainResult(
        chain=way.path,
        anchor=way.anchor,
        root=root,
        strangers=tuple(facts for facts in others if facts.fingerprint not in used),
        completed=tuple(facts for facts in way.path if facts.fingerprint not in given),
        missing_issuer=None if way.anchor else top.issuer_title,
        unfit_issuer=unfit,
    )


def _find_unfit(
    top: CertificateFacts, certificates: Iterable[CertificateFacts]
) -> CertificateFacts | None:
    """Return one whose key signed the certificate, though it is no authority."""
    named = [facts for facts in certificates if facts.subject == top.issuer]
    signers = _select_signers(top, [facts for facts in named if not _may_issue(facts)])
    return next(iter(signers), None)


def chain_problems(
    result: ChainResult, now: datetime, *, are_roots_known: bool = False
) -> list[Problem]:
    """Say what is wrong with a chain, and what was done with everything that is not part of it.

    ``are_roots_known``: the roots of public authorities were at hand when the chain was ordered.
    """
    return [
        *result.problems,
        *(problem for facts in result.chain for problem in _intermediate_problems(facts, now)),
        *_gap_problems(result, are_roots_known),
        *_leftover_problems(result),
    ]


def _intermediate_problems(facts: CertificateFacts, now: datetime) -> Iterator[Problem]:
    if facts.is_expired(now):
        yield certificate_problem("chain.expired", facts, not_after=facts.not_after.isoformat())
    elif now < facts.not_before:
        begin = facts.not_before.isoformat()
        yield certificate_problem("chain.not_yet_valid", facts, not_before=begin)
    yield from structure_problems(facts)


def _gap_problems(result: ChainResult, are_roots_known: bool) -> Iterator[Problem]:
    """Tell a missing intermediate from a missing root, which is no fault.

    Nothing in a certificate says whether its issuer is a root. But public authorities never sign a
    server certificate with their root, and a certificate of an authority that fits nowhere shows
    that the one between is missing.
    """
    issuer, unfit = result.missing_issuer, result.unfit_issuer
    if unfit is not None:
        lacks = "keyCertSign" if unfit.is_ca else "CA:TRUE"
        yield certificate_problem("chain.issuer_is_no_authority", unfit, lacks=lacks)
    elif issuer is None:
        if result.root and are_roots_known and not result.is_root_known:
            yield _root_unknown(result.root.title, Severity.WARNING)
    elif not result.chain or any(facts.is_ca for facts in result.strangers):
        yield Problem(MISSING_INTERMEDIATE, Severity.WARNING, params={"issuer": issuer})
    else:
        yield _root_unknown(issuer, Severity.WARNING if are_roots_known else Severity.INFO)


def _root_unknown(issuer: str, severity: Severity) -> Problem:
    return Problem("chain.root_unknown", severity, params={"issuer": issuer})


def _leftover_problems(result: ChainResult) -> Iterator[Problem]:
    for facts in result.completed:
        yield certificate_problem("chain.completed", facts, Severity.INFO)
    for facts in result.strangers:
        yield certificate_problem(
            "chain.stranger", facts, Severity.WARNING, issuer=facts.issuer_title
        )
    if result.root:
        yield certificate_problem("chain.root_left_out", result.root, Severity.INFO)
    if result.duplicates:
        yield Problem("chain.duplicates", Severity.INFO, params={"count": result.duplicates})
