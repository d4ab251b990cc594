"""Looking at something until the authority has made up its mind."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

_FIRST_PAUSE = 0.1  # seconds
_GROWTH = 1.5
_LONGEST_PAUSE = 2.0
# What is decided within the first moment is taken at once; after that its own word counts, which
# RFC 8555 calls a suggestion (section 7.5.1).
_EAGER_SECONDS = 1.0


class Polled(Protocol):
    """What an authority tells of something, and when it wants to be asked again."""

    @property
    def retry_after(self) -> float | None:
        """Seconds, if it said so."""


State = TypeVar("State", bound=Polled)


def poll(
    read: Callable[[], State], is_decided: Callable[[State], bool], *, at_most: float
) -> State:
    """Look until it is decided, or for ``at_most`` seconds; return what was seen last.

    An authority that wants to be left alone for longer than what remains is not waited for: the
    state's ``retry_after`` says when to come back.
    """
    began = time.monotonic()
    pause = _FIRST_PAUSE
    while True:
        state = read()
        elapsed = time.monotonic() - began
        wait = pause if elapsed < _EAGER_SECONDS else max(pause, state.retry_after or 0.0)
        if is_decided(state) or elapsed + wait > at_most:
            return state
        time.sleep(wait)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)
