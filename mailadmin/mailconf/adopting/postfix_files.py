"""Read main.cf and master.cf as an admin left them: listeners, what each serves, what is odd."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from mailadmin.mailconf import block, main_cf, master_cf
from mailadmin.mailconf.addresses import normalize_address
from mailadmin.mailconf.adopting.base import DaemonBase, FileGroup, FoundListener, found
from mailadmin.mailconf.adopting.expansion import expand
from mailadmin.mailconf.logical_lines import WHITE_SPACE, is_comment, logical_lines
from mailadmin.mailconf.master_cf import Entry
from mailadmin.mailconf.postfix import (
    OLD_CERTIFICATES,
    PostfixFiles,
    entry_on_port,
    read_listeners,
    tls_level,
)
from mailadmin.mailconf.rules import is_address
from mailadmin.mailconf.services import SERVICES, Daemon, TlsMode
from mailadmin.mailconf.state import ANY_ADDRESS, ListenerState
from mailadmin.pki.problems import Problem, Severity

_CERTIFICATES = ("smtpd_tls_chain_files", *OLD_CERTIFICATES)
# What the panel has words for, or what its certificates are told by.
_UNDERSTOOD = frozenset({*_CERTIFICATES, "smtpd_tls_security_level", "tls_server_sni_maps"})
_TLS_SETTING = re.compile(r"smtpd_(tls_|use_tls|enforce_tls)|tls_", re.ASCII)
_RESTRICTIONS = (
    "smtpd_client_restrictions", "smtpd_sender_restrictions", "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions",
)  # fmt: skip
# The default of postconf(5) since 2.10.
_USUAL_RELAYING = "permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination"
_POSTFIX_PORTS = frozenset(
    service.port for service in SERVICES.values() if service.daemon is Daemon.POSTFIX
)


@dataclass(frozen=True, slots=True)
class PostfixSource:
    """The files and what else must be known to read them.

    ``parameters`` are defaults that paths are built from (``config_directory``); ``tables`` the
    sources of lookup tables, by path.
    """

    files: PostfixFiles
    parameters: Mapping[str, str]
    tables: Mapping[str, str]


def read_postfix(source: PostfixSource) -> DaemonBase:
    """Return what the files say where our block and our marks are left out."""
    files = original_files(source.files)
    settings = dict(source.parameters) | main_cf.read_parameters(files.main_cf)
    names, findings = _read_names(source)
    return DaemonBase(
        listeners=tuple(_listener(item, files, settings) for item in read_listeners(files)),
        files=_certificate_files(settings, settings),
        names=names,
        findings=(
            *_odd_entries(files.master_cf),
            *_odd_parameters(files.main_cf, settings),
            *findings,
        ),
    )


def original_files(files: PostfixFiles) -> PostfixFiles:
    """Return the files as they are without the panel."""
    return PostfixFiles(block.remove_block(files.main_cf), block.remove_block(files.master_cf))


def table_sources(source: PostfixFiles, parameters: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return type and path of each table of host names (``tls_server_sni_maps``)."""
    settings = dict(parameters) | main_cf.read_parameters(original_files(source).main_cf)
    value = expand(settings.get("tls_server_sni_maps", ""), settings)
    tables = (word.partition(":") for word in value.replace(",", " ").split())
    return [(kind, path) for kind, _, path in tables]


def _listener(
    state: ListenerState, files: PostfixFiles, settings: Mapping[str, str]
) -> FoundListener:
    if state.address == ANY_ADDRESS:
        state = replace(state, address=own_address(settings))
    if not state.is_enabled:
        return FoundListener(state)
    entry = entry_on_port(files.master_cf, SERVICES[state.service].port)
    options = entry.options if entry else {}
    both = dict(settings) | options
    own = _certificate_files(options, both)
    files_used = own or _certificate_files(settings, settings)
    level = tls_level(both) if files_used else "none"
    if level == "none" or (state.service == "submission" and level != "encrypt"):
        is_implicit = state.tls_mode is TlsMode.IMPLICIT
        state = state if is_implicit else replace(state, tls_mode=TlsMode.NONE)
    if state.definition.is_login_expected:
        state = replace(state, is_login_required=_is_login_required(both))
    return FoundListener(state, files_used, bool(own))


def _certificate_files(settings: Mapping[str, str], known: Mapping[str, str]) -> FileGroup:
    """Return the files in use: chain files, or else the older settings (postconf(5))."""
    chain = _paths(settings.get("smtpd_tls_chain_files", ""), known)
    if chain:
        return chain
    return tuple(
        path
        for certificate, key in zip(OLD_CERTIFICATES[::2], OLD_CERTIFICATES[1::2], strict=True)
        for path in _pair(settings, certificate, key, known)
    )


