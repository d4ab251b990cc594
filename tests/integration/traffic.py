"""Mail programs that never try a message twice, and what became of each thing they did.

Senders hand over one message a session by submission; readers stay logged in and wait by IMAP IDLE
(RFC 2177) for what the senders write to them; people who log in slowly show what is cut off between
the handshake and the end of LOGIN. Each sender has a mailbox of its own, read by one reader.

Whoever is thrown out or finds a closed door comes again after half a second, as mail programs do:
so each change meets the same clients. A closed door is counted once for each client, however often
it knocks before it is let in; without that, a server that is down for a second would be charged
with as many failures as the clients can make in a tight loop.
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mailadmin.sandbox import Sandbox
from tests.integration.mail_clients import compose_message, trust

_ANSWER = 60.0  # seconds for one answer, on a busy machine
_LOOK = 0.2  # seconds after which a reader sees whether it is to stop
_SLOWEST_LOGIN = 0.6  # seconds between the handshake and LOGIN, at the most
_AFTER_A_FAULT = 0.5  # seconds until somebody who was turned away comes again
_PREFIX = "load "
# Said in EHLO. Without it smtplib asks DNS, for five seconds on a machine that it does not know.
_NAME = "client.example.test"


@dataclass(frozen=True)
class Fault:
    """What went wrong for one client: when (monotonic seconds), doing what, in which words."""

    at: float
    stage: str
    words: str


@dataclass
class Tally:
    """What became of all of it. Filled by many threads: only ever added to."""

    # When each was accepted (monotonic seconds).
    sent: dict[str, float] = field(default_factory=dict)
    # Not answered after the end of DATA: may have been accepted or not.
    unknown: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    smtp_faults: list[Fault] = field(default_factory=list)
    # Clients of either kind that found nobody listening, and how long each was kept out.
    refused: list[Fault] = field(default_factory=list)
    kept_out: list[float] = field(default_factory=list)
    logins: list[float] = field(default_factory=list)
    cut_logins: list[Fault] = field(default_factory=list)
    dropped_sessions: list[Fault] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    # When each copy was delivered (Unix seconds).
    delivered: dict[str, list[float]] = field(default_factory=dict)

    @property
    def lost(self) -> list[str]:
        """Return what was accepted and never delivered."""
        return [subject for subject in self.sent if subject not in self.delivered]

    @property
    def doubled(self) -> list[str]:
        """Return what was delivered more than once."""
        return [subject for subject, copies in self.delivered.items() if len(copies) > 1]

    @property
    def attempts(self) -> int:
        """Return how many SMTP sessions were begun; who found nobody began none."""
        return len(self.sent) + sum(fault.stage != "quit" for fault in self.smtp_faults)


class Client:
    """Knows whether one client finds a closed door, which is one fault until it is let in."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._shut_since: float | None = None

    def note(self, faults: list[Fault], stage: str, error: Exception) -> None:
        """Add what went wrong to these, or to the refusals."""
        if not isinstance(error, ConnectionRefusedError):
            faults.append(_fault(stage, error))
        elif self._shut_since is None:
            self._shut_since = time.monotonic()
            self._tally.refused.append(_fault(stage, error))

    def come_in(self) -> None:
        """Note that somebody answered."""
        if self._shut_since is not None:
            self._tally.kept_out.append(time.monotonic() - self._shut_since)
            self._shut_since = None


