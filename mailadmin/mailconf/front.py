"""Dovecot in two instances: one that has the ports, and one that has passwords and mailboxes.

A reload of Dovecot cuts the connections that are just logging in, since the process which checked
the password is gone when the mailbox is to be opened. Where the ports are an instance's own (the
*front*), opening or closing one reloads that alone; the instance of dovecot.conf, which keeps the
passwords, mailboxes and deliveries, is not touched (measured: 12 changes, no session lost).

The front is told where the other one's sockets are by ``-l`` and the last word of its login
processes' command (src/login-common/main.c, 2.3.19 and 2.4.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from mailadmin.mailconf.dovecot import LOGIN_SERVICES, quote_value
from mailadmin.mailconf.dovecot_settings import DovecotSettings, Path
from mailadmin.mailconf.services import SERVICES, Daemon, Protocol
from mailadmin.pki.problems import Problem, Severity

_Tree: TypeAlias = "dict[str, str | _Tree]"

_HEADER = "# Written by mailadmin. Edits here are overwritten by the next apply.\n"
_ABOUT_FRONT = (
    "# An instance of Dovecot for the ports alone. What it says of TLS and logins is what\n"
    "# dovecot.conf and the files it includes say; passwords and mailboxes stay with those.\n"
)
_ABOUT_CORE = "# These ports are those of another instance: mailadmin-front.conf has them.\n"
# What a login process or its master reads, by how the name of the setting begins.
_COPIED = re.compile(
    r"(ssl|login_|listen$|haproxy_|imap_|pop3_|managesieve_|default_|verbose_|log_|syslog_"
    r"|disable_plaintext_auth$|auth_allow_cleartext$|import_environment$|libexec_dir$)|\w+_log_path$"
)
# What a client of Dovecot's own would need, and that has nothing to do with those who come in.
_NOT_COPIED = re.compile(r"ssl_client")
_VERSIONS = ("dovecot_config_version", "dovecot_storage_version")
_FILTERS = re.compile(r"(local_name|local|remote)\s")
_KEY_PASSWORDS = frozenset({"ssl_key_password", "ssl_server_key_password", "key_password"})
_PROTOCOL_BLOCKS = frozenset(f"protocol {item}" for item in LOGIN_SERVICES)
_OF_COMMAND = ("executable", "chroot")


@dataclass(frozen=True, slots=True)
class Places:
    """Where the two instances are: folders of sockets, and our drop-in as the front includes it."""

    core_base_dir: str
    front_base_dir: str
    dropin: str

    @property
    def sockets(self) -> str:
        """Return the folder of the sockets that the login processes hand their clients to."""
        return f"{self.core_base_dir}/login"


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What the host's own files say, ours left out: all, and what differs from the defaults."""

    every: DovecotSettings
    changed: DovecotSettings

    @property
    def protocols(self) -> tuple[str, ...]:
        """Return the protocols that have a login service here, in the order of the registry."""
        installed = set(self.every.protocols)
        return tuple(str(item) for item in LOGIN_SERVICES if str(item) in installed)

    @property
    def login_services(self) -> tuple[str, ...]:
        """Return the names of these login services."""
        return tuple(LOGIN_SERVICES[Protocol(item)] for item in self.protocols)


def render_front(host: HostSettings, places: Places) -> str:
    """Return the file of the instance that has the ports; it includes our drop-in."""
    values = host.changed.values
    name = host.every.get("instance_name").strip('"') or "dovecot"
    tree: _Tree = {item: values[(item,)] for item in _VERSIONS if (item,) in values}
    tree |= {
        "base_dir": quote_value(places.front_base_dir),
        "state_dir": quote_value(f"{places.front_base_dir}/state"),
        "instance_name": quote_value(f"{name}-front"),
        "protocols": " ".join(host.protocols),
    }
    for path, value in values.items():
        if _is_copied(path):
            _put(tree, path, value)
    tree["shutdown_clients"] = "no"
    for protocol, service in zip(host.protocols, host.login_services, strict=True):
        command = f"{service} -l {places.sockets}/{protocol} {places.sockets}/login"
        # As shipped a login process is locked into the folder of its own instance's sockets.
        own: _Tree = {"executable": command, "chroot": ""}
        for path, value in values.items():
            if path[0] == f"service {service}" and _is_of_login_service(path):
                _put(own, path[1:], value)
        tree[f"service {service}"] = own
    include = f"!include_try {places.dropin}\n"
    return _HEADER + _ABOUT_FRONT + "".join(_lines(tree)) + include


