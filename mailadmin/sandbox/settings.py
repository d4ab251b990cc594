"""What makes one sandbox: its folder, address, ports, names and the mailbox; kept in a file."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mailadmin.sandbox.addresses import STANDARD_PORTS, pick_address, pick_ports
from mailadmin.sandbox.errors import SandboxError

_FILE_NAME = "sandbox.json"


@dataclass(frozen=True)
class SandboxSettings:
    """The fixed choices of one sandbox. ``ports`` maps every service name to its port."""

    root: Path
    address: str
    ports: Mapping[str, int]
    mail_domain: str = "example.test"
    host_name: str = "mail.example.test"
    mailbox: str = "user@example.test"
    mailbox_password: str = field(default="", repr=False)


def load_or_create_settings(root: Path, address: str | None) -> SandboxSettings:
    """Read the settings kept in ``root``, or choose new ones and keep them there (mode 0600).

    Raises SandboxError when the kept file cannot be used.
    """
    kept = root / _FILE_NAME
    if kept.exists():
        return _read_settings(root, kept)
    chosen = address or pick_address(str(root))
    settings = SandboxSettings(
        root=root,
        address=chosen,
        ports=pick_ports(chosen),
        mailbox_password=secrets.token_urlsafe(15),
    )
    _write_settings(settings, kept)
    return settings


def _read_settings(root: Path, kept: Path) -> SandboxSettings:
    try:
        content = json.loads(kept.read_text(encoding="utf-8"))
        ports = {service: int(content["ports"][service]) for service in STANDARD_PORTS}
        return SandboxSettings(
            root=root,
            address=content["address"],
            ports=ports,
            mail_domain=content["mail_domain"],
            host_name=content["host_name"],
            mailbox=content["mailbox"],
            mailbox_password=content["mailbox_password"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise SandboxError(
            f"{kept} cannot be read as the sandbox's settings. Remove the folder {root} to begin "
            "again with an empty sandbox."
        ) from error


def _write_settings(settings: SandboxSettings, kept: Path) -> None:
    content = {name: value for name, value in asdict(settings).items() if name != "root"}
    staged = kept.with_suffix(".new")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=2)
        stream.write("\n")
    staged.replace(kept)
