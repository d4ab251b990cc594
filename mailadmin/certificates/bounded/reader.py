"""The parent's end: starts a child, asks it, and kills it when its time is over."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import IO, Any, Self

import mailadmin
from mailadmin.certificates.bounded.allowance import Allowance
from mailadmin.certificates.bounded.limits import LIMITS, Limits
from mailadmin.certificates.bounded.listed import ListedKeys
from mailadmin.certificates.bounded.questions import (
    QUESTIONS,
    CsrAnswer,
    JudgeBundle,
    ReadForeignCsr,
    ReadOffered,
    ReadParts,
)
from mailadmin.certificates.bounded.wire import (
    ANSWERED,
    LENGTH_BYTES,
    OUT_OF_MEMORY,
    WireError,
    from_wire,
    read_length,
    to_wire,
)
from mailadmin.pki.bundle import Parts, Roots, Verdict
from mailadmin.pki.certificate import CertificateFacts
from mailadmin.pki.csr import CsrFacts, CsrProblem
from mailadmin.pki.parts import count_found, read_loose_keys
from mailadmin.pki.problems import Param, Problem
from mailadmin.pki.weak_keys import NO_KNOWN_KEYS, KnownKeys

_CHILD = "mailadmin.certificates.bounded.child"
_TREE = Path(mailadmin.__file__).parent.parent
_MIB = 1024 * 1024
_CHUNK = 64 * 1024
_GRACE_SECONDS = 1.0  # for a child that closed its pipe to be gone
_STOP_CODES = "reading."


class ReadingProblem(ValueError):  # noqa: N818 - the word is shared with Problem
    """What kept an answer from coming. ``problem`` says it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class BoundedReader:
    """One child, for one upload; see the package. It is started by the first question.

    Once an answer did not come, none comes any more: the reasons given are the same.
    """

    def __init__(self, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._child: _Child | None = None
        self._allowance = Allowance(limits)
        self._stop: ReadingProblem | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child, if there is one."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def read_parts(
        self,
        inputs: Sequence[bytes],
        password: str | None = None,
        *,
        written: Sequence[bytes] = (),
    ) -> Parts:
        """Take an upload apart; see :func:`mailadmin.pki.parts.read_parts`. Never raises."""
        try:
            parts: Parts = self._ask(
                "read_parts", ReadParts(tuple(inputs), password, tuple(written))
            )
        except ReadingProblem as error:
            return Parts(problems=(error.problem,))
        return parts

    def judge_bundle(
        self,
        parts: Parts,
        *,
        now: datetime,
        known_key_ids: Iterable[str] = (),
        key_ids_elsewhere: Iterable[str] = (),
        known_intermediates: Sequence[CertificateFacts] = (),
        roots: Roots,
        known_keys: KnownKeys = NO_KNOWN_KEYS,
    ) -> Verdict:
        """Judge the parts; see :func:`mailadmin.pki.bundle.judge_bundle`. Never raises."""
        certificates = (*parts.certificates, *known_intermediates)
        own = (key.public_key() for key in parts.private_keys)
        public_keys = [*own, *read_loose_keys(parts.loose_keys)]
        listed = ListedKeys.look_up(known_keys, certificates, public_keys)
        try:
            verdict: Verdict = self._ask(
                "judge_bundle",
                JudgeBundle(
                    parts,
                    now,
                    frozenset(known_key_ids),
                    frozenset(key_ids_elsewhere),
                    tuple(known_intermediates),
                    roots,
                    listed,
                ),
            )
        except ReadingProblem as error:
            return _judge_without_answer(parts, error.problem)
        return verdict

    def read_foreign_csr(self, content: bytes) -> CsrFacts:
        """Read a request; see :func:`mailadmin.pki.csr.read_foreign_csr`.

        Raises ``CsrProblem``, also with what kept the answer from coming.
        """
        try:
            answer: CsrAnswer = self._ask("read_foreign_csr", ReadForeignCsr(content))
        except ReadingProblem as error:
            raise CsrProblem(error.problem) from None
        if answer.facts is None:
            raise CsrProblem(answer.problem or Problem("csr.unreadable"))
        return answer.facts

    def read_offered(self, content: bytes) -> list[CertificateFacts]:
        """Return what an authority offers. Raises :class:`ReadingProblem`."""
        return list(self._ask("read_offered", ReadOffered(content)))

    def _ask(self, name: str, asked: object) -> Any:
        """Return the answer to a question. Raises :class:`ReadingProblem`."""
        if self._stop is not None:
            raise self._stop
        try:
            return self._exchange(name, asked)
        except _NoAnswerError as error:
            self._stop = ReadingProblem(error.problem)
            self.close()
            raise self._stop from None

    def _exchange(self, name: str, asked: object) -> Any:
        question = QUESTIONS[name]
        message = to_wire(asked, question.asked)
        if self._child is None:
            self._child = _Child(self._limits)
        answer = self._child.ask(name.encode(), message, self._allowance)
        try:
            return from_wire(answer, question.answered)
        except WireError:
            raise _NoAnswerError("reading.broken_off") from None


def read_parts(inputs: Sequence[bytes], password: str | None = None) -> Parts:
    """Take an upload apart with a child of its own. Never raises."""
    with BoundedReader() as reader:
        return reader.read_parts(inputs, password)


