"""How an authority is shown that a name is ours, and what is written where.

http-01 and dns-01: RFC 8555, sections 8.3 and 8.4; addresses: RFC 8738. dns-persist-01:
draft-ietf-acme-dns-persist and CA/Browser Forum ballot SC088.

TLS-ALPN-01 (RFC 8737) is not offered: the authority connects to port 443 only and wants a
certificate of its own kind there, while the ports of a mail server are others and their
certificates are for mail programs. :data:`TLS_ALPN_NOT_OFFERED` says so.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from datetime import datetime

from mailadmin.pki.names import WILDCARD, NameProblem, normalize_host_name, parse_address
from mailadmin.pki.problems import Problem, Severity

HTTP_01 = "http-01"
DNS_01 = "dns-01"
DNS_PERSIST_01 = "dns-persist-01"
TLS_ALPN_NOT_OFFERED = Problem("acme.tls_alpn_not_offered", Severity.INFO)

CHALLENGE_FOLDER = "/.well-known/acme-challenge/"
_RECORD_LABEL = "_acme-challenge."
_PERSISTENT_LABEL = "_validation-persist."
_MAX_TOKEN = 128  # characters; AcmeAuthorization keeps no more, and a file is named after it
_TOKEN = re.compile(rf"[A-Za-z0-9_-]{{1,{_MAX_TOKEN}}}", re.ASCII)
# RFC 8659, section 4.2: what a parameter's value may hold; no semicolon, no white space.
_PARAMETER_VALUE = re.compile(r"[\x21-\x3A\x3C-\x7E]+", re.ASCII)


def is_token(text: str) -> bool:
    """Tell whether an authority's token can be used as a file name: base64url, not too long.

    RFC 8555, section 8.3: it must contain nothing else. What does is an attack on the file system.
    """
    return _TOKEN.fullmatch(text) is not None


def challenge_path(token: str) -> str:
    """Return where http-01 looks. Raises ``ValueError`` for what is no token."""
    if not is_token(token):
        raise ValueError("not a token")
    return CHALLENGE_FOLDER + token


def txt_value(key_authorization: str) -> str:
    """Return what dns-01 wants in the TXT record (RFC 8555, section 8.4)."""
    digest = hashlib.sha256(key_authorization.encode("ascii")).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def record_name(name: str) -> str:
    """Return the name of dns-01's record, for a wildcard that of the name it stands below."""
    return _RECORD_LABEL + name.removeprefix(WILDCARD)


def persistent_record_name(name: str) -> str:
    """Return the name of dns-persist-01's record."""
    return _PERSISTENT_LABEL + name.removeprefix(WILDCARD)


def persist_value(
    issuer: str, account_url: str, *, is_wildcard: bool = False, until: datetime | None = None
) -> str:
    """Return what dns-persist-01 wants in the TXT record.

    ``issuer``: one of the challenge's ``issuer-domain-names``. ``is_wildcard`` covers all names
    below as well; ``until`` is when the record loses its effect for new proofs. Raises
    ``ValueError`` if the issuer is no host name or the account's address would not fit in.
    """
    try:
        domain = normalize_host_name(issuer)
    except NameProblem as error:
        raise ValueError("the issuer is no host name") from error
    if not _PARAMETER_VALUE.fullmatch(account_url):
        raise ValueError("the address of the account does not fit into the record")
    parts = [domain, f"accounturi={account_url}"]
    if is_wildcard:
        parts.append("policy=wildcard")
    if until is not None:
        parts.append(f"persistUntil={int(until.timestamp())}")
    return "; ".join(parts)


def allowed_challenges(names: Iterable[str]) -> tuple[str, ...]:
    """Return how all of these names can be proven together; none if they cannot.

    A wildcard needs a DNS record (RFC 8555, section 7.1.4 and Baseline Requirements 3.2.2.4), an
    address has none (RFC 8738, section 7).
    """
    wanted = list(names)
    allowed = [HTTP_01, DNS_01, DNS_PERSIST_01]
    if any(name.startswith(WILDCARD) for name in wanted):
        allowed.remove(HTTP_01)
    if any(parse_address(name) for name in wanted):
        allowed = [challenge for challenge in allowed if challenge == HTTP_01]
    return tuple(allowed)
