"""Where the agent finds Postfix, Dovecot and its own folder: one JSON file, mode 0600."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

# Where there are two instances of Dovecot: the file of the one that has the ports, and what is put
# after the name of the other one's folder of sockets.
FRONT_CONFIG = "mailadmin-front.conf"
FRONT_SUFFIX = "-front"


class ConfigError(Exception):
    """The agent's configuration file cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class PostfixPaths:
    """Postfix as installed: its configuration folder (absolute: postfix -c wants that)."""

    config_directory: Path
    command_directory: Path

    @property
    def main_cf(self) -> Path:
        """Return main.cf."""
        return self.config_directory / "main.cf"

    @property
    def master_cf(self) -> Path:
        """Return master.cf."""
        return self.config_directory / "master.cf"


@dataclass(frozen=True, slots=True)
class DovecotPaths:
    """Dovecot as installed, and the drop-in that is ours."""

    config_file: Path
    dropin: Path
    base_dir: Path
    command_directory: Path

    @property
    def front_config(self) -> Path:
        """Return the file of the instance that has the ports, where there are two."""
        return self.config_file.with_name(FRONT_CONFIG)

    @property
    def front_base_dir(self) -> Path:
        """Return that one's folder of sockets."""
        return self.base_dir.with_name(f"{self.base_dir.name}{FRONT_SUFFIX}")

    @property
    def core_dropin(self) -> Path:
        """Return the drop-in that takes the ports from the other one; read after all others."""
        return self.dropin.with_name("99z-mailadmin-core.conf")


@dataclass(frozen=True, slots=True)
class Http01Config:
    """Where an authority's question on port 80 is answered (RFC 8555, section 8.3).

    ``web_root`` is the folder of a web server that has the port already.
    """

    addresses: tuple[str, ...] = ("0.0.0.0", "::")  # noqa: S104 - the authority comes from anywhere
    port: int = 80
    web_root: Path | None = None

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form. Raises ``TypeError`` or ``ValueError``."""
        usual = cls()
        port, web_root = value.get("port", usual.port), value.get("web_root")
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
            raise ValueError(f"{port} is not a port")
        addresses = value.get("addresses", list(usual.addresses))
        if not isinstance(addresses, list):
            raise TypeError("the addresses of http01 are not a list")
        return cls(
            addresses=tuple(str(ipaddress.ip_address(address)) for address in addresses),
            port=port,
            web_root=None if web_root is None else _absolute(web_root),
        )


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """Everything the agent must be told; the panel never sends a path."""

    socket: Path
    state_dir: Path
    allowed_uids: frozenset[int]
    postfix: PostfixPaths
    dovecot: DovecotPaths
    # Seconds between two applies: reloads closer together starve Postfix under load (measured).
    spacing: float = 5.0
    http01: Http01Config = Http01Config()
    # The fewest seconds in which a deployment may have to be confirmed: people are not quicker.
    shortest_trial: int = 60
    # Where the system keeps the mail log, if not where Debian or Red Hat do.
    log_files: tuple[Path, ...] = ()
    # Whether the panel may be given keys that are found here, as long as nothing was applied.
    hands_over_keys: bool = True

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file. Raises :class:`ConfigError`."""
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            return cls.from_dict(value)
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError(f"{path} is not a complete agent configuration: {error}") from None

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read the JSON form. Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        postfix, dovecot = value["postfix"], value["dovecot"]
        return cls(
            socket=_absolute(value["socket"]),
            state_dir=_absolute(value["state_dir"]),
            allowed_uids=frozenset(int(uid) for uid in value.get("allowed_uids", [0])),
            postfix=PostfixPaths(
                config_directory=_absolute(postfix["config_directory"]),
                command_directory=_absolute(postfix.get("command_directory", "/usr/sbin")),
            ),
            dovecot=DovecotPaths(
                config_file=_absolute(dovecot["config_file"]),
                dropin=_absolute(dovecot["dropin"]),
                base_dir=_absolute(dovecot["base_dir"]),
                command_directory=_absolute(dovecot.get("command_directory", "/usr/sbin")),
            ),
            spacing=float(value.get("spacing", 5.0)),
            http01=Http01Config.from_dict(value.get("http01", {})),
            shortest_trial=int(value.get("shortest_trial", 60)),
            log_files=tuple(_absolute(path) for path in value.get("log_files", [])),
            hands_over_keys=value.get("hands_over_keys", True) is True,
        )


def _absolute(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise ValueError(f"{text} is not an absolute path")
    return path
