"""An HTTPS server that answers as a test tells it: for what no real authority can be made to do."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from josepy.b64 import b64decode

from tests.throwaway_pki import ThrowawayCa

JSON = "application/json"
PROBLEM = "application/problem+json"
ERROR = "urn:ietf:params:acme:error:"


@dataclass(frozen=True)
class Reply:
    """One answer. ``raw`` is written to the connection in place of it, which ends then."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON
    raw: Callable[[socket.socket], None] | None = None


@dataclass(frozen=True)
class Asked:
    """One request: the JWS taken apart, if it was one."""

    method: str
    path: str
    headers: Mapping[str, str]
    protected: Mapping[str, Any] = field(default_factory=dict)
    payload: Mapping[str, Any] | None = None


@dataclass
class ScriptedAuthority:
    """What it answers for each path: a reply, or several of which each is given once."""

    port: int
    root_pem: str
    replies: dict[str, Reply | list[Reply]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    # Of the connections that were made.
    connections: int = 0

    @property
    def directory_url(self) -> str:
        return self.url("/dir")

    def url(self, path: str) -> str:
        return f"https://127.0.0.1:{self.port}{path}"

    def requests(self, path: str) -> list[Asked]:
        return [one for one in self.asked if one.path == path]

    def answer(self, path: str) -> Reply:
        """Return the next reply for a path."""
        found = self.replies.get(path, problem("malformed", 404, detail="no such thing"))
        if isinstance(found, list):
            return found.pop(0) if len(found) > 1 else found[0]
        return found


def as_json(content: object, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(json.dumps(content).encode(), status, named)


def problem(kind: str, status: int = 400, **fields: Any) -> Reply:
    headers = fields.pop("headers", {})
    document = {"type": ERROR + kind, **fields}
    return Reply(json.dumps(document).encode(), status, headers, PROBLEM)


@contextmanager
def scripted(folder: Path, **meta: Any) -> Iterator[ScriptedAuthority]:
    """Run a server with a directory, nonces and a way to register; the rest is the test's."""
    ca = ThrowawayCa(intermediates=0)
    issued = ca.issue(["127.0.0.1", "localhost"])
    chain = folder / "server.pem"
    chain.write_bytes(issued.fullchain_pem + issued.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    with _Server(context) as server:
        authority = ScriptedAuthority(server.server_address[1], ca.root_pem.decode())
        server.authority = authority
        authority.replies.update(_usual(authority, meta))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield authority
        finally:
            server.is_over.set()
            server.shutdown()


def _usual(authority: ScriptedAuthority, meta: Mapping[str, Any]) -> dict[str, Reply]:
    names = {
        "newNonce": "/nonce",
        "newAccount": "/account",
        "newOrder": "/orders",
        "keyChange": "/key",
        "revokeCert": "/revoke",
        "renewalInfo": "/renewal-info",
    }
    directory: dict[str, Any] = {name: authority.url(path) for name, path in names.items()}
    return {
        "/dir": as_json({**directory, "meta": meta}),
        "/nonce": Reply(),
        "/account": as_json({"status": "valid"}, 201, Location=authority.url("/account/1")),
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Whoever drips must not keep the test waiting when it is over.
    block_on_close = False
    authority: ScriptedAuthority

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.context = context
        self.is_over = threading.Event()
        self._lock = threading.Lock()

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self.authority.connections += 1
        with suppress(OSError), self.context.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that hang up are what is tested."""


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        authority = self.server.authority
        length = int(self.headers.get("Content-Length", "0"))
        authority.asked.append(self._read(self.rfile.read(length)))
        reply = authority.answer(self.path)
        if reply.raw is not None:
            self.close_connection = True
            reply.raw(self.connection)
            return
        self.send_response(reply.status)
        headers = {
            "Replay-Nonce": "bm9uY2U",
            "Content-Type": reply.content_type,
            "Content-Length": str(len(reply.body)),
            **reply.headers,
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def _read(self, body: bytes) -> Asked:
        headers = dict(self.headers.items())
        if self.command != "POST":
            return Asked(self.command, self.path, headers)
        signed = json.loads(body)
        payload = b64decode(signed["payload"])
        return Asked(
            self.command,
            self.path,
            headers,
            json.loads(b64decode(signed["protected"])),
            json.loads(payload) if payload else None,
        )

    def log_message(self, *_args: object) -> None:
        """Say nothing."""
