"""What an authority says, in our words: the directory, orders, authorizations, renewal windows.

Everything is checked while it is read: what has not the shape of RFC 8555 is refused here, so that
nobody further up has to doubt it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mailadmin.acme.client.session import not_acme, read_json, read_retry_after
from mailadmin.acme.client.transport import Answer
from mailadmin.issuance.challenges import is_token
from mailadmin.issuance.problem_documents import explain
from mailadmin.pki.problems import Problem

CHALLENGES = frozenset({"http-01", "dns-01", "dns-persist-01"})
_ORDER_STATUSES = frozenset({"pending", "ready", "processing", "valid", "invalid"})
_AUTHORIZATION_STATUSES = frozenset(
    {"pending", "valid", "invalid", "deactivated", "expired", "revoked"}
)
_MOST_AUTHORIZATIONS = 1000
_NEXT_LINK = re.compile(r'<([^<>]*)>\s*;\s*rel="?next"?')


@dataclass(frozen=True, slots=True)
class Directory:
    """Where an authority does what, and what it says of itself (RFC 8555, section 7.1.1)."""

    urls: Mapping[str, str] = field(repr=False)
    terms_url: str = ""
    website: str = ""
    caa_identities: tuple[str, ...] = ()
    needs_eab: bool = False
    # Name -> the authority's own words.
    profiles: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_renewal_info(self) -> bool:
        """Tell whether it says when to renew (RFC 9773)."""
        return "renewalInfo" in self.urls

    def as_dict(self) -> dict[str, object]:
        """Return what is worth keeping, as JSON."""
        return {
            "terms_url": self.terms_url,
            "website": self.website,
            "caa_identities": list(self.caa_identities),
            "needs_eab": self.needs_eab,
            "profiles": dict(self.profiles),
            "has_renewal_info": self.has_renewal_info,
        }


@dataclass(frozen=True, slots=True)
class OrderState:
    """An order as the authority sees it (section 7.1.3). ``problem``: why it is invalid."""

    url: str
    status: str
    expires_at: datetime | None
    authorization_urls: tuple[str, ...]
    finalize_url: str
    certificate_url: str
    problem: Problem | None
    # Seconds; as the authority said it.
    retry_after: float | None
    profile: str = ""
    # The authority did not take it as the replacement of the certificate that was named.
    is_replacement_refused: bool = False
    # What it is for, as ordered.
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChallengeOffer:
    """One way in which a name can be proven (section 8)."""

    kind: str
    url: str
    # Empty for dns-persist-01.
    token: str
    status: str
    problem: Problem | None
    # dns-persist-01: the domains of the authority that may stand in the record.
    issuer_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AuthorizationState:
    """The proof of one name (section 7.1.4). ``problem``: why it is invalid."""

    url: str
    # Without "*.".
    name: str
    is_wildcard: bool
    status: str
    expires_at: datetime | None
    # Only those of CHALLENGES.
    offers: tuple[ChallengeOffer, ...]
    problem: Problem | None
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class RenewalAnswer:
    """When the authority wants a certificate renewed (RFC 9773, section 4.2), unjudged."""

    start: datetime
    end: datetime
    explanation_url: str
    # Seconds; as the authority said it.
    retry_after: float | None


def read_directory(answer: Answer) -> Directory:
    """Read a directory; everything in it that is not needed is optional."""
    reader = _Reader(answer)
    urls = {name: value for name, value in reader.content.items() if isinstance(value, str)}
    if not {"newNonce", "newAccount", "newOrder"} <= urls.keys():
        raise not_acme(answer)
    meta = reader.inner("meta")
    profiles = meta.inner("profiles").content
    return Directory(
        urls=urls,
        terms_url=meta.text("termsOfService"),
        website=meta.text("website"),
        caa_identities=meta.texts("caaIdentities"),
        needs_eab=meta.content.get("externalAccountRequired") is True,
        profiles={name: words for name, words in profiles.items() if isinstance(words, str)},
    )


def read_order(answer: Answer, url: str) -> OrderState:
    """Read an order object."""
    reader = _Reader(answer)
    return OrderState(
        url=url,
        status=reader.one_of("status", _ORDER_STATUSES),
        expires_at=reader.moment("expires"),
        authorization_urls=reader.texts("authorizations")[:_MOST_AUTHORIZATIONS],
        finalize_url=reader.needed_text("finalize"),
        certificate_url=reader.text("certificate"),
        problem=reader.problem("error"),
        retry_after=read_retry_after(answer),
        profile=reader.text("profile"),
        names=reader.identifiers("identifiers"),
    )


def read_orders_url(answer: Answer) -> str:
    """Read from an account where its orders are listed (section 7.1.2); empty if nowhere."""
    return _Reader(answer).text("orders")


def read_order_list(answer: Answer) -> tuple[tuple[str, ...], str]:
    """Read a page of an account's orders (section 7.1.2.1), and where the next one is."""
    links = (_NEXT_LINK.search(text) for text in answer.headers.get_all("Link", []))
    following = next((found[1] for found in links if found), "")
    return _Reader(answer).texts("orders"), following


