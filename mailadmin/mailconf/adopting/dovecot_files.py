"""Read Dovecot as an admin left it: listeners, what each protocol and name serves, what is odd.

What the settings are is Dovecot's own word (``doveconf``); the texts of its files only tell where
something stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from mailadmin.mailconf.adopting.base import DaemonBase, FileGroup, FoundListener, found
from mailadmin.mailconf.dovecot_settings import DovecotSettings, read_listeners
from mailadmin.mailconf.services import SERVICES, Daemon
from mailadmin.mailconf.state import ListenerState
from mailadmin.pki.problems import Problem, Severity

_OWN_SERVICES = frozenset({"imap-login", "pop3-login", "managesieve-login"})
_OWN_LISTENERS = frozenset(
    name for name, service in SERVICES.items() if service.daemon is Daemon.DOVECOT
)
_TLS_SETTING = re.compile(r"\s*((?:ssl|auth_allow_cleartext|disable_plaintext_auth)\w*)\s*=")
_UNDERSTOOD = re.compile(
    r"ssl$|ssl_(server_)?(alt_)?(cert|key)(_file)?$|disable_plaintext_auth$|auth_allow_cleartext$"
)
_FILTER = re.compile(r"\s*(local|remote)\s+\S+\s*\{")


def read_dovecot(settings: DovecotSettings, texts: Mapping[str, str]) -> DaemonBase:
    """Return what Dovecot's files say without our drop-in; ``texts`` are the files, by path."""
    common = _files(settings)
    names: dict[str, FileGroup] = {}
    findings: list[Problem] = []
    for host_names, files in _names(settings):
        if any("*" in name for name in host_names):
            findings.append(_at("found.name_pattern", texts, f"local_name {host_names[0]}"))
        else:
            names |= dict.fromkeys(host_names, files)
    listeners = tuple(_with_files(item, settings, common) for item in read_listeners(settings))
    return DaemonBase(
        listeners=listeners,
        files=common,
        names=names,
        findings=(
            *findings,
            *_odd_listeners(settings, texts),
            *_odd_lines(texts),
        ),
    )


def _with_files(item: ListenerState, settings: DovecotSettings, common: FileGroup) -> FoundListener:
    if not item.is_enabled:
        return FoundListener(item)
    own = _files(settings, f"protocol {item.definition.protocol}")
    return FoundListener(item, own or common, bool(own))


def _files(settings: DovecotSettings, *section: str) -> FileGroup:
    pairs = settings.certificate_files(*section)
    return tuple(path for pair in pairs for path in pair if path)


def _names(settings: DovecotSettings) -> Iterator[tuple[list[str], FileGroup]]:
    """Yield the host names of each ``local_name`` with a certificate of its own."""
    for section in settings.sections:
        kind, _, rest = section[0].partition(" ")
        files = _files(settings, section[0])
        # 2.4 sets the files in a section of the section: each is met once.
        if kind == "local_name" and files and section == _first_of(settings, section[0]):
            yield [name.lower() for name in rest.strip('"').split()], files


def _first_of(settings: DovecotSettings, head: str) -> tuple[str, ...] | None:
    return next((item for item in settings.sections if item[0] == head), None)


def _odd_listeners(settings: DovecotSettings, texts: Mapping[str, str]) -> Iterator[Problem]:
    for section in settings.sections:
        if len(section) < 2 or not section[1].startswith("inet_listener "):
            continue
        service, listener = section[0].partition(" ")[2], section[1].partition(" ")[2]
        port = settings.get(*section, "port")
        is_ours = service in _OWN_SERVICES and listener in _OWN_LISTENERS
        if port.isdecimal() and int(port) and not is_ours and _is_on(settings, service):
            yield _at("found.other_port", texts, f"inet_listener {listener}", Severity.INFO)


def _is_on(settings: DovecotSettings, service: str) -> bool:
    """Tell whether a login service belongs to a protocol that is switched on."""
    protocol, is_login, _ = service.partition("-login")
    known = {"managesieve": "sieve"}.get(protocol, protocol)
    return not is_login or known in settings.protocols


def _odd_lines(texts: Mapping[str, str]) -> Iterator[Problem]:
    for path, text in texts.items():
        for number, line in enumerate(text.splitlines(), start=1):
            setting = _TLS_SETTING.match(line)
            if _FILTER.match(line):
                yield found("found.filter", path, number, line)
            elif setting and not _UNDERSTOOD.match(setting[1]):
                yield found("found.setting", path, number, line, Severity.INFO)


def _at(
    code: str, texts: Mapping[str, str], head: str, severity: Severity = Severity.WARNING
) -> Problem:
    """Return a finding with the place where its section begins; 0 where no file has it."""
    for path, text in texts.items():
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.replace('"', "").replace("{", " ").split()
            if words[: len(head.split())] == head.split():
                return found(code, path, number, line, severity)
    return found(code, "dovecot", 0, head, severity)
