"""On which terms a certificate is had: from whom, how its names are proven, how it is renewed."""

from __future__ import annotations

from dataclasses import dataclass

from mailadmin.acme.models import AcmeAccount, AcmeCertificate, DnsAccess


@dataclass(frozen=True, slots=True)
class Terms:
    """How a certificate is to be had and kept."""

    account: AcmeAccount
    challenge: str
    key_kind: str
    http_way: str = AcmeCertificate.HttpWay.AGENT
    dns_access: DnsAccess | None = None
    key_choice: str = AcmeCertificate.KeyChoice.AUTO
    profile: str = ""
    fallback_account: AcmeAccount | None = None
    is_deployed_automatically: bool = True
    is_renewed_automatically: bool = True
