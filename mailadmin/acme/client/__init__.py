"""Speaks ACME (RFC 8555) with an authority, in types of our own. Knows no rows."""

from mailadmin.acme.client.authority import Authority
from mailadmin.acme.client.failures import AcmeFailure
from mailadmin.acme.client.polling import poll
from mailadmin.acme.client.resources import (
    AuthorizationState,
    ChallengeOffer,
    Directory,
    OrderState,
    RenewalAnswer,
)
from mailadmin.acme.client.signing import AccountKey

__all__ = [
    "AccountKey",
    "AcmeFailure",
    "Authority",
    "AuthorizationState",
    "ChallengeOffer",
    "Directory",
    "OrderState",
    "RenewalAnswer",
    "poll",
]
