"""Posts JSON to a webhook: to no forbidden network, following nothing, within a fixed time.

``http.client`` over a socket that is opened here: the address that was checked is the address that
is connected to, whatever the name resolves to a moment later.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from mailadmin.notifications.addresses import may_call, plain_address
from mailadmin.notifications.runner.results import Result, excerpt

TIMEOUT = 5.0  # seconds for the whole exchange once the name is resolved
_MOST_READ = 2048  # bytes of the answer
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Call:
    """One POST. ``authorities`` (PEM) are trusted beside the system's."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    is_private_allowed: bool = False
    authorities: str = ""


class _RefusedAddressError(Exception):
    """The name leads only to places where nothing is sent."""


def post(call: Call, timeout: float = TIMEOUT) -> Result:
    """Send the call and return how it was answered. Raises nothing that a receiver can cause."""
    began = time.monotonic()
    parts = urlsplit(call.url)
    deadline = _Deadline(timeout)
    try:
        with deadline.enforced(_connect(call, parts, timeout)) as connected:
            status, words, location = _exchange(call, parts, connected, deadline)
    except socket.gaierror:
        return Result("webhook.name_unknown", {"host": parts.hostname or ""})
    except _RefusedAddressError as refused:
        return Result("webhook.address_refused", {"address": str(refused)})
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _failure(error, deadline)
    if deadline.is_over:
        # A connection that was cut off reads like one that ended by itself.
        return _failure(TimeoutError(), deadline)
    elapsed = round((time.monotonic() - began) * 1000)
    return _judge(status, words, location, elapsed)


class _Deadline:
    """Ends a connection for good: a time limit per read would let a slow talker go on for ever."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.is_over = False
        self._ends_at = time.monotonic() + seconds
        self._connected: socket.socket | None = None

    @contextlib.contextmanager
    def enforced(self, connected: socket.socket) -> Iterator[socket.socket]:
        """Shut the socket down when the time is over."""
        self._connected = connected
        timer = threading.Timer(max(0.0, self._ends_at - time.monotonic()), self._end)
        timer.daemon = True
        timer.start()
        try:
            yield connected
        finally:
            timer.cancel()
            self._connected.close()

    def follow(self, connected: socket.socket) -> None:
        """Take over the socket that TLS has been put around."""
        self._connected = connected

    def _end(self) -> None:
        self.is_over = True
        if self._connected is not None:
            with contextlib.suppress(OSError):
                # The plain shutdown: that of a TLS socket takes its state away from the reader.
                socket.socket.shutdown(self._connected, socket.SHUT_RDWR)


def _connect(call: Call, parts: SplitResult, timeout: float) -> socket.socket:
    port = parts.port or _PORTS[parts.scheme]
    found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    allowed = [
        item
        for item in found
        if may_call(plain_address(str(item[4][0])), is_private_allowed=call.is_private_allowed)
    ]
    if not allowed:
        raise _RefusedAddressError(str(found[0][4][0]))
    ends_at = time.monotonic() + timeout
    failure: OSError = TimeoutError()
    for family, kind, protocol, _name, address in allowed:
        left = ends_at - time.monotonic()
        if left <= 0:
            break
        trial = socket.socket(family, kind, protocol)
        trial.settimeout(left)
        try:
            trial.connect(address)
        except OSError as error:
            trial.close()
            failure = error
        else:
            return trial
    raise failure


def _exchange(
    call: Call, parts: SplitResult, connected: socket.socket, deadline: _Deadline
) -> tuple[int, str, str]:
    if parts.scheme == "https":
        context = ssl.create_default_context()
        if call.authorities:
            context.load_verify_locations(cadata=call.authorities)
        connected = context.wrap_socket(
            connected, server_hostname=parts.hostname, do_handshake_on_connect=False
        )
        deadline.follow(connected)
        connected.do_handshake()
    client = http.client.HTTPConnection(parts.hostname or "", parts.port or _PORTS[parts.scheme])
    client.sock = connected
    target = parts.path or "/"
    target += f"?{parts.query}" if parts.query else ""
    client.request("POST", target, call.body, {**call.headers, "Host": parts.netloc})
    with client.getresponse() as answer:
        words = answer.read(_MOST_READ).decode("utf-8", "replace")
        return answer.status, excerpt(words), answer.headers.get("Location", "")


def _judge(status: int, words: str, location: str, elapsed: int) -> Result:
    about: dict[str, str | int] = {"status": status, "ms": elapsed, "reply": words}
    if 200 <= status < 300:
        return Result("webhook.accepted", about)
    if 300 <= status < 400:
        # Of the place it points to only the host: the rest may be as good as a password.
        with contextlib.suppress(ValueError):
            about["location"] = excerpt(urlsplit(location).netloc.rpartition("@")[2])
        return Result("webhook.redirected", {"location": "", **about})
    return Result("webhook.refused", about)


def _failure(error: Exception, deadline: _Deadline) -> Result:
    if deadline.is_over or isinstance(error, TimeoutError):
        return Result("webhook.too_slow", {"seconds": round(deadline.seconds)})
    if isinstance(error, ssl.SSLCertVerificationError):
        return Result("webhook.untrusted", {"detail": excerpt(error.verify_message)})
    if isinstance(error, ssl.SSLError):
        return Result("webhook.tls_failed", {"detail": excerpt(str(error))})
    if isinstance(error, OSError) and not isinstance(error, http.client.HTTPException):
        return Result("webhook.unreachable", {"detail": excerpt(error.strerror or str(error))})
    return Result("webhook.not_http", {"detail": excerpt(str(error))})
