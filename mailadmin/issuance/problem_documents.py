"""What an authority says when it refuses: its problem document, as one of our problems.

RFC 8555, section 6.7 lists the types and tells of subproblems; RFC 9773, section 7.4 adds
``alreadyReplaced``, draft-ietf-acme-profiles ``invalidProfile``. All are errors; ``subject`` is the
name it is about, if there is one.

Every problem has the params ``words`` (the authority's own, at most 500 characters, may be empty)
and ``kind`` (the type without its prefix). Further params:

===============================  =====================================  ============================
code                             type                                   further params
===============================  =====================================  ============================
acme.account_gone                accountDoesNotExist
acme.already_replaced            alreadyReplaced
acme.already_revoked             alreadyRevoked
acme.request_refused             badCSR
acme.nonce_refused               badNonce
acme.key_refused                 badPublicKey
acme.signature_refused           badSignatureAlgorithm
acme.revocation_reason_refused   badRevocationReason
acme.refused_by_caa              caa
acme.several_refused             compound, with several subproblems     names, count
acme.host_not_reached            connection
acme.dns_not_answered            dns
acme.external_account_required   externalAccountRequired
acme.proof_wrong                 incorrectResponse
acme.contact_refused             invalidContact, unsupportedContact
acme.profile_refused             invalidProfile
acme.malformed                   malformed
acme.order_not_ready             orderNotReady
acme.paused                      rateLimited, with an unpause address   url
acme.rate_limited                rateLimited                            url
acme.rate_limited_until          rateLimited, and it says until when    url, retry_at
acme.name_rejected               rejectedIdentifier
acme.names_rejected              rejectedIdentifier, several names      names, count
acme.authority_broken            serverInternal
acme.tls_failed                  tls
acme.unauthorized                unauthorized
acme.identifier_unsupported      unsupportedIdentifier
acme.user_action_required        userActionRequired                     url
acme.refused                     any other, or none
===============================  =====================================  ============================

``url`` may be empty. An unpause address holds a token that lifts the pause, and nothing else: it is
there for a person to open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from mailadmin.issuance.texts import clean_words, find_address, web_address
from mailadmin.pki.names import MAX_NAME_LENGTH
from mailadmin.pki.problems import Param, Problem

PREFIX = "urn:ietf:params:acme:error:"
_MAX_KIND = 60  # characters
_MAX_SUBPROBLEMS = 100
_NAMES_SHOWN = 5

_CODES = {
    "accountDoesNotExist": "acme.account_gone",
    "alreadyReplaced": "acme.already_replaced",
    "alreadyRevoked": "acme.already_revoked",
    "badCSR": "acme.request_refused",
    "badNonce": "acme.nonce_refused",
    "badPublicKey": "acme.key_refused",
    "badRevocationReason": "acme.revocation_reason_refused",
    "badSignatureAlgorithm": "acme.signature_refused",
    "caa": "acme.refused_by_caa",
    "connection": "acme.host_not_reached",
    "dns": "acme.dns_not_answered",
    "externalAccountRequired": "acme.external_account_required",
    "incorrectResponse": "acme.proof_wrong",
    "invalidContact": "acme.contact_refused",
    "invalidProfile": "acme.profile_refused",
    "malformed": "acme.malformed",
    "orderNotReady": "acme.order_not_ready",
    "rateLimited": "acme.rate_limited",
    "rejectedIdentifier": "acme.name_rejected",
    "serverInternal": "acme.authority_broken",
    "tls": "acme.tls_failed",
    "unauthorized": "acme.unauthorized",
    "unsupportedContact": "acme.contact_refused",
    "unsupportedIdentifier": "acme.identifier_unsupported",
    "userActionRequired": "acme.user_action_required",
}
# Let's Encrypt's self-service page for names whose proof failed too often in a row.
_UNPAUSE = re.compile(r"/unpause\b", re.ASCII)
_RETRY_AFTER = re.compile(
    r"retry after (\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?: ?UTC|Z)", re.ASCII | re.IGNORECASE
)


def explain(
    document: Mapping[str, object], *, name: str = "", retry_at: datetime | None = None
) -> Problem:
    """Return what a problem document says. Any content is accepted; never raises.

    ``name``: whose proof it is about, if the document need not say so (that of a challenge).
    ``retry_at``: what the ``Retry-After`` field says, as a moment.
    """
    inner = _read_subproblems(document)
    kind = read_kind(document)
    if len(inner) == 1 and kind in ("compound", "malformed", "rejectedIdentifier", ""):
        return _explain_one(inner[0], name or _read_name(document), retry_at)
    if len(inner) > 1:
        return _explain_several(document, kind, inner)
    return _explain_one(document, name, retry_at)


def read_kind(document: Mapping[str, object]) -> str:
    """Return the type without its prefix, such as ``rateLimited``; empty if there is none."""
    return clean_words(document.get("type"), len(PREFIX) + _MAX_KIND).removeprefix(PREFIX)


def _explain_one(document: Mapping[str, object], name: str, retry_at: datetime | None) -> Problem:
    kind = read_kind(document)
    detail = document.get("detail")
    subject = _read_name(document) or name
    code = _CODES.get(kind, "acme.refused")
    params: dict[str, Param] = {"words": clean_words(detail), "kind": kind}
    if kind in ("rateLimited", "userActionRequired"):
        params["url"] = web_address(document.get("instance")) or find_address(detail)
    if kind == "rateLimited":
        until = _read_moment(detail) or retry_at
        if _UNPAUSE.search(str(params["url"])):
            code = "acme.paused"
        elif until is not None:
            code, params["retry_at"] = "acme.rate_limited_until", until.isoformat()
    return Problem(code, subject=subject, params=params)


def _explain_several(
    document: Mapping[str, object], kind: str, inner: Sequence[Mapping[str, object]]
) -> Problem:
    """Name those that are to blame; the authority's words about each come one after the other."""
    names = list(dict.fromkeys(filter(None, map(_read_name, inner))))
    words = " ".join(dict.fromkeys(clean_words(each.get("detail")) for each in inner))
    params: dict[str, Param] = {
        "names": ", ".join(names[:_NAMES_SHOWN]),
        "count": len(names) or len(inner),
        "words": clean_words(words) or clean_words(document.get("detail")),
        "kind": kind,
    }
    kinds = {kind, *map(read_kind, inner)} - {"compound", "malformed"}
    is_refusal = kinds == {"rejectedIdentifier"}
    return Problem("acme.names_rejected" if is_refusal else "acme.several_refused", params=params)


def _read_subproblems(document: Mapping[str, object]) -> list[Mapping[str, object]]:
    found = document.get("subproblems")
    if not isinstance(found, Sequence) or isinstance(found, str):
        return []
    return [each for each in found[:_MAX_SUBPROBLEMS] if isinstance(each, Mapping)]


def _read_name(document: Mapping[str, object]) -> str:
    identifier = document.get("identifier")
    value = identifier.get("value") if isinstance(identifier, Mapping) else None
    return clean_words(value, MAX_NAME_LENGTH + 2)


def _read_moment(detail: object) -> datetime | None:
    """Return the time that Let's Encrypt writes into its words."""
    found = _RETRY_AFTER.search(detail) if isinstance(detail, str) else None
    if found is None:
        return None
    try:
        return datetime.fromisoformat(f"{found[1]}T{found[2]}").replace(tzinfo=UTC)
    except ValueError:
        return None
