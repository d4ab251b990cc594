"""Where the object of an event has its page, as far as it has one."""

from __future__ import annotations

from django.urls import NoReverseMatch, reverse

from mailadmin.audit.models import AuditEvent

# Names of addresses, not imports: the apps that own these pages stand above this one.
_PAGES = {
    "acme_account": "acme:account_detail",
    "acme_certificate": "acme:detail",
    "acme_order": "acme:order_detail",
    "certificate": "certificates:detail",
    "csr": "certificates:request_detail",
    "deployment": "deployments:detail",
    "listener": "listeners:edit",
}


def object_address(event: AuditEvent) -> str:
    """Return the address of the object's page, or an empty string without one."""
    name = _PAGES.get(event.object_type)
    if not name or not event.object_id or event.verb.endswith((".deleted", ".forgotten")):
        return ""
    try:
        return reverse(name, args=[event.object_id])
    except NoReverseMatch:
        return ""
