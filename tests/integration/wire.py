"""See what a port serves without any code of ours: ``openssl s_client`` and plain sockets."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

_STARTTLS = {"smtp": "smtp", "submission": "smtp", "imap": "imap", "pop3": "pop3", "sieve": "sieve"}
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", re.DOTALL)
_LIMIT = 30.0  # seconds for one conversation, on a busy machine


@dataclass(frozen=True)
class Handshake:
    """What openssl saw; no leaf means that the handshake failed."""

    leaf: str = ""
    chain: tuple[str, ...] = ()
    output: str = ""


def shake_hands(
    address: str, port: int, service: str, sni_name: str = "", *options: str
) -> Handshake:
    """Connect as a client of the service would, and return the certificates' SHA-256."""
    arguments = ["openssl", "s_client", "-connect", f"{address}:{port}", "-showcerts", *options]
    arguments += ["-servername", sni_name] if sni_name else ["-noservername"]
    if service in _STARTTLS:
        arguments += ["-starttls", _STARTTLS[service]]
    try:
        done = subprocess.run(arguments, input=b"", capture_output=True, timeout=_LIMIT)
    except subprocess.TimeoutExpired:
        return Handshake(output="timeout")
    output = done.stdout.decode(errors="replace")
    found = [_fingerprint(pem) for pem in _PEM.findall(output)]
    return Handshake(found[0] if found else "", tuple(found[1:]), output)


def shown_leaf(address: str, port: int, service: str, sni_name: str = "") -> str:
    """Return the SHA-256 of the leaf that is shown, or an empty text."""
    return shake_hands(address, port, service, sni_name).leaf


def _fingerprint(pem: str) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def is_refused(address: str, port: int) -> bool:
    """Tell whether nobody listens."""
    try:
        socket.create_connection((address, port), timeout=2).close()
    except ConnectionRefusedError:
        return True
    return False


def converse(address: str, port: int, *lines: str, greeting_ends: str = "\n") -> str:
    """Say lines in clear text, each after the answer to the last, and return all that was heard."""
    heard = ""
    with socket.create_connection((address, port), timeout=_LIMIT) as connection:
        connection.settimeout(_LIMIT)
        heard += _hear(connection, greeting_ends)
        for line in lines:
            connection.sendall(f"{line}\r\n".encode())
            heard += _hear(connection, "\n")
    return heard


def _hear(connection: socket.socket, end: str) -> str:
    """Read until a line has come that is not the first of several (``250-``, ``* ``, ``"``)."""
    heard = ""
    while True:
        part = connection.recv(4096).decode(errors="replace")
        if not part:
            return heard
        heard += part
        last = heard.rstrip("\r\n").rpartition("\n")[2]
        is_more = re.match(r'\d{3}-|\* (?!OK |BYE)|"', last)
        if heard.endswith(end) and not is_more:
            return heard


def wait_until(condition: Callable[[], bool], limit: float = 60.0, what: str = "") -> None:
    """Look again until the condition holds; fail when it does not in ``limit`` seconds."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {limit} s: {what}"
        time.sleep(0.02)
