"""Being told to end by a signal, in a way that a second signal cannot break."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from types import FrameType


class EndRequest:
    """Whether the program was asked to end; asking twice is like asking once.

    What a ``threading.Event`` does, but :meth:`set` takes no lock, so that a signal handler may
    call it: an event whose ``set`` is interrupted by a second signal waits for its own lock for
    ever.
    """

    def __init__(self) -> None:
        self._is_set = False
        # What is written is never read, so that every later wait ends at once too.
        self._reading, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __del__(self) -> None:
        os.close(self._reading)
        os.close(self._writing)

    @classmethod
    def on_signals(cls) -> EndRequest:
        """Return one that SIGTERM, SIGINT and SIGHUP make. Only for the main thread."""
        request = cls()

        def end(_number: int, _frame: FrameType | None) -> None:
            request.set()

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, end)
        return request

    def set(self) -> None:
        """Ask to end."""
        self._is_set = True
        with contextlib.suppress(BlockingIOError):
            os.write(self._writing, b".")

    def is_set(self) -> bool:
        """Tell whether somebody asked."""
        return self._is_set

    def wait(self, seconds: float) -> bool:
        """Wait for so long at most, and tell whether somebody asked."""
        select.select([self._reading], [], [], seconds)
        return self._is_set
