"""The probe writes down what a port shows, however oddly it behaves, and never hangs on it."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailadmin.agent import probe as probe_module
from mailadmin.agent.probe import probe, probe_all
from mailadmin.mailconf import proof
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.services import TlsMode
from tests.states import Material, make_material

ADDRESS = "127.0.0.1"
EHLO = b"250-fake\r\n250-STARTTLS\r\n250 PIPELINING\r\n"
MUST_STARTTLS = b"530 5.7.0 Must issue a STARTTLS command first\r\n"
NEED_LOGIN = b"530 5.7.0 <>: Sender address rejected: Authentication required\r\n"


class Peer:
    """The server's end of one connection, as a script drives it."""

    def __init__(self, connection: socket.socket, material: Material, folder: Path) -> None:
        self.connection = connection
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pem = folder / "server.pem"
        pem.write_text(material.bundle)
        self._context.load_cert_chain(pem)

    def say(self, *lines: bytes) -> None:
        for line in lines:
            self.connection.sendall(line)

    def hear(self) -> bytes:
        heard = b""
        while not heard.endswith(b"\n"):
            part = self.connection.recv(1)
            if not part:
                break
            heard += part
        return heard

    def answer(self, *answers: bytes) -> None:
        """Hear a line and answer it, for every answer."""
        for text in answers:
            self.hear()
            self.say(text)

    def start_tls(self) -> None:
        self.connection = self._context.wrap_socket(self.connection, server_side=True)

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


Script = Callable[[Peer], None]
USUAL_END = probe_module._LONGEST_VISIT


@pytest.fixture(scope="module")
def material() -> Material:
    return make_material("served", ("mail.example.test", "imap.example.test"))


