"""The listener on port 80: one question is answered (RFC 8555, section 8.3), all else is 404.

It stands open to the internet as root, so it is as small as it can be: one thread, no file, no
path but one, a limit on everything, and one answer for each connection.
"""

from __future__ import annotations

import errno
import logging
import re
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mailadmin.agent.host.ports import find_holder, listen_on
from mailadmin.agent.protocol import AgentError
from mailadmin.mailconf.state import ANY_ADDRESS

logger = logging.getLogger(__name__)

MOST_CONNECTIONS = 64
# Of a request line and its headers, in bytes.
_LONGEST_REQUEST = 8192
# Seconds for a whole conversation, and for the other side to hang up after the answer.
_CONVERSATION = 10.0
_FAREWELL = 1.0
# Seconds without accepting when the system has no descriptor left.
_BREATH = 0.05
_END = b"\r\n\r\n"
_QUESTION = re.compile(rb"GET /\.well-known/acme-challenge/([A-Za-z0-9_-]{1,128}) HTTP/1\.[01]")
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound
_NO_SUCH_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})

Find = Callable[[str], str | None]


@dataclass(slots=True)
class _Conversation:
    """One connection; ``unsent`` is what is left of the answer, once there is one."""

    socket: socket.socket
    until: float
    received: bytearray = field(default_factory=bytearray)
    is_answered: bool = False
    unsent: bytes = b""


def open_sockets(addresses: Sequence[str], port: int) -> list[socket.socket]:
    """Return a listening socket for each address, or raise :class:`AgentError` and hold none.

    A machine without IPv6 is no reason to refuse, as long as one address can be had.
    """
    opened: list[socket.socket] = []
    refused: AgentError | None = None
    for address in addresses:
        try:
            opened.append(listen_on(address, port))
        except OSError as error:
            refused = _refusal(address, port, error)
            if address not in _EVERYWHERE or error.errno not in _NO_SUCH_FAMILY:
                _close_all(opened)
                raise refused from None
    if refused is not None and not opened:
        raise refused
    return opened


class AnsweringListener:
    """Answers on its sockets until it is stopped; ``find`` gives what belongs to a token.

    ``find`` is called in the listener's own thread and must not wait.
    """

    def __init__(self, sockets: Sequence[socket.socket], find: Find) -> None:
        self._sockets = list(sockets)
        self._find = find
        self._selector = selectors.DefaultSelector()
        self._bell, self._ear = socket.socketpair()
        # Oldest first.
        self._conversations: dict[int, _Conversation] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        for one in self._sockets:
            one.setblocking(False)
            self._selector.register(one, selectors.EVENT_READ, one)
        self._selector.register(self._ear, selectors.EVENT_READ)
        self._thread.start()

    def stop(self) -> None:
        """Close every socket; returns when they are closed."""
        self._bell.close()
        self._thread.join()

    @property
    def is_answering(self) -> bool:
        """Tell whether the listener lives."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except Exception:
            logger.exception("the listener for challenges broke")
        finally:
            _close_all([item.socket for item in self._conversations.values()])
            _close_all([*self._sockets, self._ear, self._bell])
            self._selector.close()

    def _turn(self) -> bool:
        """Do what is to do now; returns False when the listener is to end."""
        for key, _ in self._selector.select(self._patience()):
            match key.data:
                case None:
                    return False
                case _Conversation() as one:
                    # One that made room for another in this very turn is gone already.
                    if self._conversations.get(key.fd) is one:
                        self._go_on(one)
                case listening:
                    self._accept(listening)
        now = time.monotonic()
        for late in [item for item in self._conversations.values() if item.until <= now]:
            self._hang_up(late)
        return True

    def _patience(self) -> float | None:
        ends = [item.until for item in self._conversations.values()]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _accept(self, listening: socket.socket) -> None:
        if len(self._conversations) >= MOST_CONNECTIONS:
            # Whoever only holds connections open loses them to those who ask.
            self._hang_up(next(iter(self._conversations.values())))
        try:
            connection, _ = listening.accept()
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                time.sleep(_BREATH)
            return
        connection.setblocking(False)
        one = _Conversation(connection, time.monotonic() + _CONVERSATION)
        self._conversations[connection.fileno()] = one
        self._selector.register(connection, selectors.EVENT_READ, one)

    def _go_on(self, one: _Conversation) -> None:
        try:
            if not one.is_answered:
                self._listen(one)
            elif one.unsent:
                self._say(one)
            elif not one.socket.recv(_LONGEST_REQUEST):
                self._hang_up(one)
        except BlockingIOError:
            return
        except OSError:
            self._hang_up(one)

    def _listen(self, one: _Conversation) -> None:
        received = one.socket.recv(_LONGEST_REQUEST)
        if not received:
            self._hang_up(one)
            return
        one.received += received
        if _END not in one.received and len(one.received) <= _LONGEST_REQUEST:
            return
        one.is_answered, one.unsent = True, answer_to(bytes(one.received), self._find)
        self._selector.modify(one.socket, selectors.EVENT_WRITE, one)
        self._say(one)

    def _say(self, one: _Conversation) -> None:
        one.unsent = one.unsent[one.socket.send(one.unsent) :]
        if not one.unsent:
            # Closing at once would reset the connection if more had been sent to us, and the
            # answer could be lost with it.
            one.socket.shutdown(socket.SHUT_WR)
            one.until = min(one.until, time.monotonic() + _FAREWELL)
            self._selector.modify(one.socket, selectors.EVENT_READ, one)

    def _hang_up(self, one: _Conversation) -> None:
        del self._conversations[one.socket.fileno()]
        self._selector.unregister(one.socket)
        one.socket.close()


def answer_to(request: bytes, find: Find) -> bytes:
    """Return the whole answer to a request, or to what there is of one that is too long."""
    head, end, _ = request.partition(_END)
    question = _QUESTION.fullmatch(head.partition(b"\r\n")[0])
    is_fair = bool(end) and len(head) <= _LONGEST_REQUEST
    content = find(question[1].decode("ascii")) if question and is_fair else None
    if content is None:
        return _response("404 Not Found", "text/plain", b"")
    return _response("200 OK", "application/octet-stream", content.encode("ascii"))


def _response(status: str, kind: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\n"
        f"Content-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Connection: close\r\n"
        "\r\n"
    )
    return head.encode("ascii") + body


def _refusal(address: str, port: int, error: OSError) -> AgentError:
    if error.errno == errno.EADDRINUSE:
        holder = find_holder(ANY_ADDRESS if address in _EVERYWHERE else address, port)
        if holder is None:
            return AgentError.because("http01.port_taken_by_unknown", address=address, port=port)
        return AgentError.because(
            "http01.port_taken",
            address=holder.address,
            port=port,
            program=holder.program,
            pid=holder.pid,
        )
    if error.errno in _NO_SUCH_FAMILY:
        return AgentError.because("http01.address_not_local", address=address, port=port)
    detail = error.strerror or "unknown"
    return AgentError.because("http01.port_not_bindable", address=address, port=port, detail=detail)


def _close_all(sockets: Sequence[socket.socket]) -> None:
    for one in sockets:
        one.close()
