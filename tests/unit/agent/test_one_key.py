"""A client that knows one kind of key: what it is shown, and that nothing keeps it waiting."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailadmin.agent.one_key import OneKeyConnection
from mailadmin.agent.probe import probe
from mailadmin.mailconf.proof import Expectation
from mailadmin.mailconf.services import TlsMode
from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.keys import KeyAlgorithm, KeyKind
from tests.states import Material, make_material

ADDRESS = "127.0.0.1"
Serve = Callable[[socket.socket], None]
RSA, ECDSA = KeyAlgorithm.RSA, KeyAlgorithm.ECDSA


@pytest.fixture(scope="module")
def materials() -> dict[KeyAlgorithm, Material]:
    return {
        RSA: make_material("rsa", kind=KeyKind.RSA_2048),
        ECDSA: make_material("ecdsa", kind=KeyKind.ECDSA_P384),
    }


@pytest.fixture
def connect() -> Iterator[Callable[[Serve], socket.socket]]:
    """Return a function that connects to a server which does what it is told, once."""
    threads: list[threading.Thread] = []
    opened: list[socket.socket] = []

    def connect_once(serve: Serve) -> socket.socket:
        listener = socket.create_server((ADDRESS, 0))

        def serve_one() -> None:
            with listener:
                connection, _ = listener.accept()
            connection.settimeout(60)
            try:
                serve(connection)
            except OSError:
                pass  # the client had seen enough
            finally:
                connection.close()

        thread = threading.Thread(target=serve_one)
        thread.start()
        threads.append(thread)
        client = socket.create_connection(listener.getsockname(), timeout=60)
        opened.append(client)
        return client

    yield connect_once
    for client in opened:
        client.close()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def echo(folder: Path, *materials: Material, version: ssl.TLSVersion) -> Serve:
    """Return a server with these certificates that says back one line, and the name asked for."""
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = context.minimum_version = version
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    for number, material in enumerate(materials):
        pem = folder / f"{number}.pem"
        pem.write_text(material.bundle)
        context.load_cert_chain(pem)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            heard = secured.recv(100)
            secured.sendall(heard + str(asked[0]).encode())

    return serve


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("algorithm", list(KeyAlgorithm))
@pytest.mark.parametrize("order", [(RSA, ECDSA), (ECDSA, RSA)])
def test_of_two_certificates_the_one_of_its_kind_is_shown(
    connect: Callable[[Serve], socket.socket],
    materials: dict[KeyAlgorithm, Material],
    tmp_path: Path,
    version: ssl.TLSVersion,
    algorithm: KeyAlgorithm,
    order: tuple[KeyAlgorithm, ...],
) -> None:
    serve = echo(tmp_path, *(materials[item] for item in order), version=version)
    client = OneKeyConnection(connect(serve), algorithm, "mail.example.test")
    leaf, *chain = map(read_certificate, client.presented())
    assert leaf.fingerprint == materials[algorithm].certificate.fingerprint
    assert [item.pem.strip() for item in chain] == [
        materials[algorithm].certificate.chain_pem.strip()
    ]
    assert client.version() == version.name.replace("_", ".")
    assert client.cipher()[0]
    client.sendall(b"hello ")
    assert client.recv(100) == b"hello mail.example.test"
    assert client.recv(100) == b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(("served", "wanted"), [(RSA, ECDSA), (ECDSA, RSA)])
def test_a_server_without_its_kind_is_a_failed_handshake(
    connect: Callable[[Serve], socket.socket],
    materials: dict[KeyAlgorithm, Material],
    tmp_path: Path,
    version: ssl.TLSVersion,
    served: KeyAlgorithm,
    wanted: KeyAlgorithm,
) -> None:
    with pytest.raises(OSError, match=r"handshake failure|closed"):
        OneKeyConnection(connect(echo(tmp_path, materials[served], version=version)), wanted)


def test_no_host_name_is_asked_for_unless_there_is_one(
    connect: Callable[[Serve], socket.socket],
    materials: dict[KeyAlgorithm, Material],
    tmp_path: Path,
) -> None:
    serve = echo(tmp_path, materials[RSA], version=ssl.TLSVersion.TLSv1_3)
    client = OneKeyConnection(connect(serve), RSA)
    client.sendall(b"x")
    assert client.recv(100) == b"xNone"


def test_whoever_hangs_up_in_the_handshake_is_told(
    connect: Callable[[Serve], socket.socket],
) -> None:
    with pytest.raises(OSError, match=r"closed|reset"):
        OneKeyConnection(connect(lambda connection: connection.close()), RSA)


def test_what_is_no_tls_is_told(connect: Callable[[Serve], socket.socket]) -> None:
    with pytest.raises(OSError, match=r"\w"):
        OneKeyConnection(connect(lambda connection: connection.sendall(b"220 hello\r\n" * 9)), RSA)


def test_whoever_says_nothing_is_waited_for_only_so_long(
    connect: Callable[[Serve], socket.socket],
) -> None:
    released = threading.Event()
    client = connect(lambda _connection: released.wait(60) and None)
    client.settimeout(0.1)
    with pytest.raises(TimeoutError):
        OneKeyConnection(client, RSA)
    released.set()


def test_a_handshake_a_byte_at_a_time_ends_in_time(
    connect: Callable[[Serve], socket.socket],
) -> None:
    """Each byte is in time; the handshake as a whole is not."""

    def trickle(connection: socket.socket) -> None:
        # The head of a record of 16 KiB that never comes to its end.
        for byte in b"\x16\x03\x03\x40\x00" + bytes(1000):
            connection.sendall(bytes((byte,)))
            time.sleep(0.02)

    client = connect(trickle)
    client.settimeout(0.3)
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        OneKeyConnection(client, RSA)
    # All the bytes take twenty.
    assert time.monotonic() - begun < 10
    client.close()


def test_the_probe_holds_its_whole_conversation_as_such_a_client(
    connect: Callable[[Serve], socket.socket],
    materials: dict[KeyAlgorithm, Material],
    tmp_path: Path,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for number, material in enumerate(materials.values()):
        pem = tmp_path / f"both-{number}.pem"
        pem.write_text(material.bundle)
        context.load_cert_chain(pem)

    def imap(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.sendall(b"* OK ready\r\n")
            secured.recv(100)
            secured.sendall(b"* BYE gone\r\n")

    for algorithm in KeyAlgorithm:
        with socket.create_server((ADDRESS, 0)) as listener:
            port = int(listener.getsockname()[1])
            thread = threading.Thread(target=lambda: imap(listener.accept()[0]))
            thread.start()
            expected = Expectation(
                "imaps", ADDRESS, port, True, TlsMode.IMPLICIT, key_algorithm=algorithm
            )
            seen = probe(expected)
            thread.join(10)
        assert seen.key == expected.key
        assert seen.error == ""
        assert seen.fingerprint == materials[algorithm].certificate.fingerprint
        assert [item["fingerprint"] for item in seen.chain] != []
        assert seen.dialogue[-1] == ("server", "* BYE gone")
