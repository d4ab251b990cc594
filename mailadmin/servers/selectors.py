"""Reading mail servers."""

from __future__ import annotations

from mailadmin.servers.models import MailServer


def current_server() -> MailServer | None:
    """Return the mail server the pages are about: the first, as long as there is one only."""
    return MailServer.objects.select_related("default_certificate").order_by("pk").first()
