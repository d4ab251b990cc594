"""The rules that members of a certification path set each other (RFC 5280, section 6.1).

What a certificate is by itself is judged by :mod:`structure`; here is what an authority allows
below it. The root counts as well: OpenSSL and Go read its limits like those of any other authority
(RFC 5937 for name constraints).

==============================  ========  ==========================  ==========================
code                            severity  params                      source
==============================  ========  ==========================  ==========================
chain.path_too_long             error     name                        RFC 5280 6.1.4 l-m
chain.not_for_servers           error     name, usages                C13; BR 7.1.2.10.6; OpenSSL
chain.key_id_differs            error     name, issuer                RFC 5280 4.2.1.1; OpenSSL
chain.constraints_unreadable    error     name                        RFC 5280 4.2.1.10
chain.names_excluded            error     name, below, names, count   RFC 5280 6.1.3 c
chain.names_not_permitted       error     name, below, names, count   RFC 5280 6.1.3 b
chain.names_not_comparable      error *   name, below, names, count   RFC 5280 4.2.1.10
certificate.extension_unknown   error     extensions: of the root     RFC 5280 4.2
==============================  ========  ==========================  ==========================

\\* A warning if the constraints are not critical: only some clients mind then. ``name`` is the
authority that sets the limit, ``below`` the certificate that breaks it. OpenSSL 3.0.19 says
"unsuitable certificate purpose" of an authority, root or not, whose usages do not name serverAuth,
anyExtendedKeyUsage alone too; and finds no issuer where the key identifiers differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from mailadmin.pki.facts import CertificateFacts, certificate_problem
from mailadmin.pki.name_constraints import (
    NameConstraints,
    Rule,
    find_violations,
    read_name_constraints,
    read_names,
    show_name,
)
from mailadmin.pki.name_constraints.judging import Name
from mailadmin.pki.problems import Problem, Severity
from mailadmin.pki.structure import root_problems

Path = tuple[CertificateFacts, ...]

_SERVER_USAGE = "serverAuth"
_NAMES_SHOWN = 3
_SHOWN_LENGTH = 200  # characters


class PathRules:
    """Judges several paths above one leaf, and looks at each pair of certificates once."""

    def __init__(self) -> None:
        self._names: dict[str, tuple[Name, ...]] = {}
        self._constraints: dict[str, NameConstraints | ValueError | None] = {}
        self._found: dict[tuple[str, str], tuple[Problem, ...]] = {}

    def judge(
        self, leaf: CertificateFacts, chain: Path, anchor: CertificateFacts | None
    ) -> tuple[Problem, ...]:
        """Say which rules the path breaks, from the leaf upwards. Never raises.

        Where the chain ends with a cross-signed copy of the root, the root stands in its place, as
        it does for a client that knows it.
        """
        authorities = _without_copy(chain, anchor)
        return (
            *_length_problems(authorities),
            *(found for facts in authorities for found in _usage_problems(facts)),
            *_key_id_problems((leaf, *authorities)),
            *self._name_problems((leaf, *authorities)),
            *(root_problems(anchor) if anchor else ()),
        )

    def _name_problems(self, path: Path) -> Iterator[Problem]:
        for place, authority in enumerate(path[1:], start=1):
            constraints = self._read_constraints(authority)
            if isinstance(constraints, ValueError):
                yield certificate_problem("chain.constraints_unreadable", authority)
            elif constraints is not None:
                for below in path[:place]:
                    # Self-issued ones change a key, not a name; but the leaf is always judged.
                    if below is path[0] or below.subject != below.issuer:
                        yield from self._compare(constraints, authority, below)

    def _read_constraints(self, facts: CertificateFacts) -> NameConstraints | ValueError | None:
        if facts.fingerprint not in self._constraints:
            try:
                self._constraints[facts.fingerprint] = read_name_constraints(facts)
            except ValueError as error:
                self._constraints[facts.fingerprint] = error
        return self._constraints[facts.fingerprint]

    def _compare(
        self, constraints: NameConstraints, authority: CertificateFacts, below: CertificateFacts
    ) -> tuple[Problem, ...]:
        pair = authority.fingerprint, below.fingerprint
        if pair not in self._found:
            if below.fingerprint not in self._names:
                self._names[below.fingerprint] = read_names(below)
            names = self._names[below.fingerprint]
            self._found[pair] = tuple(_violation_problems(constraints, names, authority, below))
        return self._found[pair]


def _violation_problems(
    constraints: NameConstraints,
    names: tuple[Name, ...],
    authority: CertificateFacts,
    below: CertificateFacts,
) -> Iterator[Problem]:
    broken: dict[Rule, list[Name]] = defaultdict(list)
    for rule, name in find_violations(constraints, names):
        broken[rule].append(name)
    for rule, found in sorted(broken.items()):
        is_lenient = rule is Rule.NOT_COMPARABLE and not constraints.is_critical
        yield certificate_problem(
            rule,
            authority,
            Severity.WARNING if is_lenient else Severity.ERROR,
            below=below.title,
            names=", ".join(show_name(*name) or "“”" for name in found[:_NAMES_SHOWN]),
            count=len(found),
        )


def _without_copy(chain: Path, anchor: CertificateFacts | None) -> Path:
    """Return the authorities of the path, the root at last instead of a cross-signed copy."""
    if anchor is None:
        return chain
    top = chain[-1] if chain else None
    is_copy = top is not None and _identity(top) == _identity(anchor)
    return (*(chain[:-1] if is_copy else chain), anchor)


def _identity(facts: CertificateFacts) -> tuple[str, str]:
    return facts.subject, facts.public_key_id


def _length_problems(authorities: Path) -> Iterator[Problem]:
    """Check path lengths as RFC 5280, section 6.1.4 does: self-issued certificates do not count."""
    below = 0
    for facts in authorities:
        if facts.path_length is not None and below > facts.path_length:
            yield certificate_problem("chain.path_too_long", facts)
        below += facts.subject != facts.issuer


def _usage_problems(facts: CertificateFacts) -> Iterator[Problem]:
    """Check that an authority that limits what its certificates are for includes servers."""
    usages = facts.extended_key_usages
    if usages and _SERVER_USAGE not in usages:
        shown = ", ".join(usages)[:_SHOWN_LENGTH]
        yield certificate_problem("chain.not_for_servers", facts, usages=shown)


def _key_id_problems(path: Path) -> Iterator[Problem]:
    """Compare the key identifiers, where both are there, of each certificate and its issuer."""
    for below, issuer in pairwise(path):
        wanted, given = below.authority_key_id, issuer.subject_key_id
        if wanted and given and wanted != given:
            yield certificate_problem("chain.key_id_differs", below, issuer=issuer.title)
