"""Requests over HTTPS to an authority: limited in time and size, to no forbidden address.

One connection to a host is kept open between requests: an order takes ten of them, and over the
internet most of their time would go into new handshakes. Proxies of the environment are not used.
"""

from __future__ import annotations

import http.client
import selectors
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from urllib.parse import SplitResult, urljoin, urlsplit

from mailadmin.acme.client.failures import AcmeFailure
from mailadmin.certificates.connecting import (
    Address,
    Deadline,
    DeadlineStream,
    connect,
    is_public,
    resolve,
)
from mailadmin.pki.problems import Param, Problem

CONNECT_SECONDS = 5.0  # for the name, the connection and the handshake
READ_SECONDS = 20.0  # from the request to the last byte of the answer
MAX_BYTES = 512 * 1024
_MAX_ADDRESSES = 4  # of one host
_MAX_REDIRECTS = 3
_HTTPS = 443
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WORDS = 200  # characters kept of what somebody else said


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and from where in the end."""

    url: str
    status: int
    headers: Message
    body: bytes = field(repr=False)

    @property
    def host(self) -> str:
        """The host that answered."""
        return urlsplit(self.url).hostname or ""

    @property
    def is_good(self) -> bool:
        """Tell whether the status is one of success."""
        return 200 <= self.status < 300

    def header(self, name: str) -> str:
        """Return a header, or an empty text."""
        return str(self.headers.get(name, "")).strip()


class Transport:
    """Sends requests. Everything that goes wrong on the way is an :class:`AcmeFailure`.

    ``ca_bundle``: PEM of the roots that are trusted in place of the system's, if there are any.
    ``is_private_allowed``: also hosts that are not on the internet, but never link-local addresses,
    where clouds keep the credentials of their machines.
    """

    def __init__(self, *, user_agent: str, ca_bundle: str, is_private_allowed: bool) -> None:
        self._user_agent = user_agent
        self._is_private_allowed = is_private_allowed
        self._trust = _read_trust(ca_bundle)
        self._connections: dict[tuple[str, int], ssl.SSLSocket] = {}

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def get(self, url: str) -> Answer:
        """Get what is at the URL, following redirections to other places that may be asked."""
        for _ in range(_MAX_REDIRECTS + 1):
            answer = self._send("GET", url)
            if answer.status not in _REDIRECTS:
                return answer
            url = _follow(answer)
        raise _redirected(answer)

    def head(self, url: str) -> Answer:
        """Ask for the headers alone."""
        return self._send("HEAD", url)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post a body. A redirection is refused: what is signed is signed for this URL."""
        answer = self._send("POST", url, body, headers)
        if answer.status in _REDIRECTS:
            raise _redirected(answer)
        return answer

    def _send(
        self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        target = _split(url)
        host = target.hostname or ""
        try:
            connection = self._open(host, target.port or _HTTPS)
            return self._exchange(connection, _Request(method, url, target, body, headers or {}))
        except AcmeFailure:
            self.close()
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise _explain(error, host) from None

    def _open(self, host: str, port: int) -> ssl.SSLSocket:
        """Return the connection to a host, opened unless there is one that still lives."""
        kept = self._connections.pop((host, port), None)
        if kept is not None:
            if not _is_readable(kept):
                self._connections[host, port] = kept
                return kept
            # Nothing was asked: the other side has closed it.
            kept.close()
        try:
            fresh = self._connect(host, port, Deadline(CONNECT_SECONDS))
        except TimeoutError:
            raise _failure("timed_out", host, seconds=round(CONNECT_SECONDS)) from None
        self._connections[host, port] = fresh
        return fresh

    def _connect(self, host: str, port: int, deadline: Deadline) -> ssl.SSLSocket:
        found = resolve(host, port, deadline)
        if not found:
            raise _failure("name_unknown", host)
        allowed = [ip for ip in found if _may_call(ip, self._is_private_allowed)]
        if not allowed:
            raise _failure("address_refused", host, address=str(found[0]))
        plain = connect(allowed[:_MAX_ADDRESSES], port, deadline)
        try:
            # Of a handshake the limit is one for the whole, other than that of reading.
            plain.settimeout(deadline.left())
            return self._trust.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise

    def _exchange(self, connection: ssl.SSLSocket, request: _Request) -> Answer:
        deadline = Deadline(READ_SECONDS)
        connection.settimeout(deadline.left())
        connection.sendall(request.encode(self._user_agent))
        stream = DeadlineStream(connection, deadline)
        # Closing it leaves the connection open: the stream only reads from that.
        with http.client.HTTPResponse(stream, method=request.method) as response:  # type: ignore[arg-type]  # needs makefile only
            response.begin()
            body = response.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES:
            raise _failure("too_large", request.host, limit=MAX_BYTES // 1024)
        if response.will_close:
            self.close()
        return Answer(request.url, response.status, response.headers, body)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str
    target: SplitResult
    body: bytes = field(repr=False)
    headers: Mapping[str, str]

    @property
    def host(self) -> str:
        return self.target.hostname or ""

    def encode(self, user_agent: str) -> bytes:
        """Return the bytes to send."""
        path = self.target._replace(scheme="", netloc="", fragment="").geturl() or "/"
        headers = {
            "Host": self.target.netloc,
            "User-Agent": user_agent,
            "Accept-Encoding": "identity",
            "Accept-Language": "en",
            **self.headers,
        }
        if self.body:
            headers["Content-Length"] = str(len(self.body))
        lines = [f"{self.method} {path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join((*lines, "", "")).encode("ascii") + self.body


def _read_trust(ca_bundle: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=ca_bundle or None)
    except (ssl.SSLError, ValueError, TypeError):
        raise AcmeFailure(Problem("ca.bundle_invalid")) from None


def _split(url: str) -> SplitResult:
    """Take a URL apart. Raises :class:`AcmeFailure` unless it is one of HTTPS (RFC 8555, 6.1)."""
    refusal = AcmeFailure(Problem("ca.url_invalid", params={"url": url[:_WORDS]}))
    if not url.isascii() or not url.isprintable() or " " in url:
        raise refusal
    try:
        target = urlsplit(url)
        is_whole = bool(target.hostname) and target.port != 0
    except ValueError:
        raise refusal from None
    if target.scheme != "https" or not is_whole or "@" in target.netloc:
        raise refusal
    return target


def _may_call(ip: Address, is_private_allowed: bool) -> bool:
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        return False
    return is_private_allowed or is_public(ip)


def _is_readable(connection: socket.socket) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(0))


def _failure(code: str, host: str, **params: Param) -> AcmeFailure:
    return AcmeFailure(Problem(f"ca.{code}", params={"host": host, **params}))


def _follow(answer: Answer) -> str:
    """Return where an answer points to. Raises :class:`AcmeFailure` if that is nowhere."""
    try:
        return urljoin(answer.url, answer.header("Location"))
    except ValueError:
        raise _redirected(answer) from None


def _redirected(answer: Answer) -> AcmeFailure:
    target = answer.header("Location")[:_WORDS]
    return _failure("redirected", answer.host, target=target)


def _explain(error: Exception, host: str) -> AcmeFailure:
    """Return the failure for what the socket, TLS or HTTP raised."""
    if isinstance(error, TimeoutError):
        return _failure("timed_out", host, seconds=round(READ_SECONDS))
    if isinstance(error, ssl.SSLCertVerificationError):
        return _failure("untrusted", host, detail=error.verify_message[:_WORDS])
    if isinstance(error, ssl.SSLError):
        return _failure("tls_failed", host, detail=(error.reason or "")[:_WORDS])
    if isinstance(error, OSError) and not isinstance(error, http.client.HTTPException):
        return _failure("unreachable", host, detail=(error.strerror or "")[:_WORDS])
    return _failure("bad_answer", host)
