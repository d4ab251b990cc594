"""Makes accounts, certificates to be had, and orders with their proofs: rows, nobody is asked."""

from __future__ import annotations

from itertools import count
from typing import Any

from mailadmin.acme.models import AcmeAccount, AcmeAuthorization, AcmeCertificate, AcmeOrder

HOST_NAME = "mail.example.org"
_numbers = count(1)


def make_account(**values: Any) -> AcmeAccount:
    """Return a stored account at an authority of nobody's."""
    number = next(_numbers)
    wanted: dict[str, Any] = {
        "title": f"Test CA {number}",
        "directory_url": "https://ca.example.test/directory",
        "account_url": f"https://ca.example.test/account/{number}",
        "status": AcmeAccount.Status.VALID,
        "created_by": "ada",
        **values,
    }
    return AcmeAccount.objects.create(**wanted)


def make_acme_certificate(*names: str, **values: Any) -> AcmeCertificate:
    """Return a stored certificate that is to be had for the names by HTTP-01."""
    wanted: dict[str, Any] = {
        "names": list(names or (HOST_NAME,)),
        "challenge": AcmeCertificate.Challenge.HTTP_01,
        "key_kind": "ecdsa-p256",
        "created_by": "ada",
        **values,
    }
    if "account" not in wanted:
        wanted["account"] = make_account()
    return AcmeCertificate.objects.create(**wanted)


def make_order(wanted: AcmeCertificate | None = None, **values: Any) -> AcmeOrder:
    """Return a stored order that runs, for all names."""
    certificate = wanted or make_acme_certificate()
    fields: dict[str, Any] = {
        "account": certificate.account,
        "trigger": AcmeOrder.Trigger.FIRST,
        "names": certificate.names,
        "status": AcmeOrder.Status.RUNNING,
        "requested_by": "ada",
        **values,
    }
    return AcmeOrder.objects.create(acme_certificate=certificate, **fields)


def make_authorization(order: AcmeOrder, token: str = "", **values: Any) -> AcmeAuthorization:
    """Return a stored proof of an order by HTTP-01, not in place yet."""
    number = next(_numbers)
    fields: dict[str, Any] = {
        "name": order.names[0],
        "authorization_url": f"https://ca.example.test/authorization/{number}",
        "challenge": AcmeCertificate.Challenge.HTTP_01,
        "token": token or f"token-{number}",
        **values,
    }
    return AcmeAuthorization.objects.create(order=order, **fields)
