"""Which ports fail2ban bans on, by what ``fail2ban-client -d`` prints of its configuration."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mailadmin.mailconf.guards.packet_filter import PortRange
from mailadmin.mailconf.services import SERVICES

_MAIL = re.compile(r"postfix|dovecot|sieve|sasl|mail|imap|pop3", re.IGNORECASE)
_EVERY_PORT: PortRange = (0, 65535)
# Names that /etc/services has for our ports besides the registry's own.
_ALSO = {"smtps": 465, "ssmtp": 465, "urd": 465, "imap2": 143, "imap4": 143, "pop-3": 110}


@dataclass(frozen=True, slots=True)
class Jail:
    """One that is switched on, and where it bans."""

    name: str
    ports: tuple[PortRange, ...]

    @property
    def is_of_mail(self) -> bool:
        """Tell whether it looks for those who guess passwords of mail."""
        return _MAIL.search(self.name) is not None

    def is_banning_on(self, port: int) -> bool:
        """Tell whether whom it bans cannot reach the port."""
        return any(low <= port <= high for low, high in self.ports)


def read_jails(dump: str) -> tuple[Jail, ...]:
    """Return the jails; lines that are not of the configuration (warnings) are passed over."""
    found: dict[str, list[PortRange]] = {}
    for command in _commands(dump):
        match command:
            case ["add", str(name), *_]:
                found.setdefault(name, [])
            case ["multi-set", str(name), "action", str(action), list(values)]:
                ports = found.setdefault(name, [])
                ports += [_EVERY_PORT] if "allports" in action else _action_ports(values)
            case ["set", str(name), "action", str(), "port", str(text)]:
                found.setdefault(name, []).extend(_ranges(text))
            case _:
                continue
    return tuple(Jail(name, tuple(ports)) for name, ports in found.items())


def uncovered(jails: Iterable[Jail], ports: Iterable[int]) -> tuple[int, ...]:
    """Return the ports on which no jail of mail bans."""
    of_mail = [jail for jail in jails if jail.is_of_mail]
    return tuple(port for port in ports if not any(jail.is_banning_on(port) for jail in of_mail))


def _commands(dump: str) -> Iterator[object]:
    for line in dump.splitlines():
        if line.startswith("["):
            try:
                yield ast.literal_eval(line)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue


def _action_ports(values: list[object]) -> list[PortRange]:
    for value in values:
        match value:
            case ["port", str(text)]:
                return list(_ranges(text))
            case _:
                continue
    return []


def _ranges(text: str) -> Iterator[PortRange]:
    for part in text.split(","):
        low, _, high = part.strip().partition(":")
        ends = (_number(low), _number(high or low))
        if ends[0] is not None and ends[1] is not None:
            yield ends[0], ends[1]


def _number(text: str) -> int | None:
    if text.isdecimal():
        return int(text)
    service = SERVICES.get(text)
    return service.port if service else _ALSO.get(text)
