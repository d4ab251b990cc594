"""What a Pebble can be told to be like, beyond its addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Options:
    """Mild by default: Pebble's own defaults are there to annoy clients."""

    # Key id -> key (base64url); with any, only who has one gets an account (RFC 8555, 7.3.4).
    eab_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    rejected_nonces: int = 0  # percent
    reused_authorizations: int = 0  # percent of the valid ones
    is_strict: bool = False
    # Nothing is validated, everybody gets what he asks for.
    is_always_valid: bool = False
    # Up to fifteen seconds before each validation, as a busy authority would take.
    is_slow: bool = False
    validity: timedelta = timedelta(days=90)
    alternate_roots: int = 0
    # Intermediates between a certificate and its root.
    chain_length: int = 1
    blocked_names: tuple[str, ...] = ()
    # Seconds it asks clients to wait; Pebble 2.4 always says 3 and 5.
    retry_after_authorization: int = 1
    retry_after_order: int = 1

    def environment(self) -> dict[str, str]:
        """Return the variables that Pebble reads."""
        wanted = {
            "PEBBLE_WFE_NONCEREJECT": str(self.rejected_nonces),
            "PEBBLE_AUTHZREUSE": str(self.reused_authorizations),
            "PEBBLE_ALTERNATE_ROOTS": str(self.alternate_roots),
            "PEBBLE_CHAIN_LENGTH": str(self.chain_length),
        }
        if not self.is_slow:
            wanted["PEBBLE_VA_NOSLEEP"] = "1"
        if self.is_always_valid:
            wanted["PEBBLE_VA_ALWAYS_VALID"] = "1"
        return wanted

    def configuration(self) -> dict[str, object]:
        """Return the part of Pebble's configuration file that is not about addresses."""
        return {
            "externalAccountBindingRequired": bool(self.eab_keys),
            "externalAccountMACKeys": dict(self.eab_keys),
            "domainBlocklist": list(self.blocked_names),
            "certificateValidityPeriod": round(self.validity.total_seconds()),
            "retryAfter": {
                "authz": self.retry_after_authorization,
                "order": self.retry_after_order,
            },
            "ocspResponderURL": "",
        }
