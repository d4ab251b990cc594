"""The request that makes Dovecot read its files again, as 2.3 and 2.4 answer it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailadmin.agent.config import DovecotPaths
from mailadmin.agent.host.dovecot import DovecotHost, version_numbers
from mailadmin.agent.protocol import AgentError

Script = Callable[[socket.socket], None]
GREETING_24 = b"VERSION\tconfig\t3\t0\n"


@pytest.fixture
def reread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[bytes]]]:
    """Return a function that asks a Dovecot of some version which answers by a script."""
    threads: list[threading.Thread] = []

    def ask(version: str, script: Script) -> list[bytes]:
        paths = DovecotPaths(tmp_path / "dovecot.conf", tmp_path / "dropin", tmp_path, tmp_path)
        host = DovecotHost(paths)
        monkeypatch.setattr(host, "version", lambda: version)
        asked: list[bytes] = []
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "config"))
        listener.listen()

        def serve_one() -> None:
            with listener:
                connection, _ = listener.accept()
                with connection:
                    asked.append(connection.recv(1000))
                    script(connection)

        thread = threading.Thread(target=serve_one)
        thread.start()
        threads.append(thread)
        try:
            host.reread()
        finally:
            thread.join(10)
        return asked

    yield ask
    for thread in threads:
        assert not thread.is_alive()


def say(*parts: bytes) -> Script:
    def script(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)

    return script


def count_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_2_3_is_asked_as_its_master_asks(reread: Callable[..., list[bytes]]) -> None:
    answer = say(b"service=lmtp\tservice=lda\n" + b"a=b\n" * 5000, b"\n")
    asked = reread("2.3.19.1", answer)
    assert asked == [b"VERSION\tconfig\t2\t0\nREQ\tmodule=master\n"]


def test_an_answer_of_2_3_without_blocks_for_some_is_whole_as_well(
    reread: Callable[..., list[bytes]],
) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(b"\nbase_dir=/run/dovecot\n" + b"a=b\n" * 5000 + b"\n")
        # Dovecot keeps the connection; only whoever asked ends it.
        assert connection.recv(1) == b""

    assert reread("2.3.19.1", script)


def test_2_4_is_asked_as_its_master_asks(reread: Callable[..., list[bytes]]) -> None:
    assert reread("2.4.1-4", say(b"+\n")) == [b"VERSION\tconfig\t3\t0\nREQ\treload\n"]


def test_the_file_that_2_4_sends_along_is_closed(reread: Callable[..., list[bytes]]) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(GREETING_24)
        reading, writing = os.pipe()
        socket.send_fds(connection, [b"+"], [reading])
        os.close(reading)
        os.close(writing)

    before = count_open_files()
    reread("2.4.1", script)
    assert count_open_files() == before


@pytest.mark.parametrize(
    ("version", "parts", "words"),
    [
        ("2.3.19.1", (b"\n", b"ERROR ", b"line 3: ", b"no\n"), "line 3: no"),
        ("2.3.19.1", (b"service=lmtp\nssl=req",), "the connection was closed"),
        ("2.3.19.1", (), "the connection was closed"),
        ("2.4.1", (GREETING_24, b"-line 3: ", b"no\n"), "line 3: no"),
        ("2.4.1", (GREETING_24,), "the connection was closed"),
    ],
)
def test_a_refusal_carries_dovecots_words(
    reread: Callable[..., list[bytes]], version: str, parts: tuple[bytes, ...], words: str
) -> None:
    with pytest.raises(AgentError) as raised:
        reread(version, say(*parts))
    assert raised.value.problem.code == "dovecot.reread_refused"
    assert raised.value.problem.params == {"words": words}


def test_no_socket_is_not_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = DovecotHost(DovecotPaths(tmp_path / "a", tmp_path / "b", tmp_path, tmp_path))
    monkeypatch.setattr(host, "version", lambda: "2.3.19.1")
    with pytest.raises(AgentError) as raised:
        host.reread()
    assert raised.value.problem.code == "dovecot.reread_unavailable"


@pytest.mark.parametrize(
    ("version", "numbers"), [("2.3.19.1", (2, 3)), ("2.4.1-4", (2, 4)), ("3.0", (3, 0))]
)
def test_versions_are_compared_by_number(version: str, numbers: tuple[int, int]) -> None:
    assert version_numbers(version) == numbers


def test_an_unknown_version_is_said() -> None:
    with pytest.raises(AgentError) as raised:
        version_numbers("not found")
    assert raised.value.problem.code == "dovecot.version_unknown"
