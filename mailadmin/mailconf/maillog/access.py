"""One use of the mail server, as a log tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mailadmin.mailconf.services import SERVICES, Protocol, TlsMode

# Besides a version such as ``TLSv1.2``, what can be known of the encryption of a connection:
# none; none, from the same machine; some, of a version the log does not tell; nothing at all.
CLEAR = "clear"
LOCAL = "local"
SOME_TLS = "tls"
UNTOLD = ""

Services = tuple[str, ...]
_ALL_SMTP: Services = ("smtp", "submission", "submissions")


class Access(NamedTuple):
    """A connection that did what it came for, or failed to.

    ``at`` is in seconds since 1970. ``services`` are the registry names it may have been: more
    than one where the log does not tell apart. ``who`` is a user, or on port 25 a client's host
    name or address. ``name`` is the host name asked for by TLS (SNI).
    """

    at: int
    services: Services
    who: str
    address: str
    tls: str = UNTOLD
    cipher: str = ""
    name: str = ""
    is_success: bool = True


@dataclass(frozen=True, slots=True)
class Naming:
    """What the host's configuration tells of the names in its log.

    ``postfix``: the services behind the name that smtpd logs as (``postfix/submission/smtpd``);
    ``ports``: the service of each port, for logs that tell the port.
    """

    postfix: Mapping[str, Services] = field(default_factory=dict)
    ports: Mapping[int, str] = field(
        default_factory=lambda: {service.port: name for name, service in SERVICES.items()}
    )

    def of_smtpd(self, name: str) -> Services:
        """Return what may log as ``name``; every SMTP service if the name gives no clue."""
        known = self.postfix.get(name)
        if known:
            return known
        parts = name.split("/")
        if "submission" in parts:
            return ("submission",)
        if "submissions" in parts or "smtps" in parts:
            return ("submissions",)
        return _ALL_SMTP

    def of_protocol(self, protocol: Protocol, tls: str, port: int | None) -> Services:
        """Return which of Dovecot's listeners a login came through.

        The port says so. Without it, what is not encrypted cannot have come through a port that is
        nothing but TLS.
        """
        at_port = self.ports.get(port) if port is not None else None
        if at_port is not None:
            return (at_port,)
        return tuple(
            name
            for name, service in SERVICES.items()
            if service.protocol is protocol
            and name != "smtp"
            and (tls not in {CLEAR, LOCAL} or service.usual_tls_mode is not TlsMode.IMPLICIT)
        )
