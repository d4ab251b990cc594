"""Reading mail servers."""

from __future__ import annotations

from django.db.models import QuerySet

from mailadmin.certificates.models import Certificate
from mailadmin.servers.models import MailServer


def current_server() -> MailServer | None:
    """Return the mail server the pages are about: the first, as long as there is one only."""
    return MailServer.objects.select_related("default_certificate").order_by("pk").first()


def assignable_certificates() -> QuerySet[Certificate]:
    """Return the certificates that can be served: all but the deleted ones, newest first."""
    rows = Certificate.objects.filter(deleted_at=None)
    return rows.defer("leaf_pem", "chain_pem").order_by("-not_after", "-pk")
