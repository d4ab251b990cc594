"""The port registry: every service a client or another server can connect to, in one place.

Names and ports are IANA's (RFC 6335 registry); which TLS modes make sense comes from RFC 8314
(465, 993, 995 implicit), RFC 3207 (25 must not require TLS) and RFC 5804 (ManageSieve has no
implicit port).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class TlsMode(StrEnum):
    """How a connection becomes encrypted.

    ``NONE`` means TLS is not required: passwords and mail may travel in clear.
    """

    IMPLICIT = "implicit"
    STARTTLS = "starttls"
    NONE = "none"


class Protocol(StrEnum):
    """The conversation spoken on a port."""

    SMTP = "smtp"
    IMAP = "imap"
    POP3 = "pop3"
    SIEVE = "sieve"


class Daemon(StrEnum):
    """Which program answers."""

    POSTFIX = "postfix"
    DOVECOT = "dovecot"


@dataclass(frozen=True, slots=True)
class Service:
    """One kind of listener: its registry name, usual port and what it can be set to."""

    name: str
    port: int
    protocol: Protocol
    daemon: Daemon
    tls_modes: tuple[TlsMode, ...]
    is_login_expected: bool

    @property
    def usual_tls_mode(self) -> TlsMode:
        """Return the mode that the standards ask for on this port."""
        return self.tls_modes[0]

    @property
    def is_login_inherent(self) -> bool:
        """Tell whether the protocol has no use without a login, so that nobody can choose."""
        return self.protocol is not Protocol.SMTP

    @property
    def is_for_clients(self) -> bool:
        """Tell a client port from the server-to-server port 25."""
        return self.name != "smtp"


_IMPLICIT = (TlsMode.IMPLICIT,)
_UPGRADE = (TlsMode.STARTTLS, TlsMode.NONE)

SERVICES: MappingProxyType[str, Service] = MappingProxyType(
    {
        service.name: service
        for service in (
            Service("smtp", 25, Protocol.SMTP, Daemon.POSTFIX, _UPGRADE, False),
            Service("submissions", 465, Protocol.SMTP, Daemon.POSTFIX, _IMPLICIT, True),
            Service("submission", 587, Protocol.SMTP, Daemon.POSTFIX, _UPGRADE, True),
            Service("imap", 143, Protocol.IMAP, Daemon.DOVECOT, _UPGRADE, True),
            Service("imaps", 993, Protocol.IMAP, Daemon.DOVECOT, _IMPLICIT, True),
            Service("pop3", 110, Protocol.POP3, Daemon.DOVECOT, _UPGRADE, True),
            Service("pop3s", 995, Protocol.POP3, Daemon.DOVECOT, _IMPLICIT, True),
            Service("sieve", 4190, Protocol.SIEVE, Daemon.DOVECOT, _UPGRADE, True),
        )
    }
)
