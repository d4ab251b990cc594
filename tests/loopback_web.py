"""A web server on loopback that offers one file, for what fetches."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class OfferedFile:
    """What the server answers with, and which paths were asked for."""

    address: str
    content: bytes = b""
    status: int = 200
    asked: list[str] = field(default_factory=list)


@contextmanager
def offering(content: bytes = b"") -> Iterator[OfferedFile]:
    """Serve the content at every path until the block ends."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            offered.asked.append(self.path)
            self.send_response(offered.status)
            self.send_header("Content-Length", str(len(offered.content)))
            self.end_headers()
            self.wfile.write(offered.content)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        offered = OfferedFile(f"http://127.0.0.1:{server.server_address[1]}/ca.der", content)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield offered
        finally:
            server.shutdown()
