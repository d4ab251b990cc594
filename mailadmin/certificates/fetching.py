"""Getting one small file from an address that somebody else wrote into a certificate.

Such an address must not become a way to reach what only this machine can reach. So the name is
resolved first, only public addresses are taken, and the connection goes to the very address that
was looked at: a name that points elsewhere a moment later changes nothing. One deadline covers
everything, the answer is limited, and proxies of the environment are not used.

======================  ==========================================================================
code                    params (each also has ``address``)
======================  ==========================================================================
fetch.address_invalid
fetch.port_refused      port
fetch.name_unknown      host
fetch.not_public        host, ip
fetch.unreachable       host
fetch.tls_failed        host
fetch.timed_out         seconds
fetch.bad_answer
fetch.refused           status
fetch.redirected        target
fetch.too_large         limit (KiB)
======================  ==========================================================================
"""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urljoin, urlsplit

from mailadmin.certificates.connecting import (
    Address,
    Deadline,
    DeadlineStream,
    connect,
    is_public,
    resolve,
)
from mailadmin.pki.problems import Param, Problem

MAX_BYTES = 64 * 1024
MAX_SECONDS = 5.0
_MAX_REDIRECTS = 1
_MAX_IPS = 4  # of one host
_PORTS = {"http": 80, "https": 443}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK = 200


class FetchProblem(Exception):  # noqa: N818 - the word is shared with Problem
    """Why nothing was fetched. ``problem`` says it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file, where it was in the end, and which machine answered."""

    content: bytes = field(repr=False)
    address: str
    ip: str


def fetch(
    address: str, *, is_private_allowed: bool = False, max_seconds: float = MAX_SECONDS
) -> Fetched:
    """Return what is at the address. Raises :class:`FetchProblem`.

    ``is_private_allowed``: also machines of the own network, and any port.
    """
    attempt = _Attempt(address, is_private_allowed, max_seconds)
    for _ in range(_MAX_REDIRECTS + 1):
        found = attempt.ask()
        if found is not None:
            return found
    raise attempt.problem("redirected", target=attempt.address)


class _Attempt:
    """One fetch: where it is now, and how much time is left."""

    def __init__(self, address: str, is_private_allowed: bool, max_seconds: float) -> None:
        self.address = address
        self._first = address
        self._is_private_allowed = is_private_allowed
        self._deadline = Deadline(max_seconds)

    def problem(self, code: str, **params: Param) -> FetchProblem:
        """Return the exception for a code; it names the address that people saw."""
        return FetchProblem(Problem(f"fetch.{code}", params={"address": self._first, **params}))

    def ask(self) -> Fetched | None:
        """Ask once. Return ``None`` when the answer was to ask elsewhere."""
        target = self._split()
        host, port = target.hostname or "", target.port or _PORTS[target.scheme]
        try:
            ips = self._choose_ips(host, port)
            with connect(ips, port, self._deadline) as plain:
                return self._talk(plain, target, host)
        except TimeoutError:
            raise self.problem("timed_out", seconds=round(self._deadline.seconds)) from None
        except ssl.SSLError:
            raise self.problem("tls_failed", host=host) from None
        except http.client.HTTPException:
            raise self.problem("bad_answer") from None
        except OSError:
            raise self.problem("unreachable", host=host) from None

    def _split(self) -> SplitResult:
        """Take the address apart, and refuse what nobody needs to reach a certificate."""
        is_plain = self.address.isascii() and self.address.isprintable() and " " not in self.address
        try:
            target = urlsplit(self.address)
            port = target.port
        except ValueError:
            raise self.problem("address_invalid") from None
        has_login = target.username is not None or target.password is not None
        if not is_plain or target.scheme not in _PORTS or not target.hostname or has_login:
            raise self.problem("address_invalid")
        if port and port != _PORTS[target.scheme] and not self._is_private_allowed:
            raise self.problem("port_refused", port=port)
        return target

    def _choose_ips(self, host: str, port: int) -> list[Address]:
        """Return the addresses of the host that may be asked."""
        found = resolve(host, port, self._deadline)
        if not found:
            raise self.problem("name_unknown", host=host)
        allowed = [ip for ip in found if self._is_private_allowed or is_public(ip)]
        if not allowed:
            raise self.problem("not_public", host=host, ip=str(found[0]))
        return allowed[:_MAX_IPS]

    def _talk(self, plain: socket.socket, target: SplitResult, host: str) -> Fetched | None:
        """Send the request over the connection and take the answer."""
        plain.settimeout(self._deadline.left())
        ip = str(plain.getpeername()[0])
        if target.scheme == "https":
            with ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secure:
                return self._exchange(secure, target, ip)
        return self._exchange(plain, target, ip)

    def _exchange(self, connection: socket.socket, target: SplitResult, ip: str) -> Fetched | None:
        connection.settimeout(self._deadline.left())
        connection.sendall(_request(target))
        stream = DeadlineStream(connection, self._deadline)
        with http.client.HTTPResponse(stream) as response:  # type: ignore[arg-type]  # needs makefile only
            response.begin()
            if response.status in _REDIRECTS:
                self._follow(response.getheader("Location", ""), target)
                return None
            if response.status != _OK:
                raise self.problem("refused", status=response.status)
            content = response.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise self.problem("too_large", limit=MAX_BYTES // 1024)
        return Fetched(content, self.address, ip)

    def _follow(self, location: str, target: SplitResult) -> None:
        """Go where the answer points; never to another scheme, but from http up to https."""
        try:
            address = urljoin(self.address, location)
            scheme = urlsplit(address).scheme
        except ValueError:
            raise self.problem("redirected", target=location[:100]) from None
        if not location or scheme not in {target.scheme, "https"}:
            raise self.problem("redirected", target=location[:100])
        self.address = address


def _request(target: SplitResult) -> bytes:
    path = target._replace(scheme="", netloc="", fragment="").geturl() or "/"
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {target.netloc}",
        "User-Agent: mailadmin",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode("ascii")
