"""Whether the domain's CAA records let an authority issue, before it is asked.

RFC 8659 says which records count (section 3) and how they are written (section 4), RFC 8657 what
``accounturi`` and ``validationmethods`` restrict. Let's Encrypt's CAA page tells how failures are
taken: an answer that does not come forbids.

==============================  ========  ======================================================
code                            severity  params
==============================  ========  ======================================================
acme.caa_lookup_failed          error     at, rcode (may be empty: no answer)
acme.caa_bogus                  error     at
acme.caa_critical_tag           error     at, tag
acme.caa_other_issuer           error     at, tag, allowed (may be empty: nobody), wanted
acme.caa_other_account          error     at, tag, account_url (may be empty: none yet)
acme.caa_other_method           error     at, tag, methods, challenge
acme.caa_issuer_unknown         warning   at, allowed
==============================  ========  ======================================================

``at`` is the name at which the records are, ``subject`` the name they are judged for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mailadmin.issuance.texts import clean_words
from mailadmin.pki.names import WILDCARD, parse_address
from mailadmin.pki.problems import Param, Problem, Severity

_CRITICAL = 128
# RFC 8659, sections 4.2 to 4.4, and RFC 9495: what every public authority understands.
_UNDERSTOOD = frozenset({"issue", "issuewild", "iodef", "issuemail"})
_DOMAIN = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*", re.ASCII)
_PARAMETER = re.compile(r"([A-Za-z0-9-]+)[ \t]*=[ \t]*([\x21-\x3A\x3C-\x7E]*)", re.ASCII)
_SHOWN = 200  # characters of what records say


@dataclass(frozen=True, slots=True)
class CaaRecord:
    """One record (RFC 8659, section 4.1)."""

    flags: int
    tag: str
    value: str


@dataclass(frozen=True, slots=True)
class CaaAnswer:
    """What DNS answered at one name; an empty ``rcode`` stands for no answer at all."""

    rcode: str
    records: tuple[CaaRecord, ...] = ()
    is_bogus: bool = False


@dataclass(frozen=True, slots=True)
class _Grant:
    """What one issue or issuewild record allows (RFC 8659, section 4.2; RFC 8657)."""

    issuer: str
    accounts: tuple[str, ...] = ()
    methods: tuple[str, ...] | None = None

    def allows_account(self, account_url: str) -> bool:
        """Compare as RFC 8657, section 3 says: as text; several can never be met."""
        return not self.accounts or self.accounts == (account_url,)

    def allows_method(self, challenge: str) -> bool:
        return self.methods is None or challenge in self.methods


def names_to_look_up(name: str) -> tuple[str, ...]:
    """Return where CAA records may be, the closest first; none for an address (RFC 8738)."""
    host = name.removeprefix(WILDCARD)
    if parse_address(host):
        return ()
    labels = host.split(".")
    return tuple(".".join(labels[start:]) for start in range(len(labels)))


def judge_caa(
    name: str,
    lookups: Mapping[str, CaaAnswer],
    *,
    identities: Sequence[str],
    account_url: str,
    challenge: str,
    is_wildcard: bool | None = None,
) -> list[Problem]:
    """Return what keeps the authority from issuing for the name; nothing if it may.

    ``lookups``: the answers by name, at least up to the first that has records.
    ``identities``: what the authority calls itself (``caaIdentities`` of its directory).
    ``account_url`` is empty while there is no account. ``is_wildcard`` follows from the name.
    """
    wildcard = name.startswith(WILDCARD) if is_wildcard is None else is_wildcard
    for at in names_to_look_up(name):
        answer = lookups.get(at, CaaAnswer(""))
        failure = _failure(name, at, answer)
        if failure is not None:
            return [failure]
        if answer.records:
            wanted = tuple(identity.lower().removesuffix(".") for identity in identities)
            found = _judge_set(answer.records, wanted, account_url, challenge, wildcard)
            return [
                Problem(each.code, each.severity, name, {"at": at, **each.params}) for each in found
            ]
    return []


def _failure(name: str, at: str, answer: CaaAnswer) -> Problem | None:
    if answer.is_bogus:
        return Problem("acme.caa_bogus", subject=name, params={"at": at})
    if answer.rcode not in ("NOERROR", "NXDOMAIN"):
        params = {"at": at, "rcode": answer.rcode}
        return Problem("acme.caa_lookup_failed", subject=name, params=params)
    return None


def _judge_set(
    records: Sequence[CaaRecord],
    identities: Sequence[str],
    account_url: str,
    challenge: str,
    is_wildcard: bool,
) -> Iterator[Problem]:
    by_tag: dict[str, list[str]] = {}
    for record in records:
        tag = record.tag.lower()
        if record.flags & _CRITICAL and tag not in _UNDERSTOOD:
            yield Problem("acme.caa_critical_tag", params={"tag": clean_words(tag, _SHOWN)})
            return
        by_tag.setdefault(tag, []).append(record.value)
    tag = "issuewild" if is_wildcard and "issuewild" in by_tag else "issue"
    if tag not in by_tag:
        return
    grants = [_read_grant(value) for value in by_tag[tag]]
    issuers = ", ".join(dict.fromkeys(grant.issuer for grant in grants if grant.issuer))
    allowed = clean_words(issuers, _SHOWN)
    if not identities:
        yield Problem("acme.caa_issuer_unknown", Severity.WARNING, params={"allowed": allowed})
        return
    yield from _judge_grants(
        [grant for grant in grants if grant.issuer in identities],
        {"tag": tag},
        {"allowed": allowed, "wanted": ", ".join(identities)},
        account_url,
        challenge,
    )


def _judge_grants(
    ours: Sequence[_Grant],
    where: Mapping[str, Param],
    issuers: Mapping[str, Param],
    account_url: str,
    challenge: str,
) -> Iterator[Problem]:
    """Say at most one thing: the first of issuer, account and method that nothing allows."""
    if not ours:
        yield Problem("acme.caa_other_issuer", params={**where, **issuers})
        return
    for_account = [grant for grant in ours if grant.allows_account(account_url)]
    if not for_account:
        yield Problem("acme.caa_other_account", params={**where, "account_url": account_url})
        return
    if not any(grant.allows_method(challenge) for grant in for_account):
        listed = [method for grant in for_account for method in grant.methods or ()]
        methods = clean_words(", ".join(dict.fromkeys(listed)), _SHOWN)
        params = {**where, "methods": methods, "challenge": challenge}
        yield Problem("acme.caa_other_method", params=params)


def _read_grant(value: str) -> _Grant:
    """Read a record's value; one that breaks the grammar allows nobody."""
    domain, *rest = value.split(";")
    issuer = domain.strip(" \t").lower()
    if not _DOMAIN.fullmatch(issuer):
        return _Grant("")
    parts = [part.strip(" \t") for part in rest]
    parameters = [_PARAMETER.fullmatch(part) for part in parts if part]
    found = [parameter for parameter in parameters if parameter is not None]
    if len(found) != len(parameters):
        return _Grant("")
    accounts = tuple(each[2] for each in found if each[1].lower() == "accounturi")
    lists = [each[2] for each in found if each[1].lower() == "validationmethods"]
    methods = tuple(name.strip() for listed in lists for name in listed.split(","))
    return _Grant(issuer, accounts, methods if lists else None)