def render_core(host: HostSettings) -> str:
    """Return the drop-in, to be read after all others, by which the first instance has no ports."""
    tree: _Tree = {}
    for service, listener in listeners_to_close(host):
        _put(tree, (f"service {service}", f"inet_listener {listener}", "port"), "0")
    return _HEADER + _ABOUT_CORE + "".join(_lines(tree))


def listeners_to_close(host: HostSettings) -> list[tuple[str, str]]:
    """Return every listener of a login service, known to us or only to the host's files."""
    known = [
        (LOGIN_SERVICES[item.protocol], name)
        for name, item in SERVICES.items()
        if item.daemon is Daemon.DOVECOT
    ]
    theirs = [
        (path[0].removeprefix("service "), path[1].removeprefix("inet_listener "))
        for path in host.every.sections
        if len(path) == 2 and path[1].startswith("inet_listener ")
    ]
    services = host.login_services
    both = dict.fromkeys(item for item in (*known, *theirs) if item[0] in services)
    return sorted(both, key=lambda item: services.index(item[0]))


def find_open_listener(settings: DovecotSettings) -> tuple[str, str] | None:
    """Return a listener, and its port, that an instance would open for those who log in."""
    installed = set(settings.protocols)
    services = {f"service {name}" for item, name in LOGIN_SERVICES.items() if item in installed}
    for path, value in settings.values.items():
        is_port = len(path) == 3 and path[0] in services and path[2] == "port"
        if is_port and path[1].startswith("inet_listener ") and value != "0":
            return path[1].removeprefix("inet_listener "), value
    return None


def find_problems(host: HostSettings) -> list[Problem]:
    """Return what of the host's files cannot be told to a second instance."""
    problems = []
    if any(path[-1] in _KEY_PASSWORDS and value for path, value in host.changed.values.items()):
        problems.append(Problem("front.key_password", Severity.ERROR, "dovecot"))
    for service in host.login_services:
        for setting in _OF_COMMAND:
            if (f"service {service}", setting) in host.changed.values:
                about = {"service": service, "setting": setting}
                code = "front.login_service_changed"
                problems.append(Problem(code, Severity.ERROR, "dovecot", about))
    return problems


def _is_copied(path: Path) -> bool:
    """Tell whether the setting is the front's as well, at the top or in a block for some."""
    *around, name = path
    # Dovecot 2.4 prints the certificate of a block in a section of its own.
    is_of_pair = bool(around) and around[-1] == "ssl_server"
    blocks = around[:-1] if is_of_pair else around
    if name in _KEY_PASSWORDS:
        return False
    is_told_clients = all(_FILTERS.match(item) or item in _PROTOCOL_BLOCKS for item in blocks)
    is_wanted = bool(_COPIED.match(name)) and not _NOT_COPIED.match(name)
    return is_told_clients and (is_of_pair or is_wanted)


def _is_of_login_service(path: Path) -> bool:
    is_own = len(path) == 2 and path[1] not in _OF_COMMAND
    return is_own or (len(path) > 2 and path[1].startswith("inet_listener "))


def _put(tree: _Tree, path: Iterable[str], value: str) -> None:
    *sections, name = path
    for section in sections:
        inner = tree.get(section)
        if not isinstance(inner, dict):
            inner = tree[section] = {}
        tree = inner
    tree[name] = value


def _lines(tree: _Tree, indent: str = "") -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, str):
            yield f"{indent}{name} = {value}".rstrip() + "\n"
        else:
            yield f"{indent}{name} {{\n"
            yield from _lines(value, f"{indent}  ")
            yield f"{indent}}}\n"
