"""Which names may be ordered together.

=============================  ========  =======================  ==================================
code                           severity  params                   source
=============================  ========  =======================  ==================================
acme.no_names                  error
acme.too_many_names            error     count, limit             the profile; 100 by custom
acme.name_twice                error
acme.name_covered              error     wildcard                 Let's Encrypt refuses the order
acme.name_is_suffix            error                              Baseline Requirements 3.2.2.6
acme.address_needs_profile     error                              RFC 8738; the profile
acme.name_never_public         warning   suffix                   RFC 6761, 6762, 8375, 9476
acme.no_challenge_for_all      error                              RFC 8555 7.1.4; RFC 8738 7
=============================  ========  =======================  ==================================

``subject`` is the name. The codes of :func:`mailadmin.pki.names.normalize_san` are passed on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from mailadmin.issuance.challenges import allowed_challenges
from mailadmin.issuance.profiles import describe_profile
from mailadmin.pki.names import (
    WILDCARD,
    NameProblem,
    is_covered,
    is_public_suffix,
    normalize_san,
    parse_address,
)
from mailadmin.pki.problems import Problem, Severity

# Names that no public authority can find anybody in control of.
_NEVER_PUBLIC = ("alt", "example", "home.arpa", "internal", "invalid", "local", "localhost", "test")


def names_problems(names: Sequence[str], *, profile: str = "") -> list[Problem]:
    """Judge the names of one order, as a person typed them or as they are stored."""
    if not names:
        return [Problem("acme.no_names")]
    meaning = describe_profile(profile)
    problems: list[Problem] = []
    good: list[str] = []
    for typed in names:
        try:
            good.append(normalize_san(typed))
        except NameProblem as error:
            told = error.problem
            problems.append(Problem(told.code, subject=typed[:100], params=told.params))
    counted = Counter(good)
    if len(counted) > meaning.max_names:
        counts = {"count": len(counted), "limit": meaning.max_names}
        return [*problems, Problem("acme.too_many_names", params=counts)]
    problems += [Problem("acme.name_twice", subject=name) for name in counted if counted[name] > 1]
    for name in counted:
        problems += _judge_one(name, counted, may_be_address=meaning.allows_addresses)
    if good and not allowed_challenges(good):
        problems.append(Problem("acme.no_challenge_for_all"))
    return problems


def _judge_one(name: str, names: Iterable[str], *, may_be_address: bool) -> Iterator[Problem]:
    if parse_address(name):
        if not may_be_address:
            yield Problem("acme.address_needs_profile", subject=name)
        return
    others = [each for each in names if each.startswith(WILDCARD) and each != name]
    wildcard = next((each for each in others if is_covered(name, [each])), "")
    if wildcard:
        yield Problem("acme.name_covered", subject=name, params={"wildcard": wildcard})
    host = name.removeprefix(WILDCARD)
    suffix = next((each for each in _NEVER_PUBLIC if f".{host}".endswith(f".{each}")), "")
    if suffix:
        params = {"suffix": suffix}
        yield Problem("acme.name_never_public", Severity.WARNING, name, params)
    elif is_public_suffix(host):
        yield Problem("acme.name_is_suffix", subject=name)
