"""Desired state to one Dovecot drop-in file, for Dovecot 2.3 and 2.4.

Measured on 2.3.19.1: a ``protocol`` block and a ``local_name`` block that both set a certificate
are a "Conflict in setting ssl_cert"; :mod:`mailadmin.mailconf.rules` keeps such states out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from mailadmin.mailconf import material
from mailadmin.mailconf.profiles import KEPT, PROFILES
from mailadmin.mailconf.services import Daemon, Protocol, TlsMode
from mailadmin.mailconf.state import ANY_ADDRESS, DesiredState, ListenerState, SniBinding

# Which program of Dovecot has the ports of a protocol.
LOGIN_SERVICES: Mapping[Protocol, str] = {
    Protocol.IMAP: "imap-login",
    Protocol.POP3: "pop3-login",
    Protocol.SIEVE: "managesieve-login",
}
_EVERY_ADDRESS = "*, ::"
_HEADER = "# Written by mailadmin. Edits here are overwritten by the next apply.\n"
_GENTLE_RELOAD = (
    "# A reload lets sessions that are logged in, and mail being delivered, finish.",
    "shutdown_clients = no",
)
_PLAIN = re.compile(r"[A-Za-z0-9_./:=,+*!@-]+")


def quote_value(value: str) -> str:
    """Return a value as Dovecot reads it back, quoted where it is not plain.

    Raises ``ValueError`` for control characters: a line break would start another setting.
    """
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("a control character cannot be written to a Dovecot file")
    if not value or _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def render(
    state: DesiredState,
    *,
    version: tuple[int, int],
    live: str,
    protocols: Iterable[str] = ("imap", "pop3", "sieve"),
) -> str:
    """Return the drop-in; empty where the host's own files say all that is wanted.

    ``live`` is the folder of the PEM files, ``protocols`` those installed on the host: a block for
    another one would be refused by Dovecot's parser.
    """
    known = set(protocols)
    listeners = [
        item
        for item in state.listeners
        if item.definition.daemon is Daemon.DOVECOT and item.definition.protocol in known
    ]
    is_kept = state.tls_profile == KEPT
    if is_kept and not (listeners or state.default_certificate or state.sni_bindings):
        return ""
    settings = _kept_settings if is_kept else _global_settings
    return "\n".join(
        part
        for part in (
            _HEADER + settings(state, version, live),
            *(_protocol_block(state, listeners, item, version, live) for item in LOGIN_SERVICES),
            *(_name_block(state, binding, version, live) for binding in state.sni_bindings),
            *(_service_block(listeners, protocol, version) for protocol in LOGIN_SERVICES),
        )
        if part
    )


def _global_settings(state: DesiredState, version: tuple[int, int], live: str) -> str:
    profile = PROFILES[state.tls_profile]
    is_new = version >= (2, 4)
    lines = ["ssl = required"]
    if state.default_certificate:
        files = material.pair_files(state, material.DEFAULT, state.default_certificate)
        lines += _certificate_lines(files, version, live)
    lines.append(f"ssl_min_protocol = {profile.minimum_version}")
    if profile.ciphers:
        lines.append(f"ssl_cipher_list = {quote_value(':'.join(profile.ciphers))}")
    if is_new:
        lines += ["ssl_server_prefer_ciphers = client", "auth_allow_cleartext = no"]
    else:
        lines += ["ssl_prefer_server_ciphers = no", "disable_plaintext_auth = yes"]
    return _as_text([*lines, *_GENTLE_RELOAD])


def _kept_settings(state: DesiredState, version: tuple[int, int], live: str) -> str:
    """Return what is said for all where the host's own files say the rest."""
    lines: list[str] = []
    if state.default_certificate:
        files = material.pair_files(state, material.DEFAULT, state.default_certificate)
        lines += _certificate_lines(files, version, live)
    return _as_text([*lines, *_GENTLE_RELOAD])


