"""The child: answers questions from its standard input until that ends. Started by ``reader``.

``python -m mailadmin.certificates.bounded.child MEMORY-BYTES PROCESSOR-SECONDS``

Nothing it is asked reaches a disk: it can write no file and leaves no core. Whatever goes wrong
in it ends it, and its parent says so; only a lack of memory it can tell itself.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from typing import BinaryIO

from mailadmin.certificates.bounded.questions import QUESTIONS
from mailadmin.certificates.bounded.wire import (
    ANSWERED,
    LENGTH_BYTES,
    OUT_OF_MEMORY,
    READY,
    from_wire,
    read_length,
    to_wire,
)

_MOST_FILES = 16


def main(arguments: Sequence[str]) -> None:
    """Limit this process, say that it is ready, and answer."""
    memory, seconds = (int(argument) for argument in arguments)
    _limit(memory, seconds)
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    _send(outgoing, READY, to_wire(True, bool))
    while name := _receive(incoming):
        try:
            mark, answer = ANSWERED, _answer(name.decode(), _receive(incoming))
        except MemoryError:
            mark, answer = OUT_OF_MEMORY, to_wire(True, bool)
        _send(outgoing, mark, answer)


def _limit(memory: int, seconds: int) -> None:
    """Limit what comes from now on; everything needed has been imported."""
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _MOST_FILES),
    ):
        resource.setrlimit(what, (most, most))
    # At the first the kernel sends a signal that tells its parent why; the second kills.
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def _answer(name: str, content: bytes) -> bytes:
    question = QUESTIONS[name]
    return to_wire(question.answer(from_wire(content, question.asked)), question.answered)


def _receive(incoming: BinaryIO) -> bytes:
    """Return the next message; nothing at the end."""
    begin = incoming.read(LENGTH_BYTES)
    return incoming.read(read_length(begin)) if len(begin) == LENGTH_BYTES else b""


def _send(outgoing: BinaryIO, mark: bytes, message: bytes) -> None:
    outgoing.write(mark + message)
    outgoing.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
