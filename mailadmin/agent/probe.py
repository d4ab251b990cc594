"""Talk to a port as a client would, and write down what it shows. Judges nothing.

Certificates are read, not verified: what is served must be seen even if nobody should trust it.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from mailadmin.agent.one_key import OneKeyConnection
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.services import Protocol, TlsMode
from mailadmin.pki.certificate import CertificateFacts, CertificateProblem, read_certificate
from mailadmin.pki.keys import KeyAlgorithm

# Few at a time: Postfix counts connections per client (smtpd_client_connection_count_limit 50).
_AT_ONCE = 8
_TIMEOUT = 5.0
# For the whole of one conversation: whatever holds the port may answer a letter at a time.
_LONGEST_VISIT = 15.0
_LONGEST_LINE = 4096
_SHOWN_NAMES = 20
_CLIENT_NAME = "probe.mailadmin.invalid"
_DONE = re.compile(r"(?i)^(OK|NO|BYE)\b")


def probe_all(
    expected: Sequence[Expectation], *, is_thorough: bool = True, patience: float | None = None
) -> list[Seen]:
    """Connect to every port, a few at a time; the order of the answers is that of the questions.

    A thorough look holds the whole conversation; a quick one stops at the certificate.
    ``patience`` is how many seconds a server may take for each of its answers, if not the usual
    ones; a whole visit lasts about three times as long at the most.
    """

    def look(item: Expectation) -> Seen:
        return probe(item, is_thorough=is_thorough, patience=patience)

    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        return list(pool.map(look, expected))


def probe(
    expected: Expectation, *, is_thorough: bool = True, patience: float | None = None
) -> Seen:
    """Connect to one port. Never raises: what goes wrong is part of what was seen."""
    started = time.monotonic()
    seen = Seen(
        expected.service,
        expected.address,
        expected.port,
        expected.sni_name,
        key_algorithm=expected.key_algorithm,
    )
    try:
        with socket.create_connection(expected.target, timeout=patience or _TIMEOUT) as connection:
            seen = replace(seen, is_open=True)
            if expected.is_open:
                visit = _Visit(connection, expected, seen, is_thorough)
                visit.limit = 3 * patience if patience else _LONGEST_VISIT
                seen = visit.hold()
    except OSError as error:
        seen = replace(seen, error="probe.closed", error_text=_words(error))
    except ValueError:
        # An address or a name that cannot be written into a packet.
        seen = replace(seen, error="probe.closed", error_text="not an address")
    return replace(seen, elapsed_ms=round((time.monotonic() - started) * 1000))


class _TooManyError(Exception):
    """The server takes no more connections from us for now, and says so."""


class _WrongGreetingError(Exception):
    """The port does not speak its protocol."""


@dataclass(slots=True)
class _Visit:
    """One connection and what was said on it."""

    connection: socket.socket | OneKeyConnection
    expected: Expectation
    seen: Seen
    is_thorough: bool
    dialogue: list[tuple[str, str]] = field(default_factory=list)
    received: bytes = b""
    begun: float = field(default_factory=time.monotonic)
    limit: float = _LONGEST_VISIT

    def hold(self) -> Seen:
        """Hold the conversation of the protocol; errors become part of what was seen."""
        try:
            self._converse()
        except ssl.SSLError as error:
            self._note(error="probe.tls_failed", error_text=_words(error))
        except TimeoutError:
            self._note(error="probe.timeout", error_text="no answer in time")
        except _TooManyError as error:
            self._note(error="probe.too_many", error_text=str(error))
        except _WrongGreetingError as error:
            self._note(error="probe.wrong_greeting", error_text=str(error))
        except OSError as error:
            # A reset in the middle of the handshake is how both daemons say "no usable key".
            self._note(error="probe.tls_failed", error_text=_words(error))
        return replace(self.seen, dialogue=tuple(self.dialogue))

    def _converse(self) -> None:
        if self.expected.tls_mode is TlsMode.IMPLICIT:
            self._start_tls()
        _CONVERSATIONS[self.expected.protocol](self)

    def _note(self, **what: Any) -> None:
        self.seen = replace(self.seen, **what)

    # What every protocol needs

    def _start_tls(self) -> None:
        plain = self.connection
        if not isinstance(plain, socket.socket):
            raise _WrongGreetingError("TLS within TLS")
        secured = _secure(plain, self.expected)
        self.connection = secured
        self.received = b""
        certificates = _read_all(
            secured.presented() if isinstance(secured, OneKeyConnection) else _presented(secured)
        )
        leaf = certificates[0] if certificates else None
        cipher = secured.cipher()
        self._note(
            tls_version=secured.version() or "",
            cipher=cipher[0] if cipher else "",
            fingerprint=leaf.fingerprint if leaf else "",
            certificate=_shown(leaf) if leaf else {},
            chain=tuple(_shown(item) for item in certificates[1:]),
        )
        said = f"TLS handshake: {self.seen.tls_version}, {self.seen.cipher}"
        self.dialogue.append(("tls", said))

    def _read_line(self) -> str:
        while b"\n" not in self.received:
            if time.monotonic() - self.begun > self.limit:
                raise TimeoutError
            part = self.connection.recv(4096)
            if not part:
                raise ConnectionResetError("the connection was closed")
            self.received += part
            if len(self.received) > 16 * _LONGEST_LINE:
                raise _WrongGreetingError("endless line")
        line, _, self.received = self.received.partition(b"\n")
        text = line.decode("utf-8", "replace").rstrip("\r")[:_LONGEST_LINE]
        self.dialogue.append(("server", text))
        return text

    def _say(self, line: str, shown: str = "") -> None:
        self.dialogue.append(("client", shown or line))
        self.connection.sendall(line.encode() + b"\r\n")

    def _part(self, words: str) -> None:
        """Say goodbye; whoever has answered everything may hang up first."""
        try:
            self._say(words)
            self._read_line()
        except OSError:
            return

    # SMTP (RFC 5321, RFC 3207)

    def _smtp_reply(self) -> list[str]:
        lines = [self._read_line()]
        while lines[-1][3:4] == "-" and len(lines) < 100:
            lines.append(self._read_line())
        if not lines[-1][:3].isdecimal():
            raise _WrongGreetingError(lines[-1][:80])
        return lines

    def _smtp_ask(self, line: str) -> list[str]:
        self._say(line)
        return self._smtp_reply()

    def converse_smtp(self) -> None:
        """Greet, upgrade, and ask whether mail is taken from somebody who has not logged in."""
        greeting = self._smtp_reply()[-1]
        _refuse_if_too_many(greeting)
        if not greeting.startswith("2"):
            raise _WrongGreetingError(self.dialogue[-1][1][:80])
        offered = self._smtp_ask(f"EHLO {_CLIENT_NAME}")
        if self.expected.tls_mode is not TlsMode.IMPLICIT:
            self._upgrade_smtp(offered)
        if self.is_thorough and not self.seen.error and self.expected.service != "smtp":
            self._ask_smtp_for_mail()
        self._part("QUIT")

    def _upgrade_smtp(self, offered: list[str]) -> None:
        has_starttls = any(line[4:].upper() == "STARTTLS" for line in offered)
        has_login = any(line[4:].upper().startswith("AUTH") for line in offered)
        self._note(is_starttls_offered=has_starttls, is_clear_login_offered=has_login)
        if self.is_thorough:
            self._note(reply_without_tls=self._smtp_ask("MAIL FROM:<>")[-1])
            self._smtp_ask("RSET")
        if self.expected.tls_mode is TlsMode.NONE:
            return
        if not has_starttls:
            self._note(error="probe.starttls_missing", error_text="not in the answer to EHLO")
            return
        answer = self._smtp_ask("STARTTLS")[-1]
        _refuse_if_too_many(answer)
        if not answer.startswith("220"):
            self._note(error="probe.tls_failed", error_text=answer)
            return
        self._start_tls()
        self._smtp_ask(f"EHLO {_CLIENT_NAME}")

    def _ask_smtp_for_mail(self) -> None:
        """Postfix may delay its refusal until RCPT: the first refusal counts (RFC 6409 4.3)."""
        reply = self._smtp_ask("MAIL FROM:<>")[-1]
        if reply.startswith("2"):
            reply = self._smtp_ask(f"RCPT TO:<nobody@{_CLIENT_NAME}>")[-1]
        self._note(reply_without_login=reply)

    # IMAP (RFC 9051)

    def converse_imap(self) -> None:
        """Greet, look for STARTTLS and LOGINDISABLED, upgrade."""
        if not self._read_line().startswith("* OK"):
            raise _WrongGreetingError(self.dialogue[-1][1][:80])
        if self.expected.tls_mode is not TlsMode.IMPLICIT:
            answer = self._imap_ask("a1", "CAPABILITY")
            words = {word.strip("[]") for line in answer for word in line.upper().split()}
            has_starttls = "STARTTLS" in words
            is_clear = "LOGINDISABLED" not in words
            self._note(is_starttls_offered=has_starttls, is_clear_login_offered=is_clear)
            if self.expected.tls_mode is TlsMode.STARTTLS:
                self._upgrade(has_starttls, self._imap_starttls)
        self._part("a9 LOGOUT")

    def _imap_ask(self, tag: str, command: str) -> list[str]:
        self._say(f"{tag} {command}")
        lines = [self._read_line()]
        while not lines[-1].startswith(f"{tag} ") and len(lines) < 100:
            lines.append(self._read_line())
        return lines

    def _imap_starttls(self) -> str:
        answer = self._imap_ask("a2", "STARTTLS")[-1]
        return "" if answer.upper().startswith("A2 OK") else answer

    # POP3 (RFC 1939, RFC 2595)

    def converse_pop3(self) -> None:
        """Greet, look for STLS and USER, upgrade."""
        if not self._read_line().startswith("+OK"):
            raise _WrongGreetingError(self.dialogue[-1][1][:80])
        if self.expected.tls_mode is not TlsMode.IMPLICIT:
            offered = self._pop3_capabilities()
            has_starttls = "STLS" in offered
            is_clear = any(line == "USER" or line.startswith("SASL ") for line in offered)
            self._note(is_starttls_offered=has_starttls, is_clear_login_offered=is_clear)
            if self.expected.tls_mode is TlsMode.STARTTLS:
                self._upgrade(has_starttls, self._pop3_starttls)
        self._part("QUIT")

    def _pop3_capabilities(self) -> list[str]:
        self._say("CAPA")
        lines = [self._read_line().upper()]
        while lines[0].startswith("+OK") and lines[-1] != "." and len(lines) < 100:
            lines.append(self._read_line().upper())
        return lines

    def _pop3_starttls(self) -> str:
        self._say("STLS")
        answer = self._read_line()
        return "" if answer.startswith("+OK") else answer

    # ManageSieve (RFC 5804)

    def converse_sieve(self) -> None:
        """Read the capabilities that the server greets with, upgrade."""
        offered = self._sieve_answer()
        if not offered or not offered[-1].upper().startswith("OK"):
            raise _WrongGreetingError((offered or [""])[-1][:80])
        words = [line.upper().replace('"', "") for line in offered]
        has_starttls = "STARTTLS" in words
        is_clear = any(line.startswith("SASL ") and line != "SASL " for line in words)
        self._note(is_starttls_offered=has_starttls, is_clear_login_offered=is_clear)
        if self.expected.tls_mode is TlsMode.STARTTLS:
            self._upgrade(has_starttls, self._sieve_starttls)
        self._part("LOGOUT")

    def _sieve_answer(self) -> list[str]:
        lines = [self._read_line()]
        while not _DONE.match(lines[-1]) and len(lines) < 100:
            lines.append(self._read_line())
        return lines

    def _sieve_starttls(self) -> str:
        self._say("STARTTLS")
        answer = self._sieve_answer()[-1]
        return "" if answer.upper().startswith("OK") else answer

    def _upgrade(self, has_starttls: bool, ask: Callable[[], str]) -> None:
        if not has_starttls:
            self._note(error="probe.starttls_missing", error_text="not among the capabilities")
            return
        refusal = ask()
        if refusal:
            self._note(error="probe.tls_failed", error_text=refusal)
            return
        self._start_tls()


_CONVERSATIONS: dict[Protocol, Callable[[_Visit], None]] = {
    Protocol.SMTP: _Visit.converse_smtp,
    Protocol.IMAP: _Visit.converse_imap,
    Protocol.POP3: _Visit.converse_pop3,
    Protocol.SIEVE: _Visit.converse_sieve,
}


def _secure(connection: socket.socket, expected: Expectation) -> ssl.SSLSocket | OneKeyConnection:
    """Shake hands as any client, or as one that knows only the kind of key asked for."""
    if expected.key_algorithm:
        algorithm = KeyAlgorithm(expected.key_algorithm)
        return OneKeyConnection(connection, algorithm, expected.sni_name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # The server's choice is the evidence; nothing is sent that would need protecting.
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    return context.wrap_socket(connection, server_hostname=expected.sni_name or None)


def _refuse_if_too_many(reply: str) -> None:
    """Raise if the reply is that of Postfix's limits per client (anvil(8))."""
    if reply.startswith("4") and "too many" in reply:
        raise _TooManyError(reply[:200])


