"""The sandbox's main.cf and master.cf, made from the files Debian ships: text in, text out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mailadmin.sandbox.settings import SandboxSettings


@dataclass(frozen=True)
class PostfixLayout:
    """The folders and files of one private Postfix."""

    config_directory: Path
    queue_directory: Path
    data_directory: Path
    log: Path
    mailboxes: Path
    aliases: Path


@dataclass(frozen=True)
class MailPeers:
    """What Postfix needs from outside its own folders."""

    certificate: Path
    certificate_key: Path
    auth_socket: Path
    lmtp_socket: Path


def set_parameter(text: str, name: str, value: str) -> str:
    """Return main.cf with ``name`` set once: in place where it stands, else at the end."""
    line = f"{name} = {value}".rstrip()
    pattern = re.compile(rf"^{re.escape(name)}[ \t]*=.*(?:\n[ \t]+\S.*)*$", re.MULTILINE)
    if pattern.search(text):
        return pattern.sub(lambda _: line, text)
    return f"{text.rstrip()}\n{line}\n"


def render_main_cf(
    shipped: str, settings: SandboxSettings, layout: PostfixLayout, peers: MailPeers
) -> str:
    """Return Debian's main.cf with what an installation of its own needs."""
    text = shipped
    for comment, parameters in _main_cf_sections(settings, layout, peers):
        known = {name for name in parameters if re.search(rf"^{name}[ \t]*=", text, re.MULTILINE)}
        for name in known:
            text = set_parameter(text, name, parameters[name])
        rest = {name: value for name, value in parameters.items() if name not in known}
        if rest:
            text = f"{text.rstrip()}\n\n# {comment}\n"
            for name, value in rest.items():
                text = set_parameter(text, name, value)
    return text


def _main_cf_sections(
    settings: SandboxSettings, layout: PostfixLayout, peers: MailPeers
) -> list[tuple[str, Mapping[str, str]]]:
    return [
        (
            "Folders of this installation alone; the machine's own Postfix is not touched.",
            {
                "queue_directory": str(layout.queue_directory),
                "data_directory": str(layout.data_directory),
                "command_directory": "/usr/sbin",
                "daemon_directory": "/usr/lib/postfix/sbin",
                "mail_owner": "postfix",
                "setgid_group": "postdrop",
                "maillog_file": str(layout.log),
                "maillog_file_prefixes": str(layout.log.parent),
            },
        ),
        (
            "master.cf names the address of every service, so this only keeps the rest at home.",
            {"inet_interfaces": "loopback-only", "inet_protocols": "ipv4"},
        ),
        (
            "A service that failed to start is tried again after a second, not after a minute.",
            {"service_throttle_time": "1s"},
        ),
        (
            "Names. Mail for the one domain goes to Dovecot, there are no local accounts.",
            {
                "myhostname": settings.host_name,
                "myorigin": settings.mail_domain,
                "mydestination": "",
                "alias_maps": "",
                "alias_database": "",
                "virtual_mailbox_domains": settings.mail_domain,
                "virtual_mailbox_maps": f"texthash:{layout.mailboxes}",
                "virtual_alias_maps": f"texthash:{layout.aliases}",
                "virtual_transport": f"lmtp:unix:{peers.lmtp_socket}",
            },
        ),
        (
            "Nothing leaves this machine: mail for any other domain is returned to its sender.",
            {"default_transport": "error:5.1.2 This mail server delivers to its own domain only"},
        ),
        (
            "TLS parameters, as Debian ships them.",
            {
                "smtpd_tls_cert_file": str(peers.certificate),
                "smtpd_tls_key_file": str(peers.certificate_key),
                "smtpd_tls_security_level": "may",
            },
        ),
        (
            "Logins are checked by Dovecot; services which need a login switch them on.",
            {
                "smtpd_sasl_type": "dovecot",
                "smtpd_sasl_path": str(peers.auth_socket),
                "smtpd_sasl_auth_enable": "no",
            },
        ),
        (
            "Every client comes from a loopback address here, so none is trusted for that.",
            {
                "mynetworks": "",
                "smtpd_relay_restrictions": "permit_sasl_authenticated, reject_unauth_destination",
            },
        ),
    ]


# name, type, private, unprivileged, chroot: the first five columns of a service.
_SERVICE = re.compile(
    r"^(?P<off>#?)(?P<name>\S+)(?P<gap>[ \t]+)(?P<type>inet|unix|unix-dgram|pass|fifo)"
    r"(?P<middle>[ \t]+\S+[ \t]+\S+[ \t]+)(?P<chroot>[yn-])(?=[ \t])"
)
_PORT_NAMES = ("smtp", "submission", "submissions")


def render_master_cf(shipped: str, settings: SandboxSettings) -> str:
    """Return Debian's master.cf with no chroot and with the sandbox's address on each port.

    Services that Debian ships as comments stay comments, ready to be uncommented.
    """
    return "".join(_adapt_line(line, settings) for line in shipped.splitlines(keepends=True))


def _adapt_line(line: str, settings: SandboxSettings) -> str:
    match = _SERVICE.match(line)
    if match is None:
        return line
    name = match["name"]
    if match["type"] == "inet" and name in _PORT_NAMES:
        name = f"{settings.address}:{settings.ports[name]}"
    start = f"{match['off']}{name}{match['gap']}{match['type']}{match['middle']}n"
    return start + line[match.end() :]
