"""Which service logs under which name, by the configuration of today."""

from __future__ import annotations

from collections.abc import Iterable

from mailadmin.mailconf.maillog.access import Naming, Services
from mailadmin.mailconf.master_cf import Entry, read_entries
from mailadmin.mailconf.services import SERVICES, Protocol
from mailadmin.mailconf.state import ListenerState

_SERVICE_NAME = ("${service_name}", "$service_name")


def read_naming(master_cf: str, syslog_name: str, listeners: Iterable[ListenerState]) -> Naming:
    """Return the names that master.cf gives; ``syslog_name`` is main.cf's, for those without one.

    A service on a port that is nobody's (a mail filter's way back) says nothing of any name.
    """
    ports = {service.port: name for name, service in SERVICES.items()}
    ports |= {item.port: item.service for item in listeners if item.is_enabled}
    found: dict[str, set[str]] = {}
    for entry in read_entries(master_cf):
        service = _service_of(entry, ports)
        if service:
            found.setdefault(_log_name(entry, syslog_name), set()).add(service)
    return Naming({name: _in_order(services) for name, services in found.items()}, ports)


def _service_of(entry: Entry, ports: dict[int, str]) -> str:
    if entry.command != "smtpd":
        return ""
    if entry.kind == "pass":
        # Postscreen hands over what came to port 25.
        return "smtp"
    where = entry.address_and_port
    service = ports.get(where[1], "") if where else ""
    return service if service and SERVICES[service].protocol is Protocol.SMTP else ""


def _log_name(entry: Entry, syslog_name: str) -> str:
    name = entry.options.get("syslog_name", syslog_name)
    for variable in _SERVICE_NAME:
        name = name.replace(variable, entry.name)
    return f"{name}/smtpd"


def _in_order(services: set[str]) -> Services:
    return tuple(name for name in SERVICES if name in services)
