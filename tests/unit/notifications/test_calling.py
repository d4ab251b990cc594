"""Calling a webhook: real sockets on loopback that answer, lie, dawdle and point elsewhere."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mailadmin.notifications.runner import calling
from mailadmin.notifications.runner.calling import Call, post
from mailadmin.notifications.runner.results import LONGEST_EXCERPT
from mailadmin.sandbox.snakeoil import make_snakeoil
from tests.notification_factories import run_receiver, run_talker


def call(url: str, **values: object) -> Call:
    wanted: dict[str, object] = {"body": b'{"a":1}', "headers": {}, "is_private_allowed": True}
    return Call(url, **(wanted | values))  # type: ignore[arg-type]


def test_a_good_answer_tells_status_and_time() -> None:
    with run_receiver() as receiver:
        result = post(call(receiver.url, headers={"X-Test": "yes"}))
    assert result.is_good
    assert result.params["status"] == 200
    assert 0 <= int(result.params["ms"]) < 5000
    (received,) = receiver.received
    assert received.path == "/hooks/token-77?x=1"
    assert received.body == b'{"a":1}'
    assert received.headers["X-Test"] == "yes"
    assert received.headers["Host"] == receiver.url.split("/")[2]


def test_of_an_answer_200_printable_characters_are_kept() -> None:
    answer = b"no\x00\x1b[31m " + "ü".encode() * 500
    with run_receiver(statuses=[500], answer=answer) as receiver:
        result = post(call(receiver.url))
    assert result.code == "webhook.refused"
    words = str(result.params["reply"])
    assert words.isprintable()
    assert words.startswith("no [31m ü")
    assert len(words) == LONGEST_EXCERPT


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with run_receiver() as other:
        headers = {"Location": other.url}
        with run_receiver(statuses=[status], headers=headers) as receiver:
            result = post(call(receiver.url))
    assert result.code == "webhook.redirected"
    assert result.params["location"] == other.url.split("/")[2]
    assert not other.received


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://[::ffff:127.0.0.1]:{port}/"],
)
def test_a_private_address_is_called_only_by_choice(url: str) -> None:
    with run_receiver() as receiver:
        port = receiver.url.split(":")[2].split("/")[0]
        result = post(call(url.format(port=port), is_private_allowed=False))
        assert result.code == "webhook.address_refused"
        assert not receiver.received


def test_link_local_is_called_by_nobodys_choice() -> None:
    result = post(call("http://169.254.169.254/latest/meta-data/"), timeout=0.5)
    assert result.code == "webhook.address_refused"


def test_the_address_that_was_looked_at_is_the_one_that_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that answers something else the second time (DNS rebinding) gains nothing."""
    asked = []
    with run_receiver() as receiver:
        port = int(receiver.url.split(":")[2].split("/")[0])

        def resolve(host: str, *_args: object, **_kwargs: object) -> list[object]:
            asked.append(host)
            inside = ("127.0.0.1", port)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", inside)]

        monkeypatch.setattr(calling.socket, "getaddrinfo", resolve)
        result = post(call("http://chat.example.net/", is_private_allowed=False))
        assert result.code == "webhook.address_refused"
        assert post(call("http://chat.example.net/")).is_good
    assert asked == ["chat.example.net"] * 2


def test_a_port_where_nobody_listens() -> None:
    # The port stays ours, so that nobody else can begin to listen there.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        assert post(call(url)).code == "webhook.unreachable"


def test_a_host_that_does_not_exist() -> None:
    result = post(call("https://no-such-host.invalid/"))
    assert result.code == "webhook.name_unknown"


def test_silence_ends_in_time() -> None:
    with run_talker(lambda connection: connection.recv(1) and _drain(connection)) as port:
        began = time.monotonic()
        result = post(call(f"http://127.0.0.1:{port}/"), timeout=0.3)
    assert result.code == "webhook.too_slow"
    assert time.monotonic() - began < 60


def test_somebody_who_says_a_word_now_and_then_ends_in_time_too() -> None:
    def dawdle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X-More: 1\r\n")
            time.sleep(0.05)

    with run_talker(dawdle) as port:
        began = time.monotonic()
        result = post(call(f"http://127.0.0.1:{port}/"), timeout=0.4)
    assert result.code == "webhook.too_slow"
    assert time.monotonic() - began < 60


def test_a_handshake_that_never_ends_ends_in_time() -> None:
    with run_talker(_drain) as port:
        began = time.monotonic()
        result = post(call(f"https://127.0.0.1:{port}/"), timeout=0.3)
    assert result.code == "webhook.too_slow"
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("words", [b"220 mail.example.org ESMTP\r\n", b"", b"HTTP/1.1 abc\r\n\r\n"])
def test_what_does_not_speak_http(words: bytes) -> None:
    def talk(connection: socket.socket) -> None:
        _read_request(connection.recv)
        connection.sendall(words)

    with run_talker(talk) as port:
        result = post(call(f"http://127.0.0.1:{port}/"))
    assert result.code == "webhook.not_http"


def test_a_certificate_is_checked_and_an_authority_of_ones_own_can_be_trusted(
    tmp_path: Path,
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    for path, pem in zip((certificate, key), make_snakeoil("localhost"), strict=True):
        path.write_bytes(pem)

    def talk(connection: socket.socket) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        with context.wrap_socket(connection, server_side=True) as tls:
            _read_request(tls.recv)
            tls.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with run_talker(talk) as port:
        assert post(call(f"https://localhost:{port}/")).code == "webhook.untrusted"
    with run_talker(talk) as port:
        trusted = call(f"https://localhost:{port}/", authorities=certificate.read_text())
        assert post(trusted).is_good


def _read_request(receive: Callable[[int], bytes]) -> None:
    """Read to the end of the body: closing before would reset the connection."""
    seen = b""
    while not seen.endswith(b'{"a":1}'):
        seen += receive(4096)


def _drain(connection: socket.socket) -> None:
    while connection.recv(4096):
        pass
