"""Who is connected now: the connections of the system, with the users that Dovecot names."""

from __future__ import annotations

from collections.abc import Mapping

import psutil

from mailadmin.mailconf.maillog.usage import LiveSession
from mailadmin.mailconf.services import SERVICES

_MOST_SESSIONS = 2_000


def read_sessions(ports: Mapping[int, str], who: str) -> tuple[LiveSession, ...]:
    """Return the open connections to the ports; ``who`` is what ``doveadm who`` printed.

    A connection in clear belongs to the process of its user. One with TLS stays with the login
    process: whose it is can be told as long as one user alone comes from its address.
    """
    by_process, by_address = _read_users(who)
    found: list[LiveSession] = []
    for row in psutil.net_connections("tcp"):
        if row.status != psutil.CONN_ESTABLISHED or not row.laddr or not row.raddr:
            continue
        if row.laddr.port not in ports:
            continue
        service = ports[row.laddr.port]
        address = _plain(row.raddr.ip)
        users = by_address.get((str(SERVICES[service].protocol), address), set())
        alone = next(iter(users)) if len(users) == 1 else ""
        found.append(LiveSession(service, address, by_process.get(row.pid or 0, alone)))
        if len(found) == _MOST_SESSIONS:
            break
    return tuple(sorted(found, key=lambda item: (item.service, item.user, item.address)))


def _read_users(who: str) -> tuple[dict[int, str], dict[tuple[str, str], set[str]]]:
    """Return the user of each process, and the users of each protocol and client address."""
    lines = [line.split("\t") for line in who.splitlines()]
    by_process: dict[int, str] = {}
    by_address: dict[tuple[str, str], set[str]] = {}
    for row in lines[1:]:
        named = dict(zip(lines[0], row, strict=False))
        user, pid = named.get("username", ""), named.get("pid", "")
        # 2.3 calls the protocol "proto", 2.4 "service".
        protocol = named.get("proto") or named.get("service", "")
        if pid.isdecimal():
            by_process[int(pid)] = user
        by_address.setdefault((protocol, named.get("ip", "")), set()).add(user)
    return by_process, by_address


def _plain(address: str) -> str:
    """Return an IPv4 address as such, also where the socket is of IPv6."""
    return address.removeprefix("::ffff:")
