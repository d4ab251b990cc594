"""Logins at Dovecot 2.3 (``Login: ...``) and 2.4 (``Logged in: ...``), by their log lines.

The elements are those of ``login_log_format_elements``; by default neither the port nor the TLS
version is among them, and where an admin added them (``lport=%a``, ``%k``) they are read.
"""

from __future__ import annotations

import re

from mailadmin.mailconf.maillog.access import CLEAR, LOCAL, SOME_TLS, Access, Naming
from mailadmin.mailconf.maillog.lines import Line
from mailadmin.mailconf.services import Protocol

_PROTOCOLS = {
    b"imap-login": Protocol.IMAP,
    b"pop3-login": Protocol.POP3,
    b"managesieve-login": Protocol.SIEVE,
    b"submission-login": Protocol.SMTP,
}
_SUCCESS = (b"Login: ", b"Logged in: ")
_FAILURE = (b"Disconnected", b"Login aborted", b"Aborted login")
_VERSION = re.compile(rb"\b(TLSv1(?:\.[0-3])?|SSLv3) with cipher ([A-Za-z0-9_-]{1,60})")
_PORTS = frozenset({b"lport", b"local_port"})
_NAMES = frozenset({b"local_name", b"sni"})


def read_login(line: Line, naming: Naming) -> Access | None:
    """Return the login that a line tells of, or the attempt that failed; None for other lines."""
    protocol = _PROTOCOLS.get(line.tag.partition(b"[")[0])
    if protocol is None or not line.text.startswith((*_SUCCESS, *_FAILURE)):
        return None
    is_success = line.text.startswith(_SUCCESS)
    elements = line.text[line.text.find(b": user=<") + 2 :].split(b", ")
    named = {
        name: value.strip(b"<>")
        for name, equals, value in (element.partition(b"=") for element in elements)
        if equals
    }
    if b"rip" not in named:
        return None
    tls, cipher = _read_tls(line.text, elements)
    return Access(
        at=line.at,
        services=naming.of_protocol(protocol, tls, _port(named)),
        who=_text(named.get(b"user", b"")) if is_success else "",
        address=_text(named[b"rip"]),
        tls=tls,
        cipher=cipher,
        name=_text(next((named[name] for name in _NAMES if name in named), b"")).lower(),
        is_success=is_success,
    )


def _read_tls(text: bytes, elements: list[bytes]) -> tuple[str, str]:
    if b" with cipher " in text:
        told = _VERSION.search(text)
        if told:
            return told[1].decode(), told[2].decode()
    if any(item.startswith(b"TLS") for item in elements):
        return SOME_TLS, ""
    return (LOCAL if b"secured" in elements else CLEAR), ""


def _port(named: dict[bytes, bytes]) -> int | None:
    told = next((named[name] for name in _PORTS if name in named), b"")
    return int(told) if told.isdigit() else None


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