def _certificate_lines(files: Iterable[str], version: tuple[int, int], live: str) -> list[str]:
    """Return the settings for the files of a pair, or for one alone.

    The second pair is always said, empty where there is none: a host name or a protocol without
    one of its own would be shown the global one. Empty it is none (measured, 2.3.19 and 2.4.1).
    """
    first, second, *_ = *(f"{live}/{name}" for name in files), ""
    if version >= (2, 4):
        first, second = quote_value(first), quote_value(second)
        settings = ("ssl_server_cert_file", "ssl_server_key_file")
        beside = ("ssl_server_alt_cert_file", "ssl_server_alt_key_file")
    else:
        first, second = f"<{first}", f"<{second}" if second else ""
        settings, beside = ("ssl_cert", "ssl_key"), ("ssl_alt_cert", "ssl_alt_key")
    return [
        *(f"{setting} = {first}" for setting in settings),
        *(f"{setting} = {second}".rstrip() for setting in beside),
    ]


def _protocol_block(
    state: DesiredState,
    listeners: list[ListenerState],
    protocol: Protocol,
    version: tuple[int, int],
    live: str,
) -> str:
    """Return what one protocol has of its own: a certificate, or passwords in clear allowed."""
    lines: list[str] = []
    ours = [item for item in listeners if item.definition.protocol is protocol]
    own = {material.own_certificate_file(state, item): state.certificate_for(item) for item in ours}
    for name, fingerprint in sorted(own.items()):
        if name:
            files = material.pair_files(state, name, fingerprint)
            lines += _certificate_lines(files, version, live)
    modes = {item.tls_mode for item in ours if item.is_enabled}
    is_new = version >= (2, 4)
    if TlsMode.NONE in modes:
        lines.append("ssl = yes")
        lines.append("auth_allow_cleartext = yes" if is_new else "disable_plaintext_auth = no")
    elif TlsMode.STARTTLS in modes and state.tls_profile == KEPT:
        # Elsewhere this is said for all protocols.
        lines.append("ssl = required")
        lines.append("auth_allow_cleartext = no" if is_new else "disable_plaintext_auth = yes")
    return _block(f"protocol {protocol}", lines)


def _name_block(
    state: DesiredState, binding: SniBinding, version: tuple[int, int], live: str
) -> str:
    name = material.name_file(binding.host_name)
    files = material.pair_files(state, name, binding.certificate)
    head = f"local_name {quote_value(binding.host_name)}"
    return _block(head, _certificate_lines(files, version, live))


def _service_block(
    listeners: list[ListenerState], protocol: Protocol, version: tuple[int, int]
) -> str:
    lines: list[str] = []
    for item in listeners:
        if item.definition.protocol is protocol:
            lines += _listener_lines(item, version)
    return _block(f"service {LOGIN_SERVICES[protocol]}", lines)


def _listener_lines(listener: ListenerState, version: tuple[int, int]) -> list[str]:
    lines = [f"inet_listener {listener.service} {{"]
    # Port 0 closes a listener that the distribution's files open (service(5) of Dovecot).
    lines.append(f"  port = {listener.port if listener.is_enabled else 0}")
    if listener.is_enabled:
        # Said for every address too: left out, it would be those of the global ``listen``.
        address = _EVERY_ADDRESS if listener.address == ANY_ADDRESS else listener.address
        name = "listen" if version >= (2, 4) else "address"
        lines.append(f"  {name} = {quote_value(address)}")
    if listener.tls_mode is TlsMode.IMPLICIT:
        lines.append("  ssl = yes")
    return [*lines, "}"]


def _block(head: str, lines: list[str]) -> str:
    if not lines:
        return ""
    inner = "".join(f"  {line}\n" for line in lines)
    return f"{head} {{\n{inner}}}\n"


def _as_text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


# What every new login process reads anew: these lines need no reload (measured, 2.3 and 2.4).
_REREAD = re.compile(
    r"(ssl_cert|ssl_key|ssl_alt_cert|ssl_alt_key|ssl_server_cert_file|ssl_server_key_file"
    r"|ssl_server_alt_cert_file|ssl_server_alt_key_file|ssl_min_protocol|ssl_cipher_list)\s*="
)


def reload_part(text: str) -> str:
    """Return the drop-in without the lines that a re-read puts into effect.

    When two drop-ins agree in this part no listener changes, and no reload is needed.
    """
    lines = [line for line in text.splitlines() if not _REREAD.match(line.strip())]
    kept = "\n".join(lines)
    # A host name's block, and a protocol's that held only a certificate, are empty now.
    return re.sub(r"(?:local_name|protocol) [^{\n]* \{\n\}\n*", "", kept).rstrip("\n")