@pytest.fixture
def visit(tmp_path: Path, material: Material) -> Iterator[Callable[..., Seen]]:
    """Return a function that probes a server which follows a script, once."""
    threads: list[threading.Thread] = []

    def visit_once(service: str, mode: TlsMode, script: Script, sni_name: str = "") -> Seen:
        listener = socket.socket()
        listener.bind((ADDRESS, 0))
        listener.listen()
        port = int(listener.getsockname()[1])

        def serve_one() -> None:
            with listener:
                connection, _ = listener.accept()
                connection.settimeout(60)
                peer = Peer(connection, material, tmp_path)
                try:
                    script(peer)
                except OSError:
                    pass  # the probe had seen enough
                finally:
                    peer.connection.close()

        thread = threading.Thread(target=serve_one)
        thread.start()
        threads.append(thread)
        return probe(Expectation(service, ADDRESS, port, True, mode, sni_name))

    yield visit_once
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every wait of the probe be short."""
    monkeypatch.setattr(probe_module, "_TIMEOUT", 0.2)


def submission(*, reply: bytes = NEED_LOGIN, rest: tuple[bytes, ...] = ()) -> Script:
    """Return a 587 that behaves, and answers ``reply`` to mail without login."""

    def script(peer: Peer) -> None:
        peer.say(b"220 fake ESMTP\r\n")
        peer.answer(EHLO, MUST_STARTTLS, b"250 ok\r\n", b"220 go on\r\n")
        peer.start_tls()
        peer.answer(b"250 fake\r\n", reply, *rest, b"221 bye\r\n")

    return script


def judged(seen: Seen, service: str, mode: TlsMode, fingerprint: str = "") -> list[str]:
    """Return the codes of what the judge says about it."""
    expected = Expectation(service, seen.address, seen.port, True, mode, seen.sni_name, fingerprint)
    return [problem.code for problem in proof.judge(expected, seen)]


# What behaves


def test_submission_shows_its_certificate_and_its_refusals(
    visit: Callable[..., Seen], material: Material
) -> None:
    seen = visit("submission", TlsMode.STARTTLS, submission())
    assert seen.error == ""
    assert seen.fingerprint == material.certificate.fingerprint
    assert seen.tls_version == "TLSv1.3"
    assert seen.reply_without_tls == MUST_STARTTLS.decode().strip()
    assert seen.reply_without_login == NEED_LOGIN.decode().strip()
    assert seen.is_starttls_offered
    assert seen.is_clear_login_offered is False
    assert [item["label"] for item in seen.chain] == ["Throwaway Root Intermediate 1"]
    assert seen.certificate["names"] == ["mail.example.test", "imap.example.test"]
    assert seen.dialogue[0] == ("server", "220 fake ESMTP")
    assert ("client", "STARTTLS") in seen.dialogue
    fingerprint = material.certificate.fingerprint
    assert judged(seen, "submission", TlsMode.STARTTLS, fingerprint) == []
    assert judged(seen, "submission", TlsMode.STARTTLS, "0" * 64) == ["probe.other_certificate"]


def test_a_refusal_at_rcpt_counts_as_a_refusal(visit: Callable[..., Seen]) -> None:
    denied = b"554 5.7.1 Access denied\r\n"
    seen = visit("submission", TlsMode.STARTTLS, submission(reply=b"250 ok\r\n", rest=(denied,)))
    assert seen.reply_without_login == "554 5.7.1 Access denied"
    assert judged(seen, "submission", TlsMode.STARTTLS) == []


def test_mail_taken_without_login_is_seen(visit: Callable[..., Seen]) -> None:
    taken = submission(reply=b"250 ok\r\n", rest=(b"250 ok\r\n",))
    seen = visit("submission", TlsMode.STARTTLS, taken)
    assert judged(seen, "submission", TlsMode.STARTTLS) == ["probe.mail_without_login"]


def test_implicit_tls_is_spoken_from_the_first_byte(
    visit: Callable[..., Seen], material: Material
) -> None:
    def script(peer: Peer) -> None:
        peer.start_tls()
        peer.say(b"220-fake\r\n220 ESMTP\r\n")
        peer.answer(b"250 fake\r\n", NEED_LOGIN, b"221 bye\r\n")

    seen = visit("submissions", TlsMode.IMPLICIT, script)
    assert seen.fingerprint == material.certificate.fingerprint
    assert seen.reply_without_login.startswith("530 5.7.0")
    assert seen.reply_without_tls == ""


def test_the_name_asked_for_is_sent(visit: Callable[..., Seen]) -> None:
    asked: list[str | None] = []

    def script(peer: Peer) -> None:
        peer._context.sni_callback = lambda _, name, __: asked.append(name)
        peer.start_tls()
        peer.say(b"* OK ready\r\n")
        peer.answer(b"* BYE\r\n")

    visit("imaps", TlsMode.IMPLICIT, script, "imap.example.test")
    visit("imaps", TlsMode.IMPLICIT, script)
    assert asked == ["imap.example.test", None]


def imap(capabilities: bytes, *more: bytes) -> Script:
    def script(peer: Peer) -> None:
        peer.say(b"* OK [CAPABILITY IMAP4rev1] ready\r\n")
        peer.answer(b"* CAPABILITY " + capabilities + b"\r\na1 OK done\r\n")
        if more:
            peer.answer(*more)
        if more[:1] == (b"a2 OK begin\r\n",):
            peer.start_tls()
            peer.answer(b"* BYE\r\n")

    return script


def test_imap_is_upgraded(visit: Callable[..., Seen], material: Material) -> None:
    script = imap(b"IMAP4rev1 STARTTLS LOGINDISABLED", b"a2 OK begin\r\n")
    seen = visit("imap", TlsMode.STARTTLS, script)
    assert (seen.error, seen.fingerprint) == ("", material.certificate.fingerprint)
    assert seen.is_clear_login_offered is False
    assert judged(seen, "imap", TlsMode.STARTTLS) == []


def test_a_password_in_clear_on_imap_is_seen(visit: Callable[..., Seen]) -> None:
    script = imap(b"IMAP4rev1 STARTTLS AUTH=PLAIN", b"a2 OK begin\r\n")
    seen = visit("imap", TlsMode.STARTTLS, script)
    assert seen.is_clear_login_offered
    assert judged(seen, "imap", TlsMode.STARTTLS) == ["probe.login_in_clear"]


def test_imap_that_need_not_be_encrypted_is_not_upgraded(visit: Callable[..., Seen]) -> None:
    seen = visit("imap", TlsMode.NONE, imap(b"IMAP4rev1 AUTH=PLAIN", b"* BYE\r\n"))
    assert (seen.error, seen.fingerprint, seen.is_starttls_offered) == ("", "", False)
    assert judged(seen, "imap", TlsMode.NONE) == []


def test_imap_without_starttls_is_seen(visit: Callable[..., Seen]) -> None:
    seen = visit("imap", TlsMode.STARTTLS, imap(b"IMAP4rev1 LOGINDISABLED", b"* BYE\r\n"))
    assert seen.error == "probe.starttls_missing"


def test_imap_that_refuses_starttls_is_seen(visit: Callable[..., Seen]) -> None:
    script = imap(b"IMAP4rev1 STARTTLS", b"a2 NO TLS not available\r\n", b"* BYE\r\n")
    seen = visit("imap", TlsMode.STARTTLS, script)
    assert (seen.error, seen.error_text) == ("probe.tls_failed", "a2 NO TLS not available")


def pop3(capabilities: bytes, *more: bytes) -> Script:
    def script(peer: Peer) -> None:
        peer.say(b"+OK ready\r\n")
        peer.answer(b"+OK\r\n" + capabilities + b".\r\n", *more)
        if more[:1] == (b"+OK begin\r\n",):
            peer.start_tls()
            peer.answer(b"+OK bye\r\n")

    return script


@pytest.mark.parametrize(
    ("capabilities", "is_clear"),
    [(b"STLS\r\n", False), (b"STLS\r\nUSER\r\n", True), (b"STLS\r\nSASL PLAIN\r\n", True)],
)
def test_pop3_is_upgraded_and_a_password_in_clear_is_seen(
    visit: Callable[..., Seen], material: Material, capabilities: bytes, is_clear: bool
) -> None:
    seen = visit("pop3", TlsMode.STARTTLS, pop3(capabilities, b"+OK begin\r\n"))
    assert (seen.error, seen.fingerprint) == ("", material.certificate.fingerprint)
    assert seen.is_clear_login_offered is is_clear


def test_pop3_that_refuses_stls_is_seen(visit: Callable[..., Seen]) -> None:
    seen = visit("pop3", TlsMode.STARTTLS, pop3(b"STLS\r\n", b"-ERR no TLS\r\n", b"+OK\r\n"))
    assert (seen.error, seen.error_text) == ("probe.tls_failed", "-ERR no TLS")


def test_pop3_without_capabilities_is_seen(visit: Callable[..., Seen]) -> None:
    def script(peer: Peer) -> None:
        peer.say(b"+OK ready\r\n")
        peer.answer(b"-ERR unknown command\r\n", b"+OK bye\r\n")

    assert visit("pop3", TlsMode.STARTTLS, script).error == "probe.starttls_missing"


def sieve(*capabilities: bytes) -> bytes:
    return b"".join(line + b"\r\n" for line in (b'"IMPLEMENTATION" "fake"', *capabilities))


@pytest.mark.parametrize(("sasl", "is_clear"), [(b'"SASL" ""', False), (b'"SASL" "PLAIN"', True)])
def test_managesieve_is_upgraded_and_a_password_in_clear_is_seen(
    visit: Callable[..., Seen], material: Material, sasl: bytes, is_clear: bool
) -> None:
    def script(peer: Peer) -> None:
        peer.say(sieve(sasl, b'"STARTTLS"', b'OK "ready"'))
        peer.answer(b'OK "begin"\r\n')
        peer.start_tls()
        peer.say(sieve(b'OK "secured"'))
        peer.answer(b"OK\r\n")

    seen = visit("sieve", TlsMode.STARTTLS, script)
    assert (seen.error, seen.fingerprint) == ("", material.certificate.fingerprint)
    assert seen.is_clear_login_offered is is_clear


def test_managesieve_that_says_bye_is_not_managesieve(visit: Callable[..., Seen]) -> None:
    seen = visit("sieve", TlsMode.STARTTLS, lambda peer: peer.say(b'BYE "too many"\r\n'))
    assert (seen.error, seen.error_text) == ("probe.wrong_greeting", 'BYE "too many"')


# What does not behave


def test_a_refused_connection_is_closed() -> None:
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        port = int(free.getsockname()[1])
        seen = probe(Expectation("imaps", ADDRESS, port, True, TlsMode.IMPLICIT))
    assert not seen.is_open
    assert (seen.error, seen.error_text) == ("probe.closed", "Connection refused")


def test_a_port_that_should_be_closed_is_not_spoken_to() -> None:
    heard: list[bytes] = []
    with socket.socket() as listener:
        listener.bind((ADDRESS, 0))
        listener.listen()
        port = int(listener.getsockname()[1])
        seen = probe(Expectation("imaps", ADDRESS, port, False, TlsMode.IMPLICIT))
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(60)
            heard.append(connection.recv(100))
    assert seen.is_open
    assert heard == [b""]


@pytest.mark.parametrize("service", ["smtp", "submission", "imap", "pop3", "sieve"])
@pytest.mark.usefixtures("impatient")
def test_silence_is_given_up(visit: Callable[..., Seen], service: str) -> None:
    seen = visit(service, TlsMode.STARTTLS, lambda peer: peer.hear() and None)
    assert seen.is_open
    assert seen.error == "probe.timeout"


@pytest.mark.usefixtures("impatient")
def test_silence_where_a_handshake_should_be_is_given_up(visit: Callable[..., Seen]) -> None:
    def script(peer: Peer) -> None:
        while peer.connection.recv(1000):
            pass

    assert visit("imaps", TlsMode.IMPLICIT, script).error in {"probe.timeout", "probe.tls_failed"}


def test_an_answer_a_letter_at_a_time_is_given_up(
    visit: Callable[..., Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_module, "_LONGEST_VISIT", 0.3)

    def script(peer: Peer) -> None:
        while True:
            peer.say(b"2")
            time.sleep(0.02)

    started = time.monotonic()
    assert visit("smtp", TlsMode.STARTTLS, script).error == "probe.timeout"
    # Sooner than the usual end of a visit, on a busy machine too.
    assert time.monotonic() - started < USUAL_END


def test_whoever_has_little_time_waits_for_less(
    visit: Callable[..., Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = probe_module.probe
    monkeypatch.setattr(
        f"{__name__}.probe",
        lambda expected, **named: patient(expected, patience=0.1, **named),
    )

    def script(peer: Peer) -> None:
        while True:
            peer.say(b"2")
            time.sleep(0.02)

    started = time.monotonic()
    assert visit("smtp", TlsMode.STARTTLS, script).error == "probe.timeout"
    # Sooner than the usual end of a visit, on a busy machine too.
    assert time.monotonic() - started < USUAL_END


@pytest.mark.parametrize("service", ["smtp", "imap", "pop3", "sieve"])
@pytest.mark.parametrize(
    "greeting", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\xff\xfe\x00\r\n", b"\r\n", b"HTTP/1.1 400 Bad\r\n"]
)
def test_another_protocol_is_seen(
    visit: Callable[..., Seen], service: str, greeting: bytes
) -> None:
    seen = visit(service, TlsMode.STARTTLS, lambda peer: peer.say(greeting))
    assert seen.error in {"probe.wrong_greeting", "probe.tls_failed"}
    assert judged(seen, service, TlsMode.STARTTLS) == [seen.error]


def test_a_server_that_is_full_is_seen(visit: Callable[..., Seen]) -> None:
    words = "421 4.7.0 mail.example.test Error: too many connections from 192.0.2.1"
    seen = visit("smtp", TlsMode.STARTTLS, lambda peer: peer.say(words.encode() + b"\r\n"))
    assert (seen.error, seen.error_text) == ("probe.too_many", words)


def test_a_server_that_is_closing_is_seen(visit: Callable[..., Seen]) -> None:
    seen = visit("smtp", TlsMode.STARTTLS, lambda peer: peer.say(b"421 4.3.2 shutting down\r\n"))
    assert (seen.error, seen.error_text) == ("probe.wrong_greeting", "421 4.3.2 shutting down")


def test_an_endless_line_is_cut(visit: Callable[..., Seen]) -> None:
    def script(peer: Peer) -> None:
        while True:
            peer.say(b"x" * 65536)

    seen = visit("smtp", TlsMode.STARTTLS, script)
    assert (seen.error, seen.error_text) == ("probe.wrong_greeting", "endless line")


def test_endless_lines_are_cut(visit: Callable[..., Seen]) -> None:
    def script(peer: Peer) -> None:
        while True:
            peer.say(b"250-more\r\n" * 100)

    seen = visit("smtp", TlsMode.STARTTLS, script)
    assert len(seen.dialogue) < 1000
    assert seen.error


def test_a_long_line_is_shown_cut(visit: Callable[..., Seen]) -> None:
    def script(peer: Peer) -> None:
        peer.say(b"220 " + b"x" * 10_000 + b"\r\n")
        peer.answer(b"250 fake\r\n", b"250 ok\r\n", b"250 ok\r\n", b"221 bye\r\n")

    seen = visit("smtp", TlsMode.NONE, script)
    assert seen.error == ""
    assert max(len(text) for _, text in seen.dialogue) == 4096


def test_a_reset_in_the_handshake_is_how_a_daemon_says_it_has_no_key(
    visit: Callable[..., Seen],
) -> None:
    def script(peer: Peer) -> None:
        peer.connection.recv(10)
        peer.reset()

    seen = visit("submissions", TlsMode.IMPLICIT, script)
    assert seen.error == "probe.tls_failed"
    assert "reset" in seen.error_text.lower()


def test_a_handshake_that_ends_early_is_seen(visit: Callable[..., Seen]) -> None:
    def script(peer: Peer) -> None:
        peer.connection.recv(10_000)

    assert visit("imaps", TlsMode.IMPLICIT, script).error == "probe.tls_failed"


def test_plain_text_where_a_handshake_should_be_is_seen(visit: Callable[..., Seen]) -> None:
    def script(peer: Peer) -> None:
        peer.say(b"* OK this is not TLS\r\n")
        peer.hear()

    seen = visit("imaps", TlsMode.IMPLICIT, script)
    assert (seen.error, seen.error_text) == ("probe.tls_failed", "wrong version number")


def test_starttls_refused_is_how_postfix_says_it_has_no_key(visit: Callable[..., Seen]) -> None:
    def script(peer: Peer) -> None:
        peer.say(b"220 fake ESMTP\r\n")
        refusal = b"454 4.7.0 TLS not available due to local problem\r\n"
        peer.answer(EHLO, b"250 ok\r\n", b"250 ok\r\n", refusal, b"221 bye\r\n")

    seen = visit("smtp", TlsMode.STARTTLS, script)
    assert seen.error == "probe.tls_failed"
    assert seen.error_text == "454 4.7.0 TLS not available due to local problem"
    assert seen.reply_without_login == ""


def test_starttls_that_is_not_offered_is_seen(visit: Callable[..., Seen]) -> None:
    def script(peer: Peer) -> None:
        peer.say(b"220 fake ESMTP\r\n")
        peer.answer(b"250-fake\r\n250 AUTH PLAIN\r\n", *[b"250 ok\r\n"] * 2, b"221 bye\r\n")

    seen = visit("submission", TlsMode.STARTTLS, script)
    assert seen.error == "probe.starttls_missing"
    assert seen.is_clear_login_offered
    codes = judged(seen, "submission", TlsMode.STARTTLS)
    assert codes == ["probe.starttls_missing", "probe.login_in_clear", "probe.tls_not_required"]


def test_a_25_that_demands_tls_is_seen(visit: Callable[..., Seen]) -> None:
    def script(peer: Peer) -> None:
        peer.say(b"220 fake ESMTP\r\n")
        peer.answer(EHLO, MUST_STARTTLS, b"250 ok\r\n", b"220 go on\r\n")
        peer.start_tls()
        peer.answer(b"250 fake\r\n", b"221 bye\r\n")

    seen = visit("smtp", TlsMode.STARTTLS, script)
    assert judged(seen, "smtp", TlsMode.STARTTLS) == ["probe.tls_required"]


def test_what_was_said_before_tls_does_not_count_inside(visit: Callable[..., Seen]) -> None:
    """A reply slipped in behind the 220 (CVE-2011-0411) is not read as an answer inside TLS."""

    def script(peer: Peer) -> None:
        peer.say(b"220 fake ESMTP\r\n")
        peer.answer(EHLO, MUST_STARTTLS, b"250 ok\r\n", b"220 go on\r\n250 slipped in\r\n")
        peer.start_tls()
        peer.answer(b"250 inside\r\n", NEED_LOGIN, b"221 bye\r\n")

    seen = visit("submission", TlsMode.STARTTLS, script)
    replies = [text for _, text in seen.dialogue]
    assert "250 slipped in" not in replies
    assert seen.reply_without_login.startswith("530") or seen.error == "probe.tls_failed"


def test_hanging_up_instead_of_a_goodbye_is_no_fault(visit: Callable[..., Seen]) -> None:
    def script(peer: Peer) -> None:
        peer.start_tls()
        peer.say(b"* OK ready\r\n")
        peer.hear()
        peer.reset()

    assert visit("imaps", TlsMode.IMPLICIT, script).error == ""


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".test", ".", "é" * 300])
def test_a_name_that_cannot_be_asked_for_is_seen(visit: Callable[..., Seen], name: str) -> None:
    seen = visit("imaps", TlsMode.IMPLICIT, lambda peer: peer.start_tls(), name)
    assert seen.error in {"probe.tls_failed", "probe.closed"}


def test_many_ports_are_answered_in_order() -> None:
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        port = int(free.getsockname()[1])
        expected = [
            Expectation("imaps", ADDRESS, port, False, TlsMode.IMPLICIT, f"n{number}")
            for number in range(20)
        ]
        seen = probe_all(expected)
    assert [item.sni_name for item in seen] == [item.sni_name for item in expected]
