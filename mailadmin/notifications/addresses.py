"""Where a webhook may be sent: what a URL must look like, and which networks are never called."""

from __future__ import annotations

import contextlib
import ipaddress
from urllib.parse import SplitResult, urlsplit

from mailadmin.pki.problems import Problem

_SCHEMES = frozenset({"http", "https"})
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def check_url(url: str, *, is_private_allowed: bool) -> Problem | None:
    """Return why nothing can be sent to the URL, as far as its text tells.

    A name is looked up when it is called, not here: what it leads to may change.
    """
    parts = _split(url)
    if parts is None or not url.isascii() or not url.isprintable() or " " in url:
        return Problem("webhook.url_invalid")
    if parts.scheme not in _SCHEMES:
        return Problem("webhook.url_scheme", params={"scheme": parts.scheme})
    if parts.username is not None or parts.password is not None:
        return Problem("webhook.url_password")
    if parts.fragment:
        return Problem("webhook.url_fragment")
    address = _literal(parts.hostname or "")
    if address is None:
        return None
    return _check_address(address, is_private_allowed=is_private_allowed)


def may_call(address: Address, *, is_private_allowed: bool) -> bool:
    """Tell whether a webhook may be sent to the address."""
    return _check_address(address, is_private_allowed=is_private_allowed) is None


def plain_address(text: str) -> Address:
    """Return the address a socket is connected to; IPv4 written as IPv6 is IPv4."""
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _check_address(address: Address, *, is_private_allowed: bool) -> Problem | None:
    # Link-local is where clouds keep the credentials of their machines.
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return Problem("webhook.address_never", params={"address": str(address)})
    if not address.is_global and not is_private_allowed:
        return Problem("webhook.address_private", params={"address": str(address)})
    return None


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if is_whole else None


def _literal(host: str) -> Address | None:
    with contextlib.suppress(ValueError):
        return plain_address(host)
    return None
