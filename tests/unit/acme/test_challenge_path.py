"""One address asked for a challenge's path: what counts as our answer, and an end in any case."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from mailadmin.acme import challenge_path
from mailadmin.acme.challenge_path import PathReply, ask_path
from mailadmin.issuance.preflight import PathAnswer

PATH = "/.well-known/acme-challenge/token"
EXPECTED = "token.thumbprint"
HOST = "mail.example.org"


@contextmanager
def speaking(*answers: bytes, keep_open: bool = False) -> Iterator[tuple[int, list[bytes]]]:
    """Answer one connection after the other with these bytes; yields port and what was asked."""
    heard: list[bytes] = []
    is_over = threading.Event()

    def serve() -> None:
        for answer in answers:
            connection, _peer = listener.accept()
            # Who has read enough hangs up before all is sent.
            with connection, suppress(ConnectionError):
                heard.append(connection.recv(4096))
                connection.sendall(answer)
                if keep_open:
                    is_over.wait(120)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], heard
        finally:
            is_over.set()
            thread.join(60)


def ok(content: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"", content])


def ask(port: int, address: str = "127.0.0.1", host: str = HOST) -> PathReply:
    return ask_path(address, host=host, path=PATH, expected=EXPECTED, port=port)


def moved(location: str) -> bytes:
    return f"HTTP/1.1 301 Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def test_our_answer_is_found_under_the_name() -> None:
    with speaking(ok(EXPECTED.encode() + b"\r\n")) as (port, heard):
        assert ask(port) == PathReply(PathAnswer.OURS, 200)
    assert heard[0].startswith(f"GET {PATH} HTTP/1.1\r\nHost: {HOST}:{port}\r\n".encode())


@pytest.mark.parametrize(
    ("came", "answer", "status"),
    [
        (ok(b"<html>another site"), PathAnswer.OTHER, 200),
        (ok(b"x" * 100_000), PathAnswer.OTHER, 200),
        (ok(b""), PathAnswer.OTHER, 200),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", PathAnswer.STATUS, 404),
        (b"HTTP/1.1 503 Busy\r\n\r\n" + EXPECTED.encode(), PathAnswer.STATUS, 503),
        (b"220 mail.example.org ESMTP\r\n", PathAnswer.NOT_HTTP, 0),
        (b"HTTP/1.1 abc\r\n\r\n", PathAnswer.NOT_HTTP, 0),
        (b"", PathAnswer.NOT_HTTP, 0),
    ],
)
def test_what_else_may_come(came: bytes, answer: PathAnswer, status: int) -> None:
    with speaking(came) as (port, _heard):
        assert ask(port) == PathReply(answer, status)


def test_a_connection_that_stays_open_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(challenge_path, "ASK_LIMIT", 100)
    whole = ok(EXPECTED.encode(), b"Content-Length: %d" % len(EXPECTED))
    started = time.monotonic()
    with speaking(whole, keep_open=True) as (port, _heard):
        assert ask(port).answer is PathAnswer.OURS
        assert time.monotonic() - started < 60


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx"])
def test_one_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    monkeypatch.setattr(challenge_path, "ASK_LIMIT", 0.2)
    with speaking(answer, keep_open=True) as (port, _heard):
        started = time.monotonic()
        found = ask(port)
        assert time.monotonic() - started < 60
    assert found == PathReply(PathAnswer.SILENT)


def test_nobody_there() -> None:
    # The port stays ours, so that nobody else can begin to listen there.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert ask(taken.getsockname()[1]) == PathReply(PathAnswer.REFUSED)


def test_one_redirect_on_the_same_name_is_followed_at_the_same_address() -> None:
    with speaking(moved("/elsewhere?a=b"), ok(EXPECTED.encode())) as (port, heard):
        found = ask(port)
    assert found.answer is PathAnswer.OURS
    assert found.redirected_to == f"http://{HOST}:{port}/elsewhere?a=b"
    assert heard[1].startswith(b"GET /elsewhere?a=b HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "location",
    [
        "http://other.example.org/x",
        "https://other.example.org/x",
        "http://169.254.169.254/latest/",
        "https://mail.example.org:8443/x",
        "http://mail.example.org:22/x",
        "file:///etc/passwd",
        "http://[broken/x",
    ],
)
def test_other_redirects_are_told_and_not_followed(location: str) -> None:
    with speaking(moved(location)) as (port, _heard):
        found = ask(port)
    assert (found.answer, found.status) == (PathAnswer.REDIRECT_LOST, 301)
    assert found.redirected_to == location


def test_a_second_redirect_is_not_followed() -> None:
    with speaking(moved("/one"), moved("/two")) as (port, _heard):
        found = ask(port)
    assert (found.answer, found.status) == (PathAnswer.REDIRECT_LOST, 301)


def test_an_address_of_ipv6_is_written_in_brackets() -> None:
    with speaking(ok(EXPECTED.encode())) as (port, heard):
        assert ask(port, host="2001:db8::1").answer is PathAnswer.OURS
    assert f"Host: [2001:db8::1]:{port}\r\n".encode() in heard[0]
