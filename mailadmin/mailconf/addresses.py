"""When two listeners on one port would be in each other's way."""

from __future__ import annotations

import ipaddress

from mailadmin.mailconf.state import ANY_ADDRESS

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# The one host name that stands in many a master.cf; both daemons bind every address it has.
_KNOWN_NAMES = {"localhost": ("127.0.0.1", "::1")}


def normalize_address(text: str) -> str:
    """Return an IP address in its usual spelling; anything else as it is."""
    address = _read(text)
    return str(address) if address else text


def is_collision(one: str, other: str) -> bool:
    """Tell whether two listeners with these addresses could not have the same port."""
    if ANY_ADDRESS in (one, other) or one == other:
        return True
    return any(
        first == second
        or (first.version == second.version and (first.is_unspecified or second.is_unspecified))
        for first in _meanings(one)
        for second in _meanings(other)
    )


def _meanings(text: str) -> list[_Address]:
    found = (_read(item) for item in _KNOWN_NAMES.get(text, (text,)))
    return [address for address in found if address]


def _read(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
