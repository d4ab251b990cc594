"""Makes destinations and receivers for the tests: real ones, on loopback."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mailadmin.notifications.models import Destination
from mailadmin.notifications.services import add_destination
from tests.factories import make_actor

SECRET = "a-secret-of-enough-characters-51"
_numbers = itertools.count(1)


def make_mailbox(**values: Any) -> Destination:
    """Return a stored mailbox that is told everything."""
    wanted = {"title": "Admins", "address": f"admin{next(_numbers)}@example.net"}
    return _make("email", wanted | values)


def make_webhook(address: str = "https://chat.example.net/hooks/token-77", **values: Any) -> Any:
    """Return a stored webhook that is told everything."""
    return _make("webhook", {"title": "Chat", "address": address, "secret": SECRET} | values)


def _make(kind: str, values: dict[str, Any]) -> Destination:
    values = {"minimum_severity": "info"} | values
    return add_destination(actor=make_actor(), kind=kind, **values)


# Receivers


@dataclass
class Received:
    """One POST as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    def is_signed_with(self, secret: str) -> bool:
        """Check the signature as ``docs/webhooks.md`` says, without the panel's code."""
        pairs = dict(
            item.split("=", 1) for item in self.headers["X-Mailadmin-Signature"].split(",")
        )
        signed = pairs["t"].encode() + b"." + self.body
        expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected, pairs["v1"])


@dataclass
class Receiver:
    """A real HTTP server; answers with ``statuses`` in turn, the last one for ever."""

    statuses: Sequence[int] = (200,)
    answer: bytes = b"ok"
    headers: dict[str, str] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    url: str = ""


@contextmanager
def run_receiver(**values: Any) -> Iterator[Receiver]:
    """Run a receiver on a free port of loopback."""
    receiver = Receiver(**values)

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.append(Received(self.path, dict(self.headers), body))
            at = min(len(receiver.received), len(receiver.statuses)) - 1
            self.send_response(receiver.statuses[at])
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(receiver.answer)))
            self.end_headers()
            self.wfile.write(receiver.answer)

        def log_request(self, *_args: Any) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        receiver.url = f"http://127.0.0.1:{server.server_port}/hooks/token-77?x=1"
        yield receiver
        server.shutdown()
        thread.join()


@contextmanager
def run_talker(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Run a server that does with its one connection whatever ``talk`` does; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    talk(connection)
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(60)
        assert not thread.is_alive()
