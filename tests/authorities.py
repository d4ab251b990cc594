"""Certificate authorities for the tests: real ones (Pebble), with the DNS they ask."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mailadmin.demo.authority import PEBBLE, ChallengeDns, Options, Pebble, running
from mailadmin.demo.authority.running import wait_until_ready
from mailadmin.demo.logbook import Logbook
from mailadmin.sandbox import paths

_WELL_KNOWN = "/.well-known/acme-challenge/"


@dataclass
class RunningAuthority:
    """A Pebble that runs, the DNS it asks, and the web server it looks at for http-01."""

    pebble: Pebble
    dns: ChallengeDns
    web: ChallengeWeb

    def restart(self) -> None:
        """End Pebble and start it again: it knows nobody then, and signs with another root."""
        self.pebble.program.kill()
        self.start_again()

    def start_again(self) -> None:
        """Start Pebble, which has been ended."""
        self.pebble.program.start()
        wait_until_ready(self.pebble.program)


@dataclass
class ChallengeWeb:
    """Answers http-01 for every name that leads to loopback."""

    port: int
    answers: dict[str, str] = field(default_factory=dict)
    # Which names were asked for.
    asked: list[str] = field(default_factory=list)


def find_newer_pebble() -> Path:
    """Return a Pebble that has renewal information (RFC 9773): 2.6 or later.

    On Debian 12 it is the one that bin/fetch-pebble got.
    """
    fetched = paths.project_dir() / "var" / "pebble" / "pebble"
    return fetched if fetched.exists() else PEBBLE


@contextmanager
def run_authority(
    options: Options | None = None, *, executable: Path = PEBBLE, dns_server: str = ""
) -> Iterator[RunningAuthority]:
    """Run an authority with all it needs for as long as the block lasts.

    ``dns_server``: "address:port" of the one to ask in place of its own.
    """
    with tempfile.TemporaryDirectory(prefix="ma-acme-") as name, _serving() as web:
        folder = Path(name)
        logbook = Logbook(folder / "log")
        dns = ChallengeDns(folder / "dns", logbook)
        pebble = Pebble(
            folder / "pebble",
            logbook,
            dns_server or dns.address,
            options=options,
            http_port=web.port,
            executable=executable,
        )
        try:
            with running(dns.program, pebble.program):
                yield RunningAuthority(pebble, dns, web)
        finally:
            logbook.close()


@contextmanager
def _serving() -> Iterator[ChallengeWeb]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.asked.append(self.headers.get("Host", "").partition(":")[0])
            content = web.answers.get(self.path.removeprefix(_WELL_KNOWN), "")
            self.send_response(200 if content else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content.encode("ascii"))

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        # An authority looks at all names of an order at once.
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Answer) as server:
        web = ChallengeWeb(server.server_address[1])
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield web
        finally:
            server.shutdown()
