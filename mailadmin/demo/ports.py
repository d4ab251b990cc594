"""The panel's port: which one is asked for, and whether it is free."""

from __future__ import annotations

from collections.abc import Mapping

from mailadmin.demo.errors import DemoError
from mailadmin.sandbox.addresses import can_listen
from mailadmin.sandbox.programs import name_port_holder

_DEFAULT_PORT = 8000
_LARGEST_PORT = 65535


def read_panel_port(environment: Mapping[str, str]) -> int:
    """Return ``PANEL_PORT`` or 8000. Raises DemoError when it is not a port."""
    text = environment.get("PANEL_PORT", "").strip() or str(_DEFAULT_PORT)
    if not text.isdecimal() or not 1 <= int(text) <= _LARGEST_PORT:
        raise DemoError(f"PANEL_PORT={text} is not a port; use a number from 1 to {_LARGEST_PORT}.")
    return int(text)


def refuse_taken_port(port: int) -> None:
    """Raise DemoError, naming the holder, when the panel could not listen on the port."""
    if can_listen("127.0.0.1", port):
        return
    holder = name_port_holder("127.0.0.1", port) or "another program"
    raise DemoError(
        f"Port {port} on 127.0.0.1 is taken by {holder}. Stop that program, or choose another "
        f"port: PANEL_PORT={port + 1} make run"
    )
