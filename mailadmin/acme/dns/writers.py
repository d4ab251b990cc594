"""What writes with a stored DNS access: the only place here that knows the models."""

from __future__ import annotations

import json

from mailadmin.acme.dns import providers, updating
from mailadmin.acme.dns.failures import dns_failure
from mailadmin.acme.dns.resolving import Resolver
from mailadmin.acme.dns.writing import DnsWriter
from mailadmin.acme.models import DnsAccess
from mailadmin.acme.sealing import open_secret


def open_writer(access: DnsAccess) -> DnsWriter:
    """Return what writes TXT records with this access.

    Raises ``DnsFailure`` when its settings cannot be used (``dns.access_incomplete`` when some are
    missing), ``CustodyProblem`` when its secret does
    not open.
    """
    secret = open_secret(access.secret) if access.secret is not None else ""
    resolver = Resolver.from_settings()
    try:
        if access.kind == DnsAccess.Kind.RFC2136:
            return updating.read_access(access.settings, secret, resolver)
        return providers.read_access(access.settings, json.loads(secret or "{}"), resolver)
    except (KeyError, TypeError, ValueError):
        raise dns_failure("dns.access_incomplete", access.title) from None
