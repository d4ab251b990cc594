"""Which certificates a mail server serves still, though the rows want others by now."""

from __future__ import annotations

from mailadmin.certificates.models import Certificate
from mailadmin.certificates.selectors import Use, UseKind
from mailadmin.listeners.selectors import applied_state
from mailadmin.servers.models import MailServer


def find_served_uses(certificate: Certificate) -> list[Use]:
    """Return the mail servers whose last proven state has the certificate.

    Its key must not be destroyed before: discarding the pending changes would want it back.
    """
    return [
        Use(UseKind.SERVED, server.host_name)
        for server in MailServer.objects.all()
        if (state := applied_state(server)) and certificate.fingerprint in state.used_fingerprints
    ]
