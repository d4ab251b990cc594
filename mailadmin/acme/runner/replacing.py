"""What a renewal tells the authority that it replaces (RFC 9773, section 5)."""

from __future__ import annotations

from mailadmin.acme.models import AcmeAccount, AcmeCertificate, AcmeOrder
from mailadmin.issuance.renewal_info import renewal_id
from mailadmin.pki.certificate import read_certificate


def issuing_account(wanted: AcmeCertificate) -> AcmeAccount:
    """Return the account that the newest certificate was had with: the fallback's, perhaps."""
    order = _issuing_order(wanted)
    return order.account if order is not None else wanted.account


def replaced_id(wanted: AcmeCertificate, account: AcmeAccount) -> str:
    """Return what the authority calls the certificate that is renewed with the account.

    Empty if it offers no renewal information, or did not issue it: it would refuse the order for
    naming it.
    """
    order = _issuing_order(wanted)
    if wanted.certificate is None or order is None or not account.about.get("has_renewal_info"):
        return ""
    if order.account.directory_url != account.directory_url:
        return ""
    return renewal_id(read_certificate(wanted.certificate.leaf_pem.encode()))


def _issuing_order(wanted: AcmeCertificate) -> AcmeOrder | None:
    rows = wanted.orders.filter(certificate=wanted.certificate_id).exclude(certificate=None)
    return rows.select_related("account__private_key").first()
