"""Read what ``doveconf -a`` prints, as far as listeners and certificates go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mailadmin.mailconf.services import SERVICES, Daemon, TlsMode
from mailadmin.mailconf.state import ANY_ADDRESS, ListenerState

Path = tuple[str, ...]
# A value may end with a brace too, so a section is what does not look like a setting.
_SETTING = re.compile(r"([^\s=#]+)\s*=\s*(.*)")

# Where each of the two certificates is told, the newest way first.
_FIRST_PAIR: tuple[tuple[Path, Path], ...] = (
    (("ssl_server", "cert_file"), ("ssl_server", "key_file")),
    (("ssl_server_cert_file",), ("ssl_server_key_file",)),
    (("ssl_cert",), ("ssl_key",)),
)
_SECOND_PAIR: tuple[tuple[Path, Path], ...] = (
    (("ssl_server", "alt_cert_file"), ("ssl_server", "alt_key_file")),
    (("ssl_server_alt_cert_file",), ("ssl_server_alt_key_file",)),
    (("ssl_alt_cert",), ("ssl_alt_key",)),
)


@dataclass(frozen=True, slots=True)
class DovecotSettings:
    """Every setting by its path: ``("service imap-login", "inet_listener imap", "port")``."""

    values: dict[Path, str]

    def get(self, *path: str) -> str:
        """Return a setting, or an empty text."""
        return self.values.get(path, "")

    @property
    def protocols(self) -> tuple[str, ...]:
        """Return what is switched on: a list in 2.3, a section of ``imap = yes`` in 2.4."""
        listed = self.get("protocols").strip('"').split()
        switched = (path[1] for path, value in self.values.items() if _is_protocol(path, value))
        return (*listed, *switched)

    @property
    def is_reload_gentle(self) -> bool:
        """Tell whether a reload lets logged-in sessions live, by what the files say."""
        return self.get("shutdown_clients") == "no"

    def certificate_files(self, *section: str) -> list[tuple[str, str]]:
        """Return the certificate and key files, as pairs of paths: the first, and the one served
        beside it if there is one. They are the global ones, or those of a section.

        Dovecot 2.4 prints ``ssl_server_cert_file`` as empty, and the value as ``cert_file`` in a
        section ``ssl_server``, however the file spells it.
        """
        found = (self._first_pair(section, way) for way in (_FIRST_PAIR, _SECOND_PAIR))
        return [pair for pair in found if pair]

    def _first_pair(
        self, section: Path, ways: tuple[tuple[Path, Path], ...]
    ) -> tuple[str, str] | None:
        for certificate, key in ways:
            if self.get(*section, *certificate):
                return (
                    self.get(*section, *certificate).lstrip("<"),
                    self.get(*section, *key).lstrip("<"),
                )
        return None

    @property
    def sections(self) -> tuple[Path, ...]:
        """Return the path of every section that sets something, once, in the order of the text."""
        return tuple(dict.fromkeys(path[:-1] for path in self.values if len(path) > 1))


def _is_protocol(path: Path, value: str) -> bool:
    return len(path) == 2 and path[0] == "protocols" and value == "yes"


def read_settings(text: str) -> DovecotSettings:
    """Return the settings of ``doveconf -a`` of Dovecot 2.3 or 2.4; of two, the later counts."""
    return DovecotSettings(dict(_settings(text)))


def _settings(text: str) -> Iterator[tuple[Path, str]]:
    path: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        setting = _SETTING.match(stripped)
        if setting:
            yield (*path, setting[1]), setting[2]
        elif stripped.endswith("{"):
            path.append(stripped[:-1].strip())
        elif stripped == "}":
            path = path[:-1]


def read_listeners(settings: DovecotSettings) -> list[ListenerState]:
    """Return Dovecot's listeners as they are now; a protocol that is not switched on is closed."""
    found: list[ListenerState] = []
    for name, service in SERVICES.items():
        if service.daemon is not Daemon.DOVECOT:
            continue
        login = "managesieve" if service.protocol == "sieve" else str(service.protocol)
        where = (f"service {login}-login", f"inet_listener {name}")
        port = settings.get(*where, "port")
        number = int(port) if port.isdecimal() else 0
        own_address = settings.get(*where, "address") or settings.get(*where, "listen")
        is_upgrade = service.usual_tls_mode is TlsMode.STARTTLS
        is_clear = is_upgrade and _is_clear_allowed(settings, service.protocol)
        found.append(
            ListenerState(
                service=name,
                is_enabled=bool(number) and str(service.protocol) in settings.protocols,
                address=_one_address(own_address or settings.get("listen")),
                port=number or service.port,
                tls_mode=TlsMode.NONE if is_clear else service.usual_tls_mode,
                is_login_required=True,
            )
        )
    return found


def _is_clear_allowed(settings: DovecotSettings, protocol: str) -> bool:
    """Tell whether a password may come without TLS; ``ssl = required`` forbids it whatever else."""
    ssl, old, new = (
        settings.get(f"protocol {protocol}", name) or settings.get(name)
        for name in ("ssl", "disable_plaintext_auth", "auth_allow_cleartext")
    )
    return ssl == "no" or (ssl != "required" and (old == "no" or new == "yes"))


def _one_address(listen: str) -> str:
    """Return the address of a ``listen`` setting; several, or ``*, ::``, are every address."""
    addresses = [item for item in listen.replace(",", " ").split() if item]
    return addresses[0] if len(addresses) == 1 and addresses[0] != "::" else ANY_ADDRESS