def read_authorization(answer: Answer, url: str) -> AuthorizationState:
    """Read an authorization object."""
    reader = _Reader(answer)
    listed = reader.content.get("challenges")
    if not isinstance(listed, list):
        raise not_acme(answer)
    name = reader.inner("identifier").needed_text("value").removeprefix("*.")
    is_wildcard = reader.content.get("wildcard") is True
    known = [_Reader(answer, item) for item in listed if _is_known_challenge(item)]
    offers = [_read_offer(each, f"*.{name}" if is_wildcard else name) for each in known]
    problems = [offer.problem for offer in offers if offer.problem is not None]
    return AuthorizationState(
        url=url,
        name=name,
        is_wildcard=is_wildcard,
        status=reader.one_of("status", _AUTHORIZATION_STATUSES),
        expires_at=reader.moment("expires"),
        offers=tuple(offers),
        problem=problems[0] if problems else None,
        retry_after=read_retry_after(answer),
    )


def read_renewal_answer(answer: Answer) -> RenewalAnswer:
    """Read a renewal information object."""
    reader = _Reader(answer)
    window = reader.inner("suggestedWindow")
    start, end = window.moment("start"), window.moment("end")
    if start is None or end is None:
        raise not_acme(answer)
    return RenewalAnswer(start, end, reader.text("explanationURL"), read_retry_after(answer))


def _is_known_challenge(item: object) -> bool:
    kind = item.get("type") if isinstance(item, dict) else None
    return isinstance(kind, str) and kind in CHALLENGES


def _read_offer(reader: _Reader, name: str) -> ChallengeOffer:
    kind = reader.needed_text("type")
    token = reader.text("token")
    # It becomes part of a path and of a file's name.
    if kind != "dns-persist-01" and not is_token(token):
        raise not_acme(reader.answer)
    return ChallengeOffer(
        kind=kind,
        url=reader.needed_text("url"),
        token=token,
        status=reader.text("status"),
        problem=reader.problem("error", name),
        issuer_names=reader.texts("issuer-domain-names"),
    )


class _Reader:
    """Reads the fields of a JSON object, and refuses the answer it came in if one is wrong."""

    def __init__(self, answer: Answer, content: Mapping[str, object] | None = None) -> None:
        self.answer = answer
        self.content = read_json(answer) if content is None else content

    def text(self, name: str) -> str:
        """Return a text; empty if there is none."""
        value = self.content.get(name)
        return value if isinstance(value, str) else ""

    def needed_text(self, name: str) -> str:
        """Return a text that has to be there."""
        value = self.text(name)
        if not value:
            raise not_acme(self.answer)
        return value

    def one_of(self, name: str, values: frozenset[str]) -> str:
        """Return a text that has to be one of these."""
        value = self.text(name)
        if value not in values:
            raise not_acme(self.answer)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the texts of a list; none if there is no list."""
        value = self.content.get(name)
        if not isinstance(value, list):
            return ()
        return tuple(item for item in value if isinstance(item, str))

    def identifiers(self, name: str) -> tuple[str, ...]:
        """Return the values of a list of identifiers (section 7.1.3)."""
        listed = self.content.get(name)
        if not isinstance(listed, list):
            return ()
        readers = [_Reader(self.answer, item) for item in listed if isinstance(item, dict)]
        return tuple(reader.text("value") for reader in readers)

    def moment(self, name: str) -> datetime | None:
        """Return a moment (RFC 3339), in UTC."""
        value = self.text(name)
        if not value:
            return None
        try:
            found = datetime.fromisoformat(value)
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            raise not_acme(self.answer) from None

    def problem(self, field_name: str, subject: str = "") -> Problem | None:
        """Explain a problem document that is part of the answer; ``subject``: whose it is."""
        value = self.content.get(field_name)
        return explain(value, name=subject) if isinstance(value, dict) else None

    def inner(self, name: str) -> _Reader:
        """Return the reader of an object inside; an empty one if there is none."""
        value = self.content.get(name)
        return _Reader(self.answer, value if isinstance(value, dict) else {})