class ImapSession:
    """As much of an IMAP client as is needed to wait in IDLE without losing a line."""

    def __init__(self, sandbox: Sandbox, context: ssl.SSLContext) -> None:
        address = (sandbox.settings.address, sandbox.settings.ports["imaps"])
        raw = socket.create_connection(address, timeout=_ANSWER)
        try:
            self._socket = context.wrap_socket(raw)
        except OSError:
            raw.close()
            raise
        self._buffer = b""
        self._number = 0

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def read_line(self, timeout: float = _ANSWER) -> bytes | None:
        """Return the next line; None if there is none in time. Raises ``OSError`` at the end."""
        self._socket.settimeout(timeout)
        while b"\n" not in self._buffer:
            try:
                part = self._socket.recv(65536)
            except TimeoutError:
                return None
            if not part:
                raise ConnectionResetError("the server hung up")
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\n")
        if line.startswith(b"* BYE") and self._number < _LOGOUT:
            raise ConnectionResetError(line.decode(errors="replace").strip())
        return line.strip()

    def expect(self, start: bytes) -> list[bytes]:
        """Return the lines until one that begins so, it included."""
        lines: list[bytes] = []
        while not lines or not lines[-1].startswith(start):
            line = self.read_line()
            if line is None:
                raise TimeoutError(f"no answer in {_ANSWER:.0f} s")
            lines.append(line)
        return lines

    def send(self, line: str) -> None:
        """Send a line."""
        self._socket.sendall(line.encode() + b"\r\n")

    def ask(self, command: str) -> list[bytes]:
        """Send a command and return its answer. Raises ``OSError`` unless it is OK."""
        self._number += 1
        tag = f"t{self._number}"
        self.send(f"{tag} {command}")
        lines = self.expect(f"{tag} ".encode())
        if not lines[-1].startswith(f"{tag} OK".encode()):
            raise OSError(lines[-1].decode(errors="replace"))
        return lines

    def log_out(self) -> None:
        """End the session as a client should."""
        self._number = _LOGOUT
        self.ask("LOGOUT")


# A number of a command that no session reaches: from there on BYE is what was asked for.
_LOGOUT = 1_000_000_000


