"""Asking one address for a challenge's path, as an authority does (RFC 8555, section 8.3).

The connection goes to the very address that is to be judged, whatever the name leads to by the
time. One redirect is followed, to the same name there; where others lead is told. Certificates are
not verified after a redirect to https, as authorities do not: the one asked for may be missing yet.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, urljoin, urlsplit

from mailadmin.issuance.preflight import PathAnswer

ASK_LIMIT = 5.0  # seconds for one address, a redirect included
HTTP_PORT = 80
_HTTPS_PORT = 443
_MAX_BYTES = 16 * 1024  # of head and body; a key authorization has less than 200
_MAX_LOCATION = 1000  # characters
_CHUNK = 4096
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK = 200
_AGENT = "mailadmin"


@dataclass(frozen=True, slots=True)
class _Target:
    """What is asked for next, always at the same address."""

    host: str
    port: int
    path: str
    is_tls: bool = False

    @property
    def url(self) -> str:
        scheme, standard = ("https", _HTTPS_PORT) if self.is_tls else ("http", HTTP_PORT)
        return f"{scheme}://{self.shown_host(standard)}{self.path}"

    def shown_host(self, standard: int) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == standard else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class _Said:
    """What came: HTTP status, content, and where it sends us."""

    status: int
    content: bytes = b""
    location: str = ""


@dataclass(frozen=True, slots=True)
class PathReply:
    """What the address said. ``redirected_to`` is where a redirect led, if there was one."""

    answer: PathAnswer
    status: int = 0
    redirected_to: str = ""


class _NothingCameError(Exception):
    """Nobody answered, or not in HTTP; ``answer`` says which."""

    def __init__(self, answer: PathAnswer) -> None:
        super().__init__(answer)
        self.answer = answer


def ask_path(
    address: str, *, host: str, path: str, expected: str, port: int = HTTP_PORT
) -> PathReply:
    """Ask the address for the path under the host's name; ``expected`` is what we put there.

    Takes at most :data:`ASK_LIMIT` seconds.
    """
    deadline = time.monotonic() + ASK_LIMIT
    target = _Target(host, port, path)
    try:
        said = _ask(address, target, deadline)
    except _NothingCameError as error:
        return PathReply(error.answer)
    if said.status not in _REDIRECTS or not said.location:
        return PathReply(_judge(said, expected), said.status)
    location = _resolve(target, said.location)
    following = _follow(target, location)
    is_found = following is not None and _is_there(address, following, expected, deadline)
    answer = PathAnswer.OURS if is_found else PathAnswer.REDIRECT_LOST
    return PathReply(answer, said.status, location)


def _is_there(address: str, target: _Target, expected: str, deadline: float) -> bool:
    try:
        return _judge(_ask(address, target, deadline), expected) is PathAnswer.OURS
    except _NothingCameError:
        return False


def _judge(said: _Said, expected: str) -> PathAnswer:
    if said.status != _OK:
        return PathAnswer.STATUS
    # White space at the end is ignored (RFC 8555, section 8.3).
    is_ours = said.content.rstrip() == expected.encode("ascii")
    return PathAnswer.OURS if is_ours else PathAnswer.OTHER


def _resolve(target: _Target, location: str) -> str:
    """Return where the redirect leads, as it stands if that cannot be understood."""
    try:
        return urljoin(target.url, location)
    except ValueError:
        return location


def _follow(target: _Target, location: str) -> _Target | None:
    """Return what the redirect leads to, if that is the same name at ports authorities take."""
    try:
        parts = urlsplit(location)
        port = parts.port
    except ValueError:
        return None
    if parts.hostname != target.host or parts.scheme not in ("http", "https"):
        return None
    path = _path_of(parts)
    if parts.scheme == "https":
        return (
            replace(target, port=_HTTPS_PORT, path=path, is_tls=True)
            if port
            in (
                None,
                _HTTPS_PORT,
            )
            else None
        )
    return replace(target, path=path) if (port or HTTP_PORT) in (HTTP_PORT, target.port) else None


def _path_of(parts: SplitResult) -> str:
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


def _ask(address: str, target: _Target, deadline: float) -> _Said:
    try:
        with socket.create_connection((address, target.port), _seconds_until(deadline)) as raw:
            if not target.is_tls:
                return _parse(_exchange(raw, target, deadline))
            with _encrypt(raw, target.host) as connection:
                return _parse(_exchange(connection, target, deadline))
    except TimeoutError:
        raise _NothingCameError(PathAnswer.SILENT) from None
    except ConnectionRefusedError:
        raise _NothingCameError(PathAnswer.REFUSED) from None
    except (ConnectionError, ssl.SSLError, http.client.HTTPException, ValueError):
        raise _NothingCameError(PathAnswer.NOT_HTTP) from None
    except OSError:
        raise _NothingCameError(PathAnswer.UNREACHABLE) from None


def _encrypt(raw: socket.socket, host: str) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(raw, server_hostname=host)


def _exchange(connection: socket.socket, target: _Target, deadline: float) -> bytes:
    standard = _HTTPS_PORT if target.is_tls else HTTP_PORT
    head = (
        f"GET {target.path} HTTP/1.1\r\nHost: {target.shown_host(standard)}\r\n"
        f"User-Agent: {_AGENT}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    connection.settimeout(_seconds_until(deadline))
    connection.sendall(head.encode("latin-1", "replace"))
    came = b""
    while len(came) < _MAX_BYTES and not _is_whole(came):
        connection.settimeout(_seconds_until(deadline))
        chunk = connection.recv(_CHUNK)
        if not chunk:
            break
        came += chunk
    return came


def _is_whole(came: bytes) -> bool:
    """Tell whether the body that was announced is here; some keep the connection open."""
    head, found, body = came.partition(b"\r\n\r\n")
    if not found:
        return False
    lengths = [
        line.partition(b":")[2].strip()
        for line in head.split(b"\r\n")[1:]
        if line.lower().startswith(b"content-length:")
    ]
    return bool(lengths) and lengths[0].isdigit() and len(body) >= int(lengths[0][:9])


def _parse(came: bytes) -> _Said:
    """Have the standard library read what has come; it reads from sockets only.

    No more comes than a pair of them holds (:data:`_MAX_BYTES`, and one piece).
    """
    reader, writer = socket.socketpair()
    with reader:
        with writer:
            writer.sendall(came)
        response = http.client.HTTPResponse(reader, method="GET")
        return _read(response)


def _read(response: http.client.HTTPResponse) -> _Said:
    with response:
        response.begin()
        location = (response.getheader("Location") or "")[:_MAX_LOCATION]
        if response.status in _REDIRECTS:
            return _Said(response.status, location=location)
        return _Said(response.status, response.read())


def _seconds_until(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
