"""The sandbox's Dovecot configuration, made from the files Debian ships: text in, text out.

Debian keeps the same layout for Dovecot 2.3 and 2.4 (dovecot.conf and conf.d/), but 2.4 renamed
many settings. https://doc.dovecot.org/latest/installation/upgrade/2.3-to-2.4.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mailadmin.sandbox.addresses import STANDARD_PORTS
from mailadmin.sandbox.settings import SandboxSettings

# Mail is kept under numbers, not names: no account has to be made on the machine.
MAIL_UID = 5000
MAIL_GID = 5000

_LOGIN_SERVICES: Mapping[str, tuple[str, ...]] = {
    "imap-login": ("imap", "imaps"),
    "pop3-login": ("pop3", "pop3s"),
    "managesieve-login": ("sieve",),
}


@dataclass(frozen=True)
class DovecotLayout:
    """The folders and files of one private Dovecot. ``base_dir`` holds its sockets."""

    config_directory: Path
    base_dir: Path
    instance_name: str
    state_dir: Path
    log: Path
    mail: Path
    users: Path
    certificate: Path
    certificate_key: Path


def set_setting(text: str, name: str, value: str) -> str:
    """Return the file with a top-level setting: in place, below its commented default, or last."""
    line = f"{name} = {value}".rstrip()
    active = re.compile(rf"^{name}[ \t]*=.*$", re.MULTILINE)
    if active.search(text):
        return active.sub(lambda _: line, text)
    commented = re.compile(rf"^#{name}[ \t]*=.*$", re.MULTILINE)
    match = commented.search(text)
    if match:
        return f"{text[: match.end()]}\n{line}{text[match.end() :]}"
    return f"{text.rstrip()}\n{line}\n"


def comment_out(text: str, pattern: str) -> str:
    """Return the file with every line that matches (from its first letter) made a comment."""
    return re.sub(rf"^([ \t]*)({pattern})", r"\1#\2", text, flags=re.MULTILINE)


def adapt_shipped_files(
    shipped: Mapping[str, str],
    settings: SandboxSettings,
    layout: DovecotLayout,
    version: tuple[int, int],
) -> dict[str, str]:
    """Return the files (relative name -> text) of a sandbox, from those Debian ships."""
    is_new = version >= (2, 4)
    files = dict(shipped)
    files["dovecot.conf"] = _adapt_top(files["dovecot.conf"], settings, layout)
    files["conf.d/10-auth.conf"] = _adapt_auth(files["conf.d/10-auth.conf"])
    files["conf.d/10-logging.conf"] = _set_all(
        files["conf.d/10-logging.conf"],
        {"log_path": str(layout.log), "info_log_path": str(layout.log)},
    )
    mail = _mail_settings_24(layout) if is_new else _mail_settings_23(layout)
    without_spool = comment_out(files["conf.d/10-mail.conf"], r"mail_inbox_path\b")
    files["conf.d/10-mail.conf"] = _set_all(without_spool, mail)
    files["conf.d/10-master.conf"] = _adapt_master(files["conf.d/10-master.conf"])
    files["conf.d/10-ssl.conf"] = _set_all(
        files["conf.d/10-ssl.conf"],
        _tls_settings_24(layout) if is_new else _tls_settings_23(layout),
    )
    # 2.4 as shipped delivers to system accounts: it drops the domain of the recipient.
    files["conf.d/20-lmtp.conf"] = comment_out(
        files["conf.d/20-lmtp.conf"], r"auth_username_format\b"
    )
    files["conf.d/20-managesieve.conf"] = _close_old_sieve_port(files["conf.d/20-managesieve.conf"])
    ports = list(_port_lines(settings))
    if ports:
        # After every file that Debian ships, as some of them name the standard ports.
        files["conf.d/95-ports.conf"] = "\n".join(ports) + "\n"
    files["conf.d/auth-passwdfile.conf.ext"] = (
        _password_file_24(layout) if is_new else _password_file_23(layout)
    )
    return files


def _set_all(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = set_setting(text, name, value)
    return text


def _adapt_top(text: str, settings: SandboxSettings, layout: DovecotLayout) -> str:
    text = _set_all(
        text,
        {
            "listen": settings.address,
            "base_dir": str(layout.base_dir),
            "instance_name": layout.instance_name,
            "shutdown_clients": "no",
        },
    )
    text = text.replace(
        "\nshutdown_clients = no",
        "\n# No: a reload then neither ends logged-in sessions nor doubles mail in delivery.\n"
        "shutdown_clients = no",
    )
    own = "\n".join(
        [
            "# State of this installation alone; the machine's own Dovecot is not touched.",
            f"state_dir = {layout.state_dir}",
            "# Tests and busy phones open many sessions from one address.",
            "mail_max_userip_connections = 100",
        ]
    )
    # Before the included files, so that these can still change it.
    return text.replace("\n!include conf.d/*.conf", f"\n{own}\n\n!include conf.d/*.conf", 1)


def _adapt_auth(text: str) -> str:
    text = comment_out(text, r"!include auth-system\.conf\.ext")
    text = text.replace("#!include auth-passwdfile.conf.ext", "!include auth-passwdfile.conf.ext")
    return set_setting(text, "auth_mechanisms", "plain login")


def _mail_settings_23(layout: DovecotLayout) -> dict[str, str]:
    return {
        "mail_location": f"maildir:{layout.mail}/%d/%n/Maildir",
        "mail_uid": str(MAIL_UID),
        "mail_gid": str(MAIL_GID),
    }


def _mail_settings_24(layout: DovecotLayout) -> dict[str, str]:
    return {
        "mail_driver": "maildir",
        "mail_home": f"{layout.mail}/%{{user | domain}}/%{{user | username}}",
        "mail_path": "~/Maildir",
        "mail_uid": str(MAIL_UID),
        "mail_gid": str(MAIL_GID),
    }


def _tls_settings_23(layout: DovecotLayout) -> dict[str, str]:
    return {"ssl_cert": f"<{layout.certificate}", "ssl_key": f"<{layout.certificate_key}"}


def _tls_settings_24(layout: DovecotLayout) -> dict[str, str]:
    return {
        "ssl_server_cert_file": str(layout.certificate),
        "ssl_server_key_file": str(layout.certificate_key),
    }


def _adapt_master(text: str) -> str:
    lines = [
        "",
        "# Postfix hands over mail and asks about logins through these two.",
        "service lmtp {",
        *_unix_listener("lmtp", "0600"),
        "}",
        "service auth {",
        *_unix_listener("auth-postfix", "0660"),
        "}",
    ]
    return text.rstrip() + "\n" + "\n".join(lines) + "\n"


def _unix_listener(name: str, mode: str) -> list[str]:
    return [f"  unix_listener {name} {{", f"    mode = {mode}", "    user = postfix", "  }"]


def _port_lines(settings: SandboxSettings) -> Iterable[str]:
    """Yield blocks for the ports that are not the standard ones, which need no word."""
    for login_service, listeners in _LOGIN_SERVICES.items():
        moved = [name for name in listeners if settings.ports[name] != STANDARD_PORTS[name]]
        if not moved:
            continue
        yield f"service {login_service} {{"
        for name in moved:
            yield f"  inet_listener {name} {{"
            yield f"    port = {settings.ports[name]}"
            yield "  }"
        yield "}"


def _close_old_sieve_port(text: str) -> str:
    """Leave out port 2000, which 2.4 as shipped opens beside 4190 for clients before RFC 5804."""
    return re.sub(
        r"^( *inet_listener sieve_deprecated \{\n *port = )2000$",
        r"\g<1>0",
        text,
        flags=re.MULTILINE,
    )


def _password_file_23(layout: DovecotLayout) -> str:
    return f"""# Authentication for passwd-file users. Included from 10-auth.conf.
passdb {{
  driver = passwd-file
  args = username_format=%u {layout.users}
}}

userdb {{
  driver = static
  args = uid={MAIL_UID} gid={MAIL_GID} home={layout.mail}/%d/%n
}}
"""


def _password_file_24(layout: DovecotLayout) -> str:
    return f"""# Authentication for passwd-file users. Included from 10-auth.conf.
passdb passwd-file {{
  auth_username_format = %{{user}}
  passwd_file_path = {layout.users}
}}

userdb static {{
  fields {{
    uid = {MAIL_UID}
    gid = {MAIL_GID}
    home = {layout.mail}/%{{user | domain}}/%{{user | username}}
  }}
}}
"""