def _read_all(presented: Sequence[bytes]) -> list[CertificateFacts]:
    """Return the certificates, leaf first; unreadable ones are left out."""
    return [facts for der in presented if (facts := _read(der))]


@lru_cache(maxsize=512)
def _read(der: bytes) -> CertificateFacts | None:
    """Read a certificate; the same few are shown again and again."""
    try:
        return read_certificate(der)
    except CertificateProblem:
        return None


def _presented(secured: ssl.SSLSocket) -> list[bytes]:
    """Return the certificates as presented, leaf first, in DER."""
    if hasattr(secured, "get_unverified_chain"):
        return [bytes(item) for item in secured.get_unverified_chain()]
    # Public since Python 3.13; 3.11 has it one level down and in another form.
    inner = getattr(secured, "_sslobj", None)
    ask = getattr(inner, "get_unverified_chain", None)
    if ask is not None:
        return [ssl.PEM_cert_to_DER_cert(item.public_bytes()) for item in ask() or []]
    leaf = secured.getpeercert(binary_form=True)
    return [leaf] if leaf else []


def _shown(facts: CertificateFacts) -> dict[str, Any]:
    """Return what a reader wants to know of a presented certificate."""
    label = facts.names[0] if facts.names else facts.common_name or facts.subject
    return {
        "label": label,
        "subject": facts.subject,
        "issuer": facts.issuer_common_name or facts.issuer,
        "names": list(facts.names[:_SHOWN_NAMES]),
        "not_before": facts.not_before.isoformat(),
        "not_after": facts.not_after.isoformat(),
        "fingerprint": facts.fingerprint,
        "key": facts.key,
        "is_self_signed": facts.is_self_signed,
    }


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return str(error.reason).replace("_", " ").lower()
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return error.strerror or str(error) or type(error).__name__