class Traffic:
    """The clients. ``mailboxes`` as :func:`add_mailboxes` returns them: one sender, one reader
    each; ``slow_logins`` clients log in again and again.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        trusted: Path,
        mailboxes: Sequence[str],
        *,
        slow_logins: int,
        pause: float,
    ) -> None:
        self.tally = Tally()
        self._sandbox = sandbox
        self._context = trust(trusted)
        self._context.check_hostname = False
        self._mailboxes = mailboxes
        self._pause = pause
        self._passed = 0
        self._sending_ends = threading.Event()
        self._reading_ends = threading.Event()
        self._ready = threading.Barrier(len(mailboxes) + 1)
        self._readers = [self._thread(self._read, name) for name in mailboxes]
        self._writers = [
            *(self._thread(self._send, name, n) for n, name in enumerate(mailboxes)),
            *(self._thread(self._log_in, n) for n in range(slow_logins)),
        ]

    @staticmethod
    def _thread(work: Callable[..., None], *arguments: object) -> threading.Thread:
        return threading.Thread(target=work, args=arguments, daemon=True)

    def start(self) -> None:
        """Let everybody begin: senders once all readers are logged in."""
        for thread in self._readers:
            thread.start()
        self._ready.wait(60)
        for thread in self._writers:
            thread.start()

    def pass_time(self, until: float, *, at_least: int = 0) -> None:
        """Let the clients go on until this moment (monotonic seconds), and until they have sent so
        many messages since the last time: a busy machine lets them do it slowly.
        """
        self._sending_ends.wait(max(0.0, until - time.monotonic()))
        wanted, given_up_at = self._passed + at_least, time.monotonic() + _ANSWER
        tally = self.tally
        while len(tally.sent) < wanted and not tally.smtp_faults:
            if time.monotonic() > given_up_at:
                break
            time.sleep(0.05)
        self._passed = len(tally.sent)

    def stop(self, drain: float = 60.0) -> Tally:
        """End sending, wait (seconds) until all is delivered, end reading; returns the tally."""
        self._sending_ends.set()
        for thread in self._writers:
            thread.join(60)
        drain_queue(self._sandbox, drain)
        given_up_at = time.monotonic() + _ANSWER
        while time.monotonic() < given_up_at and not self._is_all_read():
            time.sleep(0.05)
        self._reading_ends.set()
        for thread in self._readers:
            thread.join(60)
        self.tally.delivered = find_delivered(self._sandbox)
        return self.tally

    def _is_all_read(self) -> bool:
        return self.tally.sent.keys() <= set(self.tally.read)

    # One client each

    def _send(self, mailbox: str, number: int) -> None:
        service = ("submission", "submissions")[number % 2]
        client = Client(self.tally)
        for turn in _count():
            if self._sending_ends.is_set():
                return
            begun = time.monotonic()
            if self._send_one(client, mailbox, service, f"{_PREFIX}{number}-{turn}"):
                self.tally.seconds.append(time.monotonic() - begun)
                self._sending_ends.wait(self._pause)
            else:
                self._sending_ends.wait(_AFTER_A_FAULT)

    def _send_one(self, client: Client, mailbox: str, service: str, subject: str) -> bool:
        stage = "connect"
        try:
            with contextlib.closing(self._connect_smtp(service)) as session:
                client.come_in()
                stage = "login"
                session.login(mailbox, self._sandbox.settings.mailbox_password)
                stage = "message"
                session.send_message(compose_message(mailbox, mailbox, subject))
                stage = "quit"
                self.tally.sent[subject] = time.monotonic()
                session.quit()
        except (OSError, smtplib.SMTPException) as error:
            if stage == "message":
                self.tally.unknown.append(subject)
            client.note(self.tally.smtp_faults, stage, error)
            return False
        return True

    def _connect_smtp(self, service: str) -> smtplib.SMTP:
        settings = self._sandbox.settings
        place = (settings.address, settings.ports[service])
        if service == "submissions":
            return smtplib.SMTP_SSL(*place, _NAME, timeout=_ANSWER, context=self._context)
        client = smtplib.SMTP(*place, _NAME, timeout=_ANSWER)
        client.starttls(context=self._context)
        return client

    def _read(self, mailbox: str) -> None:
        client, known = Client(self.tally), 0
        is_first = True
        while is_first or not self._reading_ends.is_set():
            faults, stage = self.tally.cut_logins, "LOGIN of a reader"
            try:
                with contextlib.closing(ImapSession(self._sandbox, self._context)) as session:
                    client.come_in()
                    self._log_session_in(session, mailbox)
                    faults, stage = self.tally.dropped_sessions, "idle"
                    there = _count_messages(session.ask("SELECT INBOX"))
                    if is_first:
                        is_first = False
                        self._ready.wait(60)
                    for subjects in self._read_on(session, known, there):
                        self.tally.read += subjects
                        known += len(subjects)
            except OSError as error:
                client.note(faults, stage, error)
                self._reading_ends.wait(_AFTER_A_FAULT)

    def _read_on(self, session: ImapSession, known: int, there: int) -> Iterator[list[str]]:
        """Yield the subjects of what comes after the first ``known`` of those ``there``."""
        while True:
            while there > known:
                answer = session.ask(f"FETCH {known + 1}:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
                lines = [line for line in answer if line.startswith(b"Subject: ")]
                yield [line[9:].decode() for line in lines]
                known += len(lines)
                # Said once: what came meanwhile is not told again.
                there = _count_messages(answer)
            if self._reading_ends.is_set():
                break
            session.send("idle IDLE")
            told = session.expect(b"+ ")
            there = max(_count_messages(told), self._await_more(session, known))
            session.send("DONE")
            there = max(there, _count_messages(session.expect(b"idle OK")))
        session.log_out()

    def _await_more(self, session: ImapSession, known: int) -> int:
        """Return how many messages there are as soon as there are more, or when it is the end."""
        while not self._reading_ends.is_set():
            line = session.read_line(_LOOK)
            there = _count_messages([line] if line else [])
            if there > known:
                return there
        return known

    def _log_in(self, number: int) -> None:
        client, mailbox = Client(self.tally), self._mailboxes[number % len(self._mailboxes)]
        for turn in _count():
            if self._sending_ends.is_set():
                return
            # Spread evenly, by steps that no period of an apply falls in with.
            self._log_in_once(client, mailbox, (turn * 0.37 + number * 0.11) % 1 * _SLOWEST_LOGIN)

    def _log_in_once(self, client: Client, mailbox: str, wait: float) -> None:
        stage = "handshake"
        try:
            with contextlib.closing(ImapSession(self._sandbox, self._context)) as session:
                client.come_in()
                stage = "before LOGIN"
                session.expect(b"* OK")
                self._sending_ends.wait(wait)
                stage = "LOGIN"
                self._log_session_in(session, mailbox)
                self.tally.logins.append(time.monotonic())
                stage = "logged in"
                session.ask("NOOP")
                session.log_out()
        except OSError as error:
            is_in = stage == "logged in"
            faults = self.tally.dropped_sessions if is_in else self.tally.cut_logins
            client.note(faults, stage, error)
            self._sending_ends.wait(_AFTER_A_FAULT)

    def _log_session_in(self, session: ImapSession, mailbox: str) -> None:
        session.ask(f"LOGIN {mailbox} {self._sandbox.settings.mailbox_password}")


def _fault(stage: str, error: Exception) -> Fault:
    return Fault(time.monotonic(), stage, f"{type(error).__name__}: {error}"[:200])


def _count_messages(lines: Sequence[bytes]) -> int:
    """Return how many messages these lines say there are (``* 12 EXISTS``); 0 if none says it."""
    said = [line.split() for line in lines]
    return max((int(words[1]) for words in said if words[2:] == [b"EXISTS"]), default=0)


def _count() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def add_mailboxes(sandbox: Sandbox, count: int) -> list[str]:
    """Give a sandbox that is not started yet more mailboxes, with the password of its first."""
    settings = sandbox.settings
    names = [f"client{number}@{settings.mail_domain}" for number in range(count)]
    users = sandbox.dovecot_config.parent / "users"
    hashed = users.read_text().splitlines()[0].partition(":")[2]
    with users.open("a") as file:
        file.writelines(f"{name}:{hashed}\n" for name in names)
    with (sandbox.postfix_config_directory / "mailboxes").open("a") as file:
        file.writelines(f"{name}  OK\n" for name in names)
    return names


def drain_queue(sandbox: Sandbox, limit: float) -> None:
    """Let Postfix try at once what it would try later, until its queue is empty (seconds)."""
    queue = sandbox.postfix_config_directory.parent / "queue"
    given_up_at = time.monotonic() + limit
    while time.monotonic() < given_up_at:
        folders = [queue / name for name in ("maildrop", "incoming", "active", "deferred")]
        if not any(path.is_file() for folder in folders for path in folder.rglob("*")):
            return
        sandbox.run_postfix("flush")
        time.sleep(0.5)


def find_delivered(sandbox: Sandbox) -> dict[str, list[float]]:
    """Return when each copy of each message was put into a mailbox (Unix seconds), from the disk.

    A file of a Maildir is named by the second and microsecond of its delivery.
    """
    found: dict[str, list[float]] = {}
    mail = sandbox.dovecot_log.parent.parent / "mail"
    for folder in ("new", "cur"):
        for path in mail.glob(f"*/client*/Maildir/{folder}/*"):
            try:
                head = path.read_bytes().partition(b"\n\n")[0]
            except FileNotFoundError:
                # Moved from new to cur just now; counted there, or at the next look.
                continue
            seconds, _, rest = path.name.partition(".")
            moment = int(seconds) + int(rest[1:].partition("P")[0]) / 1e6
            for line in head.splitlines():
                if line.startswith(f"Subject: {_PREFIX}".encode()):
                    found.setdefault(line[9:].decode().strip(), []).append(moment)
    return found
