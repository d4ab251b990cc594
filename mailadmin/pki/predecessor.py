"""How a certificate differs from the one whose place it takes: what a renewal may break.

==============================  ========  =======================  ================================
code                            severity  params                   source
==============================  ========  =======================  ================================
predecessor.client_use_gone     warning                            Chrome's root program: public
                                                                   authorities drop clientAuth
predecessor.uses_changed        warning   old_uses, uses           STANDARDS 1.5: OCI refused a
                                                                   renewal because of it
predecessor.names_lost          warning   names, count             RFC 9525 6.3
predecessor.names_gained        info      names, count
predecessor.key_kind_changed    warning   old_key, key             RFC 7672 8.2; clients of one kind
predecessor.key_size_changed    info      old_key, key
predecessor.same_key            info                               RFC 7671 8.1: TLSA stay right
predecessor.other_key           info                               RFC 7671 8.1: TLSA come first
predecessor.ends_earlier        warning   old_not_after, not_after
predecessor.shorter             info      old_days, days           BR 6.3.2: 200, 100, 47 days
predecessor.other_issuer        info      old_issuer, issuer       RFC 8659: CAA must allow it
predecessor.other_intermediate  info      old_issuer, issuer       RFC 7671 5.2: TLSA 2 x x
predecessor.must_staple_new     warning                            RFC 7633
predecessor.root_changed        warning   old_root, root           old programs know old roots only
==============================  ========  =======================  ================================

``Problem.subject`` is the fingerprint of the new certificate. None of them refuses it: all are
about what else has to change with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from mailadmin.pki.certificate import asks_for_stapling
from mailadmin.pki.facts import MAX_TITLE, CertificateFacts
from mailadmin.pki.keys import algorithm_of
from mailadmin.pki.names import is_public_suffix
from mailadmin.pki.problems import Param, Problem, Severity

_NAMES_SHOWN = 5
_CLIENT_USE = frozenset({"clientAuth"})
_ANY_USE = frozenset({"anyExtendedKeyUsage"})
_OTHER_ISSUER, _OTHER_INTERMEDIATE = "predecessor.other_issuer", "predecessor.other_intermediate"
# Authorities round lifetimes by hours; a day less is no news.
_SHORTER_BY = timedelta(days=2)


def compare_with_predecessor(
    old: CertificateFacts,
    new: CertificateFacts,
    *,
    old_root: CertificateFacts | None = None,
    new_root: CertificateFacts | None = None,
) -> list[Problem]:
    """Say what is different, warnings first. The roots, where known, are those of both chains."""
    found = [
        *_use_problems(old, new),
        *_name_problems(old, new),
        *_key_problems(old, new),
        *_time_problems(old, new),
        *_issuer_problems(old, new, old_root, new_root),
    ]
    order = list(Severity)
    return sorted(found, key=lambda problem: order.index(problem.severity))


def names_not_covered(names: Iterable[str], others: Sequence[str]) -> list[str]:
    """Return those names that a certificate for the others does not cover, in their order.

    As :func:`mailadmin.pki.names.is_covered`, but for names that stand in certificates, and fast
    for thousands of them.
    """
    known = {name.lower() for name in others}
    return [name for name in names if not _is_known(name.lower(), known)]


def _is_known(name: str, known: set[str]) -> bool:
    if name in known:
        return True
    label, _, parent = name.partition(".")
    return label != "*" and f"*.{parent}" in known and not is_public_suffix(parent)


def _use_problems(old: CertificateFacts, new: CertificateFacts) -> Iterator[Problem]:
    before, after = _uses(old), _uses(new)
    if before - after == _CLIENT_USE and after <= before:
        yield _warn(new, "predecessor.client_use_gone")
    elif before != after:
        yield _warn(
            new, "predecessor.uses_changed", old_uses=_list_uses(before), uses=_list_uses(after)
        )
    if asks_for_stapling(new) and not asks_for_stapling(old):
        yield _warn(new, "predecessor.must_staple_new")


def _uses(facts: CertificateFacts) -> frozenset[str]:
    """Return the uses; a certificate that names none is for any."""
    return frozenset(facts.extended_key_usages) or _ANY_USE


def _list_uses(uses: frozenset[str]) -> str:
    return ", ".join(sorted(uses))[:MAX_TITLE]


def _name_problems(old: CertificateFacts, new: CertificateFacts) -> Iterator[Problem]:
    lost = names_not_covered(old.names, new.names)
    gained = names_not_covered(new.names, old.names)
    if lost:
        yield _warn(new, "predecessor.names_lost", **_naming(lost))
    if gained:
        yield _tell(new, "predecessor.names_gained", **_naming(gained))


def _naming(names: Sequence[str]) -> dict[str, Param]:
    shown = ", ".join(name[:MAX_TITLE] for name in names[:_NAMES_SHOWN])
    return {"names": shown, "count": len(names)}


def _key_problems(old: CertificateFacts, new: CertificateFacts) -> Iterator[Problem]:
    if old.public_key_id == new.public_key_id:
        yield _tell(new, "predecessor.same_key")
        return
    yield _tell(new, "predecessor.other_key")
    keys: dict[str, Param] = {"old_key": old.key, "key": new.key}
    if algorithm_of(old.key) != algorithm_of(new.key):
        yield _warn(new, "predecessor.key_kind_changed", **keys)
    elif old.key != new.key:
        yield _tell(new, "predecessor.key_size_changed", **keys)


def _time_problems(old: CertificateFacts, new: CertificateFacts) -> Iterator[Problem]:
    if new.not_after < old.not_after:
        ends = {"old_not_after": old.not_after.isoformat(), "not_after": new.not_after.isoformat()}
        yield _warn(new, "predecessor.ends_earlier", **ends)
    before, after = (facts.not_after - facts.not_before for facts in (old, new))
    if after <= before - _SHORTER_BY:
        yield _tell(new, "predecessor.shorter", old_days=before.days, days=after.days)


def _issuer_problems(
    old: CertificateFacts,
    new: CertificateFacts,
    old_root: CertificateFacts | None,
    new_root: CertificateFacts | None,
) -> Iterator[Problem]:
    if old.issuer != new.issuer and not (old.is_self_signed and new.is_self_signed):
        is_same_authority = old.issuer_organization == new.issuer_organization != ""
        code = _OTHER_INTERMEDIATE if is_same_authority else _OTHER_ISSUER
        yield _tell(new, code, old_issuer=old.issuer_title, issuer=new.issuer_title)
    if old_root and new_root and old_root.public_key_id != new_root.public_key_id:
        yield _warn(new, "predecessor.root_changed", old_root=old_root.title, root=new_root.title)


def _warn(facts: CertificateFacts, code: str, **params: Param) -> Problem:
    return Problem(code, Severity.WARNING, facts.fingerprint, params)


def _tell(facts: CertificateFacts, code: str, **params: Param) -> Problem:
    return Problem(code, Severity.INFO, facts.fingerprint, params)
