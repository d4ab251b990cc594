"""Fetching from an address in a certificate: what is taken, and all that is refused."""

from __future__ import annotations

import ipaddress
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mailadmin.certificates import fetching
from mailadmin.certificates.connecting import is_public
from mailadmin.certificates.fetching import MAX_BYTES, FetchProblem, fetch
from tests.throwaway_pki import ThrowawayCa

Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that answers on loopback: one fixed answer for each connection in turn.

    With a pause it sends byte by byte, and after the answer more, until nobody listens any more.
    """
    listeners: list[socket.socket] = []

    def start(*answers: bytes, pause: float = 0.0) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=_answer, args=(listener, answers, pause), daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.close()


def _answer(listener: socket.socket, answers: tuple[bytes, ...], pause: float) -> None:
    for answer in answers:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with closing(connection):
            _send(connection, answer, pause)


def _send(connection: socket.socket, answer: bytes, pause: float) -> None:
    try:
        connection.recv(4096)
        if not pause:
            connection.sendall(answer)
            return
        for byte in itertools.chain(answer, itertools.repeat(ord("x"))):
            connection.sendall(bytes([byte]))
            time.sleep(pause)
    except OSError:
        return


def response(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def refusal(address: str, **options: object) -> fetching.Problem:
    with pytest.raises(FetchProblem) as caught:
        fetch(address, **options)  # type: ignore[arg-type]
    assert caught.value.problem.params["address"] == address
    return caught.value.problem


def test_a_file_is_fetched_from_where_it_is_said_to_be(serve: Serve) -> None:
    address = serve(response(b"\x30\x03abc")) + "/ca.der"
    found = fetch(address, is_private_allowed=True)
    assert (found.content, found.address, found.ip) == (b"\x30\x03abc", address, "127.0.0.1")


def test_an_answer_in_chunks_is_put_together(serve: Serve) -> None:
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    assert fetch(serve(chunked), is_private_allowed=True).content == b"abcde"


def test_a_machine_of_the_own_network_is_not_asked(serve: Serve) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(0.2)
        problem = refusal("http://127.0.0.1/ca.der")
        assert problem.code == "fetch.not_public"
        assert problem.params["ip"] == "127.0.0.1"
        port = listener.getsockname()[1]
        assert refusal(f"http://127.0.0.1:{port}/ca.der").code == "fetch.port_refused"
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.parametrize(
    "host", ["localhost", "127.1", "2130706433", "0x7f.1", "0", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_no_spelling_of_loopback_gets_through(host: str) -> None:
    assert refusal(f"http://{host}/ca.der").code in ("fetch.not_public", "fetch.name_unknown")


PRIVATE = """127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1
240.0.0.1 255.255.255.255 192.0.2.1 198.18.0.1 ::1 :: fe80::1 fc00::1 fd12:3456::1 ff02::1 fec0::1
::ffff:127.0.0.1 ::ffff:8.8.8.8 64:ff9b::7f00:1 2002:7f00:1:: 2001:0:53aa:64c::1 2001:db8::1"""


@pytest.mark.parametrize("ip", PRIVATE.split())
def test_only_the_internet_is_public(ip: str) -> None:
    assert not is_public(ipaddress.ip_address(ip))


@pytest.mark.parametrize("ip", ["8.8.8.8", "193.0.6.139", "2a00:1450:4001:800::200e", "2606::1"])
def test_the_internet_is_public(ip: str) -> None:
    assert is_public(ipaddress.ip_address(ip))


def test_a_name_is_asked_for_once_and_the_connection_goes_to_what_was_looked_at(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(serve(response(b"secret of the own network")).rpartition(":")[2])
    asked: list[str] = []

    def resolve(host: str, *_args: object, **_kwargs: object) -> list[tuple[object, ...]]:
        asked.append(host)
        ip = "192.0.2.1" if len(asked) == 1 else "127.0.0.1"  # points elsewhere a moment later
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port))]

    connected: list[object] = []

    def connect(target: tuple[str, int], *_args: object) -> socket.socket:
        connected.append(target)
        raise ConnectionRefusedError

    monkeypatch.setattr(fetching.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(fetching.socket, "create_connection", connect)
    monkeypatch.setattr(fetching, "is_public", lambda ip: str(ip) == "192.0.2.1")
    assert refusal("http://ca.example/ca.der").code == "fetch.unreachable"
    assert asked == ["ca.example"]
    assert connected == [("192.0.2.1", 80)]


def test_of_several_machines_the_next_is_asked_when_one_does_not_answer(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = serve(response(b"found"))
    port = int(address.rpartition(":")[2])

    look_up = socket.getaddrinfo

    def resolve(host: str, *args: object, **kwargs: object) -> list[tuple[object, ...]]:
        if host != "ca.example":
            return look_up(host, *args, **kwargs)  # type: ignore[arg-type,return-value]
        return [(2, 1, 6, "", (ip, port)) for ip in ("127.9.9.9", "127.0.0.1")]

    monkeypatch.setattr(fetching.socket, "getaddrinfo", resolve)
    assert fetch(f"http://ca.example:{port}/", is_private_allowed=True).ip == "127.0.0.1"


@pytest.mark.parametrize(
    "address",
    [
        "ftp://ca.example/ca.der",
        "file:///etc/passwd",
        "http://",
        "http://user:word@ca.example/",
        "http://ca.example:99999/",
        "http://[::1/",
        "http://ca.example/a b",
        "http://ca.example/\r\nHost: other",
    ],
)
def test_an_address_that_no_authority_needs_is_refused(address: str) -> None:
    assert refusal(address, is_private_allowed=True).code == "fetch.address_invalid"


def test_a_name_that_does_not_exist_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_args: object, **_kwargs: object) -> list[tuple[object, ...]]:
        raise socket.gaierror

    monkeypatch.setattr(fetching.socket, "getaddrinfo", resolve)
    problem = refusal("http://nowhere.example/")
    assert (problem.code, problem.params["host"]) == ("fetch.name_unknown", "nowhere.example")


def test_one_redirect_is_followed(serve: Serve) -> None:
    there = serve(response(b"found")) + "/there"
    here = serve(response(b"", "302 Found", f"Location: {there}"))
    found = fetch(here, is_private_allowed=True)
    assert (found.content, found.address) == (b"found", there)


def test_a_second_redirect_is_not(serve: Serve) -> None:
    relative = response(b"", "301 Moved", "Location: /next")
    assert refusal(serve(relative, relative), is_private_allowed=True).code == "fetch.redirected"


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "gopher://ca.example/", "", "http://[::1/"]
)
def test_a_redirect_to_something_else_is_not_followed(serve: Serve, location: str) -> None:
    answer = response(b"", "302 Found", f"Location: {location}")
    assert refusal(serve(answer), is_private_allowed=True).code == "fetch.redirected"


def test_a_redirect_into_the_own_network_is_not_followed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = serve(response(b"", "302 Found", "Location: http://inside.example/"))
    ours = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))
    connected: list[str] = []

    def resolve(host: str, *_args: object, **_kwargs: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", ("127.0.0.1" if host == "ca.example" else "192.0.2.1", 80))]

    def connect(target: tuple[str, int], *_args: float) -> socket.socket:
        connected.append(target[0])
        return ours

    monkeypatch.setattr(fetching.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(fetching.socket, "create_connection", connect)
    monkeypatch.setattr(fetching, "is_public", lambda ip: str(ip) == "127.0.0.1")
    problem = refusal("http://ca.example/")
    assert problem.code == "fetch.not_public"
    assert problem.params["host"] == "inside.example"
    assert connected == ["127.0.0.1"]


def test_an_answer_that_is_too_large_is_not_read_to_its_end(serve: Serve) -> None:
    problem = refusal(serve(response(b"x" * (MAX_BYTES + 1))), is_private_allowed=True)
    assert (problem.code, problem.params["limit"]) == ("fetch.too_large", 64)
    assert fetch(serve(response(b"x" * MAX_BYTES)), is_private_allowed=True)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (response(b"", "404 Not Found"), "fetch.refused"),
        (response(b"", "500 Broken"), "fetch.refused"),
        (b"220 mail.example.org ESMTP\r\n", "fetch.bad_answer"),
        (b"", "fetch.bad_answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", "fetch.bad_answer"),
    ],
)
def test_what_is_no_file_is_told_apart(serve: Serve, answer: bytes, code: str) -> None:
    assert refusal(serve(answer), is_private_allowed=True).code == code


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"])
def test_a_slow_answer_ends_at_the_deadline(serve: Serve, answer: bytes) -> None:
    """A byte now and then keeps a connection alive, but not the fetch."""
    begun = time.monotonic()
    problem = refusal(serve(answer, pause=0.05), is_private_allowed=True, max_seconds=0.4)
    assert problem.code == "fetch.timed_out"
    assert time.monotonic() - begun < 60


def test_a_resolver_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = threading.Event()

    def resolve(*_args: object, **_kwargs: object) -> list[tuple[object, ...]]:
        released.wait(120)
        return []

    monkeypatch.setattr(fetching.socket, "getaddrinfo", resolve)
    assert refusal("http://ca.example/", max_seconds=0.2).code == "fetch.timed_out"
    released.set()


def test_nobody_listening_is_said(serve: Serve) -> None:
    # The port stays ours, so that nobody else can begin to listen there.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        assert refusal(address, is_private_allowed=True).code == "fetch.unreachable"


def test_tls_must_be_right(serve: Serve) -> None:
    address = serve(b"HTTP/1.1 200 OK\r\n\r\n").replace("http:", "https:")
    assert refusal(address, is_private_allowed=True).code == "fetch.tls_failed"


def test_a_file_is_fetched_over_tls_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca = ThrowawayCa("TLS Authority")
    (tmp_path / "root.pem").write_bytes(ca.root_pem)
    issued = ca.issue(["127.0.0.1"])
    (tmp_path / "server.pem").write_bytes(issued.fullchain_pem + issued.key_pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "server.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "root.pem"))
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listening = server.wrap_socket(listener, server_side=True)
        answers = (response(b"over tls"),)
        threading.Thread(target=_answer, args=(listening, answers, 0.0), daemon=True).start()
        address = f"https://127.0.0.1:{listening.getsockname()[1]}/ca.der"
        assert fetch(address, is_private_allowed=True).content == b"over tls"
        listening.close()


def test_a_proxy_of_the_environment_is_not_used(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert fetch(serve(response(b"direct")), is_private_allowed=True).content == b"direct"
