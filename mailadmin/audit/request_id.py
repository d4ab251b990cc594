"""The id that ties the logs, the audit events and the agent's calls of one request together."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_request_id: ContextVar[str] = ContextVar("request_id", default="")
_SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{7,63}")


def current_request_id() -> str:
    """Return the id of the request or task being served, or an empty string outside of one."""
    return _request_id.get()


def draw_request_id() -> str:
    """Return a new random id of 16 hexadecimal digits."""
    return secrets.token_hex(8)


def accept_request_id(offered: str) -> str:
    """Return the id offered by a proxy if it cannot harm a log line, else a new one."""
    return offered if _SANE.fullmatch(offered) else draw_request_id()


@contextmanager
def request_id_set(request_id: str) -> Iterator[str]:
    """Carry the id through everything done inside the block (a request, a task, a command)."""
    token = _request_id.set(request_id)
    try:
        yield request_id
    finally:
        _request_id.reset(token)