def read_foreign_csr(content: bytes) -> CsrFacts:
    """Read a request with a child of its own. Raises ``CsrProblem``."""
    with BoundedReader() as reader:
        return reader.read_foreign_csr(content)


def read_offered(content: bytes) -> list[CertificateFacts]:
    """Return what an authority offers, with a child of its own. Raises :class:`ReadingProblem`."""
    with BoundedReader() as reader:
        return reader.read_offered(content)


def find_stop(problems: Iterable[Problem]) -> Problem | None:
    """Return the problem that kept an answer from coming, if one did."""
    return next((found for found in problems if found.code.startswith(_STOP_CODES)), None)


def _judge_without_answer(parts: Parts, problem: Problem) -> Verdict:
    """Return what can be said of parts that were not judged: how many there are, and why not."""
    found = count_found(parts.certificates, keys=len(parts.private_keys), requests=parts.requests)
    others = (known for known in parts.problems if known != problem)
    return Verdict((problem, *others), found, files=parts.files)


class _NoAnswerError(Exception):
    """A child that did not answer."""

    def __init__(self, code: str, **params: Param) -> None:
        super().__init__(code)
        self.problem = Problem(code, params=params)


class _Child:
    """A running child. Every method but ``kill`` raises :class:`_NoAnswerError`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._received = b""
        self._running = _start(limits)
        deadline = monotonic() + limits.start_seconds
        try:
            self._communicate(b"", lambda: deadline - monotonic())
        except _NoAnswerError:
            self.kill()
            raise _NoAnswerError("reading.not_started") from None

    def ask(self, name: bytes, message: bytes, allowance: Allowance) -> bytes:
        """Return the answer, which must come within the allowance."""
        named = len(name).to_bytes(LENGTH_BYTES) + name
        allowance.begin(self._running.pid)
        mark, answer = self._communicate(named + message, allowance.left)
        allowance.end()
        if mark == OUT_OF_MEMORY:
            raise _NoAnswerError("reading.too_much_memory", limit=self._limits.memory_mib)
        if mark != ANSWERED:
            raise _NoAnswerError("reading.broken_off")
        return answer

    def kill(self) -> None:
        """End the child now, and leave no zombie."""
        self._running.kill()
        self._running.wait()
        for pipe in (self._running.stdin, self._running.stdout):
            if pipe is not None:
                _close(pipe)

    def _communicate(
        self, outgoing: bytes, seconds_left: Callable[[], float]
    ) -> tuple[bytes, bytes]:
        """Send, and return the mark and the content of the next message."""
        unsent = memoryview(outgoing)
        incoming, sink = _descriptor(self._running.stdout), _descriptor(self._running.stdin)
        with selectors.DefaultSelector() as selector:
            selector.register(incoming, selectors.EVENT_READ)
            if unsent:
                selector.register(sink, selectors.EVENT_WRITE)
            while True:
                left = seconds_left()
                if left <= 0:
                    raise self._too_slow()
                ready = {key.fd for key, _ in selector.select(left)}
                if sink in ready:
                    unsent = self._send_some(sink, unsent)
                    if not unsent:
                        selector.unregister(sink)
                if incoming in ready:
                    self._receive_some(incoming)
                    message = self._take_message()
                    if message is not None:
                        return message

    def _send_some(self, sink: int, unsent: memoryview) -> memoryview:
        try:
            return unsent[os.write(sink, unsent[:_CHUNK]) :]
        except BlockingIOError:
            return unsent
        except OSError:
            raise self._why_it_ended() from None

    def _receive_some(self, incoming: int) -> None:
        received = os.read(incoming, _CHUNK)
        if not received:
            raise self._why_it_ended()
        self._received += received
        if len(self._received) > self._limits.answer_mib * _MIB:
            raise _NoAnswerError("reading.broken_off")

    def _take_message(self) -> tuple[bytes, bytes] | None:
        """Return a message that is complete: one byte that marks it, its length, its content."""
        begin = 1 + LENGTH_BYTES
        if len(self._received) < begin:
            return None
        end = begin + read_length(self._received[1:begin])
        if len(self._received) < end:
            return None
        mark, content = self._received[:1], self._received[begin:end]
        self._received = self._received[end:]
        return mark, content

    def _why_it_ended(self) -> _NoAnswerError:
        """Say why the child closed its end of a pipe."""
        try:
            code = self._running.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            code = 0
        if code == -signal.SIGXCPU:
            return self._too_slow()
        return _NoAnswerError("reading.broken_off")

    def _too_slow(self) -> _NoAnswerError:
        return _NoAnswerError("reading.too_slow", seconds=f"{self._limits.seconds:g}")


def _start(limits: Limits) -> subprocess.Popen[bytes]:
    """Start a child that knows neither our environment nor our files."""
    arguments = [str(limits.memory_mib * _MIB), str(limits.processor_seconds)]
    try:
        running = subprocess.Popen(
            [sys.executable, "-s", "-m", _CHILD, *arguments],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=_TREE,
            env={},
        )
    except OSError:  # no memory, or no process more
        raise _NoAnswerError("reading.not_started") from None
    for pipe in (running.stdin, running.stdout):
        os.set_blocking(_descriptor(pipe), False)
    return running


def _descriptor(pipe: IO[bytes] | None) -> int:
    if pipe is None:
        raise TypeError("a child always has its pipes")
    return pipe.fileno()


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except OSError:  # what was not sent any more
        return
