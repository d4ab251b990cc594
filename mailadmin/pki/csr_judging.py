"""What is wrong with a request, and how the certificate that came differs from what was asked.

============================  ========  =========================================================
code                          severity  params
============================  ========  =========================================================
csr.no_usable_name            error     name: no certificate for it could be used by a mail server
csr.unusable_names            warning   names, count
csr.names_in_common_name      warning   name: it lists no alternative name, only a common name
csr.too_many_names            warning   count, limit
csr.asks_for_uses             warning   uses: extended key usages beside serverAuth
csr.asks_for_server_use       info
csr.asks_to_be_ca             warning
csr.asks_for_stapling         warning
csr.challenge_password        warning
key.*                         error     as in ``keys`` and ``weak_keys``
csr.names_missing             warning   names, count: asked for, and not in the certificate
csr.names_added               info      names, count: in the certificate, and not asked for
csr.all_names_came            info
csr.other_key                 warning   name, asked, came: kinds of keys
============================  ========  =========================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mailadmin.pki.csr import CsrFacts
from mailadmin.pki.facts import MAX_TITLE, CertificateFacts
from mailadmin.pki.names import is_covered, is_usable_san
from mailadmin.pki.problems import Param, Problem, Severity
from mailadmin.pki.weak_keys import NO_KNOWN_KEYS, KnownKeys, listed_key_problems
from mailadmin.pki.x509_fields import MAX_NAMES

_SERVER_USE = "serverAuth"
_NAMES_SHOWN = 3


def usable_names(facts: CsrFacts) -> tuple[str, ...]:
    """Return the names that a server can be reached by: those listed, else the common name."""
    names = facts.names or (facts.common_name.lower(),)
    return tuple(name for name in names if is_usable_san(name))


def judge_csr(facts: CsrFacts, known_keys: KnownKeys = NO_KNOWN_KEYS) -> list[Problem]:
    """Say what keeps authorities from signing a request, or mail clients from what they sign.

    ``known_keys`` are those whose private half others have.
    """
    title = facts.title
    return [
        *(
            Problem(item.code, item.severity, params={"name": title, **item.params})
            for item in (*facts.key_problems, *listed_key_problems(facts.key_digest, known_keys))
        ),
        *_name_problems(facts, title),
        *_wish_problems(facts),
    ]


def _name_problems(facts: CsrFacts, title: str) -> Iterator[Problem]:
    usable = usable_names(facts)
    unusable = sorted(set(facts.names) - set(usable))
    if not usable:
        yield Problem("csr.no_usable_name", params={"name": title})
    elif not facts.names:
        yield _warn("csr.names_in_common_name", name=title)
    elif unusable:
        yield _warn("csr.unusable_names", **_naming(unusable))
    if len(usable) > MAX_NAMES:
        yield _warn("csr.too_many_names", count=len(usable), limit=MAX_NAMES)


def _wish_problems(facts: CsrFacts) -> Iterator[Problem]:
    """Say what a request asks for beside names; authorities refuse or ignore most of it."""
    others = [use for use in facts.extended_key_usages if use != _SERVER_USE]
    if others:
        yield _warn("csr.asks_for_uses", uses=", ".join(others)[:MAX_TITLE])
    elif facts.extended_key_usages:
        yield Problem("csr.asks_for_server_use", Severity.INFO)
    if facts.asks_to_be_ca:
        yield _warn("csr.asks_to_be_ca")
    if facts.asks_for_stapling:
        yield _warn("csr.asks_for_stapling")
    if facts.has_challenge_password:
        yield _warn("csr.challenge_password")


def compare_with_answer(asked: CsrFacts, leaf: CertificateFacts) -> list[Problem]:
    """Say how a certificate differs from the request that it is the answer to.

    A name under a wildcard that came is not missing, for clients accept it.
    """
    if asked.public_key_id != leaf.public_key_id:
        return [_warn("csr.other_key", name=asked.title, asked=asked.key, came=leaf.key)]
    wanted = usable_names(asked)
    missing = [name for name in wanted if not is_covered(name, leaf.names)]
    added = [name for name in leaf.names if name not in wanted]
    if not missing and not added:
        return [Problem("csr.all_names_came", Severity.INFO)]
    problems = []
    if missing:
        problems.append(_warn("csr.names_missing", **_naming(missing)))
    if added:
        problems.append(Problem("csr.names_added", Severity.INFO, params=_naming(added)))
    return problems


def _naming(names: Sequence[str]) -> dict[str, Param]:
    shown = ", ".join(name[:MAX_TITLE] for name in names[:_NAMES_SHOWN])
    return {"names": shown, "count": len(names)}


def _warn(code: str, **params: Param) -> Problem:
    return Problem(code, Severity.WARNING, params=params)