def _pair(
    settings: Mapping[str, str], certificate: str, key: str, known: Mapping[str, str]
) -> FileGroup:
    paths = _paths(settings.get(certificate, ""), known)
    # The key is by default in the file of the certificate.
    return (*paths, *_paths(settings.get(key, ""), known)) if paths and paths[0] != "none" else ()


def _paths(value: str, known: Mapping[str, str]) -> FileGroup:
    return tuple(expand(value, known).replace(",", " ").split())


def _is_login_required(settings: Mapping[str, str]) -> bool:
    """Tell whether some restriction turns away everybody who has not logged in.

    One that lets others pass first, like the host's own networks, does not.
    """
    if settings.get("smtpd_sasl_auth_enable") != "yes":
        return False
    defaults = {"smtpd_relay_restrictions": _USUAL_RELAYING}
    return any(
        _is_for_users_only(expand(settings.get(name, defaults.get(name, "")), settings))
        for name in _RESTRICTIONS
    )


def _is_for_users_only(restrictions: str) -> bool:
    for word in restrictions.replace(",", " ").split():
        if word == "reject":
            return True
        if word.startswith("permit") and word != "permit_sasl_authenticated":
            return False
    return False


def _read_names(source: PostfixSource) -> tuple[dict[str, FileGroup], list[Problem]]:
    names: dict[str, FileGroup] = {}
    findings: list[Problem] = []
    for kind, path in table_sources(source.files, source.parameters):
        text = source.tables.get(path)
        if text is None:
            where = f"tls_server_sni_maps = {kind}:{path}"
            findings.append(found("found.sni_map_unreadable", path, 0, where))
            continue
        for number, line in _table_lines(text):
            name, *files = line.split()
            if name.startswith("."):
                findings.append(found("found.name_pattern", path, number, line))
            else:
                # The first table that has a name answers, and the first line of a table.
                names.setdefault(name.lower(), tuple(item.strip(",") for item in files))
    return names, findings


def _table_lines(text: str) -> Iterator[tuple[int, str]]:
    number = 1
    for line in logical_lines(text):
        if line.text.strip(WHITE_SPACE):
            yield number, line.text
        number += len(line.lines)


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """Yield each logical line of main.cf or master.cf and the number of its first line."""
    number = 1
    for line in logical_lines(text):
        heads = [position for position, part in enumerate(line.lines) if not is_comment(part)]
        if line.text and heads:
            yield number + heads[0], line.text
        number += len(line.lines)


def _odd_entries(text: str) -> Iterator[Problem]:
    used = {port: entry_on_port(text, port) for port in _POSTFIX_PORTS}
    for number, line in numbered(text):
        for entry in master_cf.read_entries(line):
            if entry.kind != "inet":
                continue
            problem = _odd_entry(entry, used, number, line)
            if problem:
                yield problem


def _odd_entry(
    entry: Entry, used: Mapping[int, Entry | None], number: int, line: str
) -> Problem | None:
    where = entry.address_and_port
    if where is None or where[1] not in used:
        return found("found.other_port", "master.cf", number, line, Severity.INFO)
    if entry.command != "smtpd":
        return found("found.other_program", "master.cf", number, line)
    if entry != used[where[1]]:
        return found("found.second_service", "master.cf", number, line)
    return None


def _odd_parameters(text: str, settings: Mapping[str, str]) -> Iterator[Problem]:
    for number, line in numbered(text):
        name = line.partition("=")[0].strip(WHITE_SPACE)
        if _TLS_SETTING.match(name) and name not in _UNDERSTOOD:
            yield found("found.setting", "main.cf", number, line, Severity.INFO)
        elif name == "multi_instance_directories" and settings[name]:
            yield found("found.other_instance", "main.cf", number, line)
        elif name == "inet_interfaces" and _names_several(expand(settings[name], settings)):
            yield found("found.several_addresses", "main.cf", number, line)


def _names_several(value: str) -> bool:
    """Tell whether services without an address listen on some addresses, but not on all."""
    words = value.replace(",", " ").split()
    return len(words) > 1 and "all" not in words


def own_address(settings: Mapping[str, str]) -> str:
    """Return the one IP address that ``inet_interfaces`` names; ``*`` if it names none or more."""
    words = expand(settings.get("inet_interfaces", ""), settings).replace(",", " ").split()
    address = normalize_address(words[0].strip("[]")) if len(words) == 1 else ANY_ADDRESS
    return address if is_address(address) else ANY_ADDRESS
