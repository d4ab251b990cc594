"""What an authority, or whoever answers in its place, can do to the client."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from mailadmin.acme.client import AcmeFailure, Authority, transport
from mailadmin.pki.keys import KeyKind, generate_key, private_key_to_pem
from mailadmin.pki.problems import Problem
from tests.scripted_authorities import Reply, ScriptedAuthority, as_json, problem, scripted
from tests.throwaway_pki import ThrowawayCa

KEY = private_key_to_pem(generate_key(KeyKind.ECDSA_P256)).decode()


@pytest.fixture(autouse=True)
def _private_authorities(settings: Any) -> None:
    settings.IS_PRIVATE_ACME_ALLOWED = True


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[ScriptedAuthority]:
    with scripted(tmp_path) as running:
        yield running


def connect(authority: ScriptedAuthority, **options: str) -> Authority:
    wanted = {"key_pem": KEY, "ca_bundle": authority.root_pem, **options}
    return Authority(authority.directory_url, **wanted)


def refusal(ask: Callable[[], object]) -> AcmeFailure:
    with pytest.raises(AcmeFailure) as refused:
        ask()
    return refused.value


def directory_problem(authority: ScriptedAuthority, reply: Reply) -> Problem:
    authority.replies["/dir"] = reply
    with connect(authority) as client:
        return refusal(client.directory).problem


# Answers


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"<html>Log in to the Wi-Fi</html>", content_type="text/html"),
        Reply(b"[]"),
        Reply(b"{}"),
        Reply(b""),
        Reply(b"\xff\xfe"),
        Reply(b'{"newNonce": 1, "newAccount": 2, "newOrder": 3}'),
        Reply(b"[" * 100_000),
        Reply(b'{"a": ' + b"1" * 10_000 + b"}"),
    ],
)
def test_what_is_no_directory_is_said_to_be_none(
    authority: ScriptedAuthority, reply: Reply
) -> None:
    found = directory_problem(authority, reply)
    assert found.code == "ca.not_acme"
    assert found.params == {
        "host": "127.0.0.1", "status": 200, "content_type": reply.content_type,
    }  # fmt: skip


def test_an_error_page_is_refused_with_its_status(authority: ScriptedAuthority) -> None:
    page = Reply(b"<html>Bad gateway</html>", 502, content_type="text/html")
    found = directory_problem(authority, page)
    assert (found.code, found.params["status"]) == ("ca.refused", 502)


def test_a_busy_authority_says_when_to_come_back(authority: ScriptedAuthority) -> None:
    authority.replies["/dir"] = Reply(b"later", 503, {"Retry-After": "120"}, "text/plain")
    with connect(authority) as client:
        failure = refusal(client.directory)
    assert failure.problem.code == "ca.busy_until"
    assert failure.problem.params["seconds"] == 120
    assert failure.retry_after == 120
    assert directory_problem(authority, Reply(b"", 429)).code == "ca.busy"


def test_a_rate_limit_is_told_in_the_authoritys_own_words(authority: ScriptedAuthority) -> None:
    authority.replies["/orders"] = problem(
        "rateLimited", 429, detail="too many", headers={"Retry-After": "3600"}
    )
    with connect(authority, account_url="https://ca.example/1") as client:
        failure = refusal(lambda: client.new_order(["a.example.org"]))
    assert (failure.kind, failure.status, failure.retry_after) == ("rateLimited", 429, 3600)
    assert failure.problem.code == "acme.rate_limited_until"
    assert failure.problem.params["words"] == "too many"
    retry_at = datetime.fromisoformat(str(failure.problem.params["retry_at"]))
    assert retry_at - datetime.now(UTC) == pytest.approx(
        timedelta(hours=1), abs=timedelta(minutes=1)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0), ("-5", None), ("soon", None), ("", None), ("1.5", None), ("\u0663", None),
        ("99999999999999999999", 366 * 86400),
        (format_datetime(datetime(2020, 1, 1, tzinfo=UTC)), 0),
    ],
)  # fmt: skip
def test_any_retry_after_is_taken_for_what_it_is(
    authority: ScriptedAuthority, text: str, expected: float | None
) -> None:
    headers = {"Retry-After": text.encode().decode("latin-1")}
    authority.replies["/dir"] = Reply(b"", 503, headers)
    with connect(authority) as client:
        assert refusal(client.directory).retry_after == expected


def test_a_date_is_counted_from_now(authority: ScriptedAuthority) -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    authority.replies["/dir"] = Reply(b"", 503, {"Retry-After": then})
    with connect(authority) as client:
        assert refusal(client.directory).retry_after == pytest.approx(600, abs=60)


# Slow, large, and round in circles


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> float:
    """Shorten the time for an answer."""
    monkeypatch.setattr(transport, "READ_SECONDS", 0.4)
    return 0.4


def drip(greeting: bytes) -> Callable[[socket.socket], None]:
    """Return who sends a byte now and then, until nobody listens any more."""

    def send(connection: socket.socket) -> None:
        connection.sendall(greeting)
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)

    return send


@pytest.mark.parametrize(
    "greeting",
    [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{"],
    ids=["status", "header", "body"],
)
def test_one_who_sends_byte_by_byte_is_not_listened_to_for_long(
    authority: ScriptedAuthority, quick: float, greeting: bytes
) -> None:
    began = time.monotonic()
    found = directory_problem(authority, Reply(raw=drip(greeting)))
    assert found.code == "ca.timed_out"
    assert time.monotonic() - began < quick + 60


@pytest.mark.parametrize("length", [{}, {"Content-Length": "600000000"}], ids=["sent", "announced"])
def test_an_answer_without_end_is_cut_off(
    authority: ScriptedAuthority, length: dict[str, str]
) -> None:
    def flood(connection: socket.socket) -> None:
        head = "".join(f"{name}: {value}\r\n" for name, value in length.items())
        connection.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode())
        for _ in range(10_000):
            connection.sendall(b" " * 65536)

    found = directory_problem(authority, Reply(raw=flood))
    assert found.code == "ca.too_large"
    assert found.params["limit"] == 512


def test_headers_without_end_are_no_http(authority: ScriptedAuthority) -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        for number in range(10_000):
            connection.sendall(f"X-{number}: {'x' * 1000}\r\n".encode())

    assert directory_problem(authority, Reply(raw=flood)).code == "ca.bad_answer"


@pytest.mark.parametrize("sent", [b"", b"220 mail.example.org ESMTP\r\n"])
def test_what_is_no_http_is_said(authority: ScriptedAuthority, sent: bytes) -> None:
    found = directory_problem(authority, Reply(raw=lambda connection: connection.sendall(sent)))
    assert found.code == "ca.bad_answer"


def test_a_directory_may_have_moved(authority: ScriptedAuthority) -> None:
    authority.replies["/new"] = authority.replies["/dir"]
    authority.replies["/dir"] = Reply(b"", 308, {"Location": "/new"})
    with connect(authority) as client:
        assert client.directory().has_renewal_info


def test_redirections_in_a_circle_end(authority: ScriptedAuthority) -> None:
    found = directory_problem(authority, Reply(b"", 302, {"Location": "/dir"}))
    assert found.code == "ca.redirected"
    assert len(authority.requests("/dir")) == 4


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://127.0.0.1/dir", "ca.url_invalid"),
        ("file:///etc/passwd", "ca.url_invalid"),
        ("https://169.254.169.254/latest", "ca.address_refused"),
        ("https://[", "ca.redirected"),
        ("", "ca.redirected"),
    ],
)
def test_a_redirection_leads_to_no_forbidden_place(
    authority: ScriptedAuthority, location: str, code: str
) -> None:
    assert directory_problem(authority, Reply(b"", 302, {"Location": location})).code == code


def test_what_is_signed_is_sent_nowhere_else(authority: ScriptedAuthority) -> None:
    authority.replies["/account"] = Reply(b"", 307, {"Location": "https://elsewhere.example/a"})
    with connect(authority) as client:
        failure = refusal(lambda: client.register(contact="", agrees_to_terms=True))
    assert failure.problem.code == "ca.redirected"
    assert failure.problem.params["target"] == "https://elsewhere.example/a"


# Getting there


@pytest.mark.parametrize(
    "url",
    [
        "", "http://ca.example/dir", "https://", "https:///dir", "ca.example", "https://[::1/dir",
        "https://user:pass@ca.example/dir", "https://ca.example:99999/dir", "https://ca.example:0/",
        "https://ca.example/ dir", "https://ca.example/\r\nX: y", "https://cä.example/dir",
    ],
)  # fmt: skip
def test_only_a_url_of_https_is_asked(url: str) -> None:
    failure = refusal(Authority(url, key_pem=KEY).directory)
    assert failure.problem.code == "ca.url_invalid"


def resolving_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """Let every name lead to these addresses; returns the list of names that were looked up."""
    looked_up: list[str] = []
    really = socket.getaddrinfo

    def resolve(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        if host.replace(".", "").isdecimal():  # as the connection is made
            return list(really(host, port, *args, **options))
        looked_up.append(host)
        return [(None, None, None, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return looked_up


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "fd00::1", "192.168.1.1"])
def test_the_own_network_is_asked_only_if_that_is_set(
    settings: Any, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    settings.IS_PRIVATE_ACME_ALLOWED = False
    resolving_to(monkeypatch, address)
    failure = refusal(Authority("https://ca.example/dir", key_pem=KEY).directory)
    assert failure.problem.code == "ca.address_refused"
    assert failure.problem.params == {"host": "ca.example", "address": address}


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1"])  # noqa: S104
def test_some_addresses_are_never_asked(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    resolving_to(monkeypatch, address)
    failure = refusal(Authority("https://ca.example/dir", key_pem=KEY).directory)
    assert failure.problem.code == "ca.address_refused"


def test_a_name_is_looked_up_once_for_one_connection(
    authority: ScriptedAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up = resolving_to(monkeypatch, "127.0.0.1")
    url = f"https://localhost:{authority.port}/dir"
    with Authority(url, key_pem=KEY, ca_bundle=authority.root_pem) as client:
        client.directory()
    assert looked_up == ["localhost"]


def test_a_name_that_nobody_has_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_args: object, **_options: object) -> list[Any]:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    failure = refusal(Authority("https://ca.invalid/dir", key_pem=KEY).directory)
    assert failure.problem == Problem("ca.name_unknown", params={"host": "ca.invalid"})


def test_a_resolver_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: is_over.wait(120) and [])
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.2)
    failure = refusal(Authority("https://ca.example/dir", key_pem=KEY).directory)
    is_over.set()
    assert failure.problem.code == "ca.timed_out"


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Take one connection and treat it so; yields a directory URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            connection, _address = listener.accept()
            with connection:
                serve(connection)

        threading.Thread(target=take, daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/dir"


def test_one_who_never_shakes_hands_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.3)
    is_over = threading.Event()
    began = time.monotonic()
    with listening(lambda _connection: is_over.wait(120) and None) as url:
        failure = refusal(Authority(url, key_pem=KEY).directory)
        is_over.set()
    assert failure.problem.code == "ca.timed_out"
    assert time.monotonic() - began < 60


def test_one_who_speaks_no_tls_is_said() -> None:
    with listening(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")) as url:
        failure = refusal(Authority(url, key_pem=KEY).directory)
    assert failure.problem.code == "ca.tls_failed"
    assert failure.problem.params["detail"]


def test_a_certificate_of_an_unknown_root_is_not_trusted(authority: ScriptedAuthority) -> None:
    other = ThrowawayCa("Another root").root_pem.decode()
    for bundle in ("", other):
        with connect(authority, ca_bundle=bundle) as client:
            failure = refusal(client.directory)
        assert failure.problem.code == "ca.untrusted"
        assert "issuer certificate" in str(failure.problem.params["detail"])


@pytest.mark.parametrize("bundle", ["no certificate", "\u00e4", "-----BEGIN CERTIFICATE-----\nAA"])
def test_a_bundle_that_holds_no_certificate_is_refused(bundle: str) -> None:
    with pytest.raises(AcmeFailure) as refused:
        Authority("https://ca.example/dir", key_pem=KEY, ca_bundle=bundle)
    assert refused.value.problem.code == "ca.bundle_invalid"


def test_nobody_listening_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{taken.getsockname()[1]}/dir"
        failure = refusal(Authority(url, key_pem=KEY).directory)
    assert failure.problem == Problem(
        "ca.unreachable", params={"host": "127.0.0.1", "detail": "Connection refused"}
    )


def test_proxies_of_the_environment_are_not_used(
    authority: ScriptedAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with connect(authority) as client:
        assert client.directory().urls


# Connections


def test_one_connection_serves_many_requests(authority: ScriptedAuthority) -> None:
    authority.replies["/account/1"] = as_json({"status": "valid"})
    with connect(authority) as client:
        client.register(contact="", agrees_to_terms=True)
        client.update_contact("a@example.org")
    assert len(authority.asked) == 4
    assert authority.connections == 1


def test_a_connection_that_was_closed_is_opened_again(authority: ScriptedAuthority) -> None:
    order = {"status": "pending", "authorizations": [], "finalize": "https://ca.example/f"}
    authority.replies["/o"] = as_json(order, Connection="close")
    with connect(authority, account_url="https://ca.example/1") as client:
        for _ in range(3):
            assert client.read_order(authority.url("/o")).status == "pending"
    assert authority.connections == 3


def test_a_connection_that_dies_without_a_word_is_opened_again(
    authority: ScriptedAuthority,
) -> None:
    hung_up = threading.Event()

    def answer_and_hang_up(connection: socket.socket) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nReplay-Nonce: bm9uY2U\r\nContent-Length: 2\r\n\r\n{}"
        )
        connection.shutdown(socket.SHUT_RDWR)
        hung_up.set()

    authority.replies["/account/1"] = Reply(raw=answer_and_hang_up)
    with connect(authority) as client:
        client.register(contact="", agrees_to_terms=True)
        client.update_contact("a@example.org")
        assert hung_up.wait(60)
        client.update_contact("b@example.org")
    assert authority.connections == 2


def test_after_a_failure_nothing_of_it_is_left_in_the_way(authority: ScriptedAuthority) -> None:
    authority.replies["/account/1"] = [
        Reply(b"x" * 600_000),
        as_json({"status": "valid"}),
    ]
    with connect(authority) as client:
        client.register(contact="", agrees_to_terms=True)
        assert refusal(lambda: client.update_contact("")).problem.code == "ca.too_large"
        client.update_contact("")


# What is not shown


def test_no_secret_is_in_a_failure_or_a_log(
    authority: ScriptedAuthority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "c2VjcmV0LWtleS1vZi0zMi1ieXRlcy0uLi4uLi4u"
    authority.replies["/account"] = problem("badNonce", 400, detail="bad nonce: bm9uY2U")
    with connect(authority) as client:
        failure = refusal(
            lambda: client.register(contact="", agrees_to_terms=True, eab=("kid-1", secret))
        )
    assert failure.problem.code == "ca.nonces_refused"
    assert len(authority.requests("/account")) == 20
    shown = f"{failure!r} {failure.problem.as_dict()} {caplog.text} {vars(failure)}"
    for hidden in (secret, "bm9uY2U", KEY[60:100]):
        assert hidden not in shown


@pytest.mark.parametrize("key", ["", "not base64!", "a", "ä", "YQ== YQ=="])
def test_an_external_key_that_is_none_is_said_before_anything_is_sent(
    authority: ScriptedAuthority, key: str
) -> None:
    with connect(authority) as client:
        failure = refusal(
            lambda: client.register(contact="", agrees_to_terms=True, eab=("kid", key))
        )
    assert failure.problem == Problem("ca.eab_key_invalid")
    assert not authority.requests("/account")


@pytest.mark.parametrize("kind", [KeyKind.RSA_2048, KeyKind.ECDSA_P384])
def test_what_is_printed_of_a_key_is_nothing(kind: KeyKind) -> None:
    pem = private_key_to_pem(generate_key(kind)).decode()
    client = Authority("https://ca.example/dir", key_pem=pem)
    assert repr(client._key) == "<AccountKey>"


@pytest.mark.parametrize("pem", ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nAA==\n"])
def test_a_key_that_is_none_is_refused(pem: str) -> None:
    with pytest.raises(AcmeFailure) as refused:
        Authority("https://ca.example/dir", key_pem=pem)
    assert refused.value.problem.code == "ca.key_unusable"
