"""Messages signed with a shared key (TSIG, RFC 8945), and what the answer says of the signature.

No exception raised here holds the key, in its text or its cause.
"""

from __future__ import annotations

import base64
import binascii
import socket
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.tsig
import dns.update

from mailadmin.acme.dns.failures import dns_failure
from mailadmin.acme.dns.wire import Server, SilenceError, connected_udp, parse_name

# RFC 8945, section 6, without those that are too weak to begin with today.
ALGORITHMS = {
    "hmac-sha256": dns.tsig.HMAC_SHA256,
    "hmac-sha384": dns.tsig.HMAC_SHA384,
    "hmac-sha512": dns.tsig.HMAC_SHA512,
}
_TIME_LENGTH = 6  # bytes of seconds since 1970
# Lets dnspython read an answer without its signature, which is looked at afterwards.
_UNREAD: Any = False
_UDP_LIMIT = 1.5  # seconds; then the same is sent by TCP, as it can be done twice without harm


@dataclass(frozen=True, slots=True)
class TsigKey:
    """A shared key: its name, how it signs, and the secret in base64."""

    name: str
    algorithm: str
    secret: str = field(repr=False)


class TsigState(StrEnum):
    """What became of the signatures, ours in the question and the server's in the answer."""

    GOOD = "good"
    UNSIGNED = "unsigned"
    FORGED = "forged"
    KEY_UNKNOWN = "key_unknown"
    SECRET_WRONG = "secret_wrong"  # noqa: S105 - says that one is wrong
    CLOCK_OFF = "clock_off"


_PEER_ERRORS = {
    dns.rcode.BADKEY: TsigState.KEY_UNKNOWN,
    dns.rcode.BADSIG: TsigState.SECRET_WRONG,
    dns.rcode.BADTRUNC: TsigState.SECRET_WRONG,
    dns.rcode.BADTIME: TsigState.CLOCK_OFF,
}


@dataclass(frozen=True, slots=True)
class SignedReply:
    """The answer to a signed message.

    ``clock_ahead`` is how many seconds our clock is ahead of the server's, if it told its own.
    """

    rcode: dns.rcode.Rcode
    state: TsigState
    clock_ahead: int | None = None


def load_key(key: TsigKey) -> dns.tsig.Key:
    """Return the key as dnspython takes it.

    Raises ``DnsFailure``: ``dns.tsig_algorithm``, ``dns.tsig_secret_invalid``,
    ``dns.name_invalid``.
    """
    algorithm = ALGORITHMS.get(key.algorithm)
    if algorithm is None:
        raise dns_failure(
            "dns.tsig_algorithm",
            key.name,
            algorithm=key.algorithm[:40],
            known=", ".join(ALGORITHMS),
        )
    try:
        secret = base64.b64decode("".join(key.secret.split()), validate=True)
    except (binascii.Error, ValueError):
        raise dns_failure("dns.tsig_secret_invalid", key.name) from None
    if not secret:
        raise dns_failure("dns.tsig_secret_invalid", key.name)
    return dns.tsig.Key(parse_name(key.name), secret, algorithm)


def exchange_signed(
    message: dns.update.UpdateMessage, key: dns.tsig.Key, server: Server, deadline: float
) -> SignedReply:
    """Sign and send the message, by UDP and then by TCP, until ``deadline`` (``time.monotonic``).

    Raises :class:`SilenceError`.
    """
    message.use_tsig(key)
    wire = message.to_wire()
    try:
        return _read(_send(wire, message, server, deadline), message, key)
    except (OSError, EOFError, dns.exception.DNSException):
        raise SilenceError from None


def _send(
    wire: bytes, message: dns.message.Message, server: Server, deadline: float
) -> dns.message.Message:
    """Return the answer with its signature unread: also a refusal without one says something."""
    try:
        until = min(deadline, time.monotonic() + _UDP_LIMIT)
        return _send_by_udp(wire, message, server, until)
    except (dns.exception.Timeout, dns.message.Truncated):
        return _send_by_tcp(wire, message, server, deadline)


def _send_by_udp(
    wire: bytes, message: dns.message.Message, server: Server, deadline: float
) -> dns.message.Message:
    until = _on_the_wall(deadline)
    with connected_udp(server) as endpoint:
        dns.query.send_udp(endpoint, wire, None, until)
        answer: dns.message.Message = dns.query.receive_udp(
            endpoint,
            None,
            until,
            keyring=_UNREAD,
            raise_on_truncation=True,
            ignore_errors=True,
            query=message,
        )[0]
    return answer


def _send_by_tcp(
    wire: bytes, message: dns.message.Message, server: Server, deadline: float
) -> dns.message.Message:
    left = deadline - time.monotonic()
    if left <= 0:
        raise dns.exception.Timeout
    until = _on_the_wall(deadline)
    with socket.create_connection((server.address, server.port), left) as connection:
        connection.setblocking(False)
        dns.query.send_tcp(connection, wire, until)
        answer, _received_at = dns.query.receive_tcp(connection, until, keyring=_UNREAD)
    if not message.is_response(answer):
        raise dns.query.BadResponse
    return answer


def _read(
    answer: dns.message.Message, message: dns.update.UpdateMessage, key: dns.tsig.Key
) -> SignedReply:
    rcode = answer.rcode()
    if answer.tsig is None:
        return SignedReply(rcode, TsigState.UNSIGNED)
    signature = answer.tsig[0]
    state = _PEER_ERRORS.get(signature.error)
    if state is TsigState.CLOCK_OFF:
        return SignedReply(rcode, state, _clock_ahead(signature.other))
    if state is None:
        state = _verify(answer, message, key)
    return SignedReply(rcode, state)


def _verify(
    answer: dns.message.Message, message: dns.update.UpdateMessage, key: dns.tsig.Key
) -> TsigState:
    try:
        dns.message.from_wire(answer.wire or b"", keyring=key, request_mac=message.mac)
    except dns.exception.DNSException:
        return TsigState.FORGED
    return TsigState.GOOD


def _clock_ahead(other: bytes) -> int | None:
    """Return by how many seconds our clock is ahead of the one in "other" (RFC 8945, 5.2.3)."""
    if len(other) != _TIME_LENGTH:
        return None
    return round(time.time()) - int.from_bytes(other, "big")


def _on_the_wall(deadline: float) -> float:
    """Return the deadline in seconds of ``time.time``, which dnspython counts in."""
    return time.time() + deadline - time.monotonic()
