"""Who listens where: asked first, because neither daemon tells (a reload says 0; measured)."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from mailadmin.mailconf.state import ANY_ADDRESS
from mailadmin.pki.problems import Param, Problem, Severity

UNKNOWN = "unknown"
_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Holder:
    """A program that listens on a port."""

    program: str
    pid: int
    address: str


def find_holder(address: str, port: int) -> Holder | None:
    """Return who listens on this address and port, or on every address; None if nobody does.

    Of the processes that share a socket the youngest is named: a login process that is gone a
    moment later. Then it is asked again, for a port of ours must not look like a stranger's.
    """
    holder = _look_for_holder(address, port)
    for _ in range(_LOOKS - 1):
        if holder is None or holder.program != UNKNOWN:
            break
        holder = _look_for_holder(address, port)
    return holder


def _look_for_holder(address: str, port: int) -> Holder | None:
    for row in psutil.net_connections("tcp"):
        if row.status != psutil.CONN_LISTEN or not row.laddr or row.laddr.port != port:
            continue
        if row.laddr.ip in {address, "0.0.0.0", "::"} or address == ANY_ADDRESS:  # noqa: S104 - compared, not bound
            return Holder(_program_name(row.pid), row.pid or 0, row.laddr.ip)
    return None


def listens(processes: Iterable[psutil.Process], port: int) -> bool:
    """Tell whether one of these processes listens on the port, alone or with others."""
    return any(port in _ports_of(process) for process in processes)


def _ports_of(process: psutil.Process) -> set[int]:
    try:
        rows = process.net_connections("tcp")
    except psutil.Error:
        return set()
    return {row.laddr.port for row in rows if row.status == psutil.CONN_LISTEN and row.laddr}


def is_mail_program(program: str) -> bool:
    """Tell whether the program belongs to Postfix or Dovecot, be it an orphan of a dead master."""
    return program in {"master", "smtpd", "dovecot"} or program.endswith("-login")


def is_local_address(address: str) -> bool:
    """Tell whether this machine has the address."""
    if address == ANY_ADDRESS:
        return True
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        try:
            trial.bind((address, 0))
        except OSError:
            return False
    return True


def bind_problem(service: str, address: str, port: int) -> Problem | None:
    """Return why a daemon could not listen there, by trying; None if it could."""
    wanted = "::" if address == ANY_ADDRESS else address
    family = socket.AF_INET6 if ipaddress.ip_address(wanted).version == 6 else socket.AF_INET
    where: dict[str, Param] = {"address": address, "port": port}
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            # Both daemons set it; without it a port just closed would look taken.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((wanted, port))
            trial.listen(1)
    except OSError as error:
        return _bind_problem(service, where, error)
    return None


def listen_on(address: str, port: int) -> socket.socket:
    """Return a socket that listens there, on no other family. Raises ``OSError``."""
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((address, port))
        listening.listen(64)
    except OSError:
        listening.close()
        raise
    return listening


def _bind_problem(service: str, where: dict[str, Param], error: OSError) -> Problem:
    if error.errno == errno.EADDRINUSE:
        holder = find_holder(str(where["address"]), int(where["port"]))
        if holder:
            taken: dict[str, Param] = {"program": holder.program, "pid": holder.pid}
            return Problem("port.taken", Severity.ERROR, service, where | taken)
        return Problem("port.taken_by_unknown", Severity.ERROR, service, where)
    if error.errno == errno.EADDRNOTAVAIL:
        return Problem("port.address_not_local", Severity.ERROR, service, where)
    detail = error.strerror or "unknown"
    return Problem("port.not_bindable", Severity.ERROR, service, where | {"detail": detail})


def _program_name(pid: int | None) -> str:
    if pid is None:
        return UNKNOWN
    try:
        return str(psutil.Process(pid).name())
    except psutil.Error:
        return UNKNOWN
