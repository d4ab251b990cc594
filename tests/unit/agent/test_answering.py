"""The listener on port 80, asked over real sockets: one right question, and everything else."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from mailadmin.agent import answering
from mailadmin.agent.answering import MOST_CONNECTIONS, AnsweringListener, open_sockets
from mailadmin.agent.protocol import AgentError

ADDRESS = "127.77.0.4"
LIMIT = 60.0
TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
PROOF = f"{TOKEN}.nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ"
PATH = f"/.well-known/acme-challenge/{TOKEN}"


def free_port(address: str = ADDRESS) -> int:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as trial:
        trial.bind((address, 0))
        return int(trial.getsockname()[1])


class Served:
    """A listener on one address and port, with one token."""

    def __init__(self, address: str) -> None:
        self.where = (address, free_port(address))
        self.known = {TOKEN: PROOF}
        self.listener = AnsweringListener(open_sockets([address], self.where[1]), self.known.get)
        self.listener.start()

    def connect(self) -> socket.socket:
        return socket.create_connection(self.where, timeout=LIMIT)

    def say(self, request: bytes) -> bytes:
        with self.connect() as connection:
            connection.sendall(request)
            return read_all(connection)

    def ask(self, line: str) -> tuple[int, bytes, bytes]:
        """Ask as a client would; returns status, headers and body."""
        answer = self.say(f"{line}\r\nHost: mail.example.test\r\n\r\n".encode())
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), head, body


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while part := connection.recv(4096):
        received += part
    return received


@pytest.fixture
def served() -> Iterator[Served]:
    one = Served(ADDRESS)
    yield one
    one.listener.stop()


def test_the_known_token_is_answered(served: Served) -> None:
    status, head, body = served.ask(f"GET {PATH} HTTP/1.1")
    assert (status, body) == (200, PROOF.encode())
    assert b"Content-Type: application/octet-stream" in head
    assert f"Content-Length: {len(PROOF)}".encode() in head
    assert b"Connection: close" in head


def test_an_old_client_is_answered_too(served: Served) -> None:
    assert served.ask(f"GET {PATH} HTTP/1.0")[0] == 200


def test_ipv6_is_answered_alike() -> None:
    one = Served("::1")
    try:
        assert one.ask(f"GET {PATH} HTTP/1.1")[2] == PROOF.encode()
    finally:
        one.listener.stop()


@pytest.mark.parametrize(
    "line",
    [
        "GET / HTTP/1.1",
        "GET /.well-known/acme-challenge/ HTTP/1.1",
        "GET /.well-known/acme-challenge/other HTTP/1.1",
        f"GET {PATH}/ HTTP/1.1",
        f"GET {PATH}?x=1 HTTP/1.1",
        f"GET {PATH}%00 HTTP/1.1",
        f"GET {PATH}x HTTP/1.1",
        f"GET /{PATH} HTTP/1.1",
        f"GET /.well-known/acme-challenge/../acme-challenge/{TOKEN} HTTP/1.1",
        "GET /.well-known/acme-challenge/../../etc/passwd HTTP/1.1",
        "GET /.well-known/acme-challenge/%2e%2e%2fpasswd HTTP/1.1",
        f"GET http://mail.example.test{PATH} HTTP/1.1",
        f"HEAD {PATH} HTTP/1.1",
        f"POST {PATH} HTTP/1.1",
        f"get {PATH} HTTP/1.1",
        f"GET  {PATH} HTTP/1.1",
        f"GET {PATH} HTTP/2.0",
        f"GET {PATH}",
        "\x16\x03\x01",
        "",
    ],
)
def test_all_else_is_not_found(served: Served, line: str) -> None:
    status, head, body = served.ask(line)
    assert (status, body) == (404, b"")
    assert b"Content-Length: 0" in head
    assert b"Server" not in head


def test_a_token_that_is_taken_back_is_not_found(served: Served) -> None:
    del served.known[TOKEN]
    assert served.ask(f"GET {PATH} HTTP/1.1")[0] == 404


def test_a_question_may_come_in_pieces(served: Served) -> None:
    with served.connect() as connection:
        for part in (b"GET ", PATH.encode(), b" HTTP/1.1\r", b"\nHost: a\r\n\r", b"\n"):
            connection.sendall(part)
        assert read_all(connection).endswith(PROOF.encode())


def test_a_connection_is_for_one_question(served: Served) -> None:
    question = f"GET {PATH} HTTP/1.1\r\nConnection: keep-alive\r\n\r\n".encode()
    answer = served.say(question * 3)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.endswith(PROOF.encode())


def test_headers_without_end_are_cut_off(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(f"GET {PATH} HTTP/1.1\r\n".encode() + b"X: y\r\n" * 2000)
        assert read_all(connection).startswith(b"HTTP/1.1 404")


def test_headers_that_end_too_late_are_not_answered(served: Served) -> None:
    long = b"X: " + b"y" * 9000
    assert served.say(f"GET {PATH} HTTP/1.1\r\n".encode() + long + b"\r\n\r\n").startswith(
        b"HTTP/1.1 404"
    )


def test_who_says_nothing_is_hung_up_on(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "_CONVERSATION", 0.1)
    with served.connect() as silent, served.connect() as slow:
        slow.sendall(b"GET /")
        assert (silent.recv(1), slow.recv(1)) == (b"", b"")
    assert served.ask(f"GET {PATH} HTTP/1.1")[0] == 200


def test_who_does_not_hang_up_is_hung_up_on(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "_FAREWELL", 0.1)
    with served.connect() as connection:
        connection.sendall(f"GET {PATH} HTTP/1.1\r\n\r\n".encode())
        read_all(connection)
        wait_for(lambda: is_reset(connection))


def is_reset(connection: socket.socket) -> bool:
    try:
        connection.send(b"x")
    except OSError as error:
        return error.errno in {errno.EPIPE, errno.ECONNRESET}
    return False


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)


def test_held_connections_do_not_keep_others_out(served: Served) -> None:
    held = [served.connect() for _ in range(MOST_CONNECTIONS + 5)]
    try:
        assert served.ask(f"GET {PATH} HTTP/1.1")[0] == 200
        # The oldest made room; the newest is still listened to.
        assert held[0].recv(1) == b""
        held[-1].sendall(f"GET {PATH} HTTP/1.1\r\n\r\n".encode())
        assert read_all(held[-1]).endswith(PROOF.encode())
    finally:
        for connection in held:
            connection.close()


def test_who_breaks_off_disturbs_nobody(served: Served) -> None:
    for _ in range(20):
        connection = served.connect()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(f"GET {PATH} HTTP/1.1\r\n\r\n".encode())
        connection.close()
    assert served.ask(f"GET {PATH} HTTP/1.1")[0] == 200


def test_a_stopped_listener_leaves_nothing_open(served: Served) -> None:
    with served.connect() as connection:
        served.listener.stop()
        assert not served.listener.is_answering
        assert connection.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        served.connect()
    # The port is free at once, for a web server too.
    for one in open_sockets([served.where[0]], served.where[1]):
        one.close()


def test_a_listener_that_breaks_closes_its_port(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(served.listener, "_accept", break_down)
    # Closing under a connection that is just coming resets it.
    with contextlib.suppress(ConnectionError):
        served.connect().close()
    wait_for(lambda: not served.listener.is_answering)
    with pytest.raises(ConnectionRefusedError):
        served.connect()


# Where it listens


def refused(*addresses: str, port: int) -> AgentError:
    with pytest.raises(AgentError) as raised:
        open_sockets(addresses, port)
    return raised.value


def test_a_port_that_is_taken_names_who_has_it() -> None:
    with socket.socket() as holder:
        holder.bind((ADDRESS, 0))
        holder.listen()
        port = int(holder.getsockname()[1])
        for wanted in (ADDRESS, "0.0.0.0"):  # noqa: S104 - what is tested
            problem = refused(wanted, port=port).problem
            assert problem.code == "http01.port_taken"
            assert problem.params == {
                "address": ADDRESS,
                "port": port,
                "program": psutil.Process().name(),
                "pid": os.getpid(),
            }


def test_a_holder_that_cannot_be_seen_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "find_holder", lambda *_: None)
    with socket.socket() as holder:
        holder.bind((ADDRESS, 0))
        holder.listen()
        problem = refused(ADDRESS, port=int(holder.getsockname()[1])).problem
    assert problem.code == "http01.port_taken_by_unknown"


def test_no_port_is_kept_when_one_of_the_addresses_is_taken() -> None:
    with socket.socket(socket.AF_INET6) as holder:
        holder.bind(("::1", 0))
        holder.listen()
        port = int(holder.getsockname()[1])
        assert refused(ADDRESS, "::1", port=port).problem.code == "http01.port_taken"
        for one in open_sockets([ADDRESS], port):
            one.close()


def test_an_address_of_another_machine_is_refused() -> None:
    # RFC 5737 and 3849: nobody's.
    for address in ("198.51.100.7", "2001:db8::7"):
        problem = refused(address, port=free_port()).problem
        assert (problem.code, problem.params["address"]) == ("http01.address_not_local", address)


def test_both_families_are_listened_to_on_one_port() -> None:
    sockets = open_sockets(["127.77.0.4", "::1"], free_port())
    assert {one.family for one in sockets} == {socket.AF_INET, socket.AF_INET6}
    for one in sockets:
        one.close()


def test_a_machine_without_ipv6_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    real = answering.listen_on

    def without_ipv6(address: str, port: int) -> socket.socket:
        if ":" in address:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(ADDRESS, port)

    monkeypatch.setattr(answering, "listen_on", without_ipv6)
    port = free_port()
    (one,) = open_sockets(["0.0.0.0", "::"], port)  # noqa: S104 - not bound
    one.close()
    assert refused("::", port=port).problem.code == "http01.address_not_local"
    assert refused("::1", port=port).problem.code == "http01.address_not_local"


def test_what_else_the_system_says_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(address: str, port: int) -> socket.socket:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(answering, "listen_on", forbidden)
    problem = refused(ADDRESS, port=80).problem
    assert problem.code == "http01.port_not_bindable"
    assert problem.params == {"address": ADDRESS, "port": 80, "detail": "Permission denied"}
