"""Reads the cases of ``tests/golden`` and renders them; see the README there."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailadmin.mailconf import dovecot, material, postfix
from mailadmin.mailconf.postfix import PostfixFiles
from mailadmin.mailconf.services import SERVICES, TlsMode
from mailadmin.mailconf.state import DesiredState
from tests.unit.mailconf.builders import LIVE, bind, certificate, fingerprint, listener, pair_up

FOLDER = Path(__file__).parents[2] / "golden"
CASES = sorted(path.parent.name for path in FOLDER.glob("cases/*/state.toml"))
PROTOCOLS = ("imap", "pop3", "sieve")


@dataclass(frozen=True)
class Case:
    """A host's files, a state, and what the panel should make of both."""

    name: str
    found: PostfixFiles
    state: DesiredState
    protocols: tuple[str, ...]

    @property
    def expected_folder(self) -> Path:
        return FOLDER / "cases" / self.name / "expected"

    def render_postfix(self) -> PostfixFiles:
        return postfix.render(self.state, self.found, live=LIVE, map_type="hash")

    def render_dovecot(self, *version: int) -> str:
        major, minor = version
        return dovecot.render(
            self.state, version=(major, minor), live=LIVE, protocols=self.protocols
        )

    def render(self) -> dict[str, str]:
        """Return every expected file by its name."""
        files = self.render_postfix()
        return {
            "main.cf": files.main_cf,
            "master.cf": files.master_cf,
            "dovecot-2.3.conf": self.render_dovecot(2, 3),
            "dovecot-2.4.conf": self.render_dovecot(2, 4),
            "certificates.txt": material.manifest(self.state),
        }


def read_case(name: str) -> Case:
    text = (FOLDER / "cases" / name / "state.toml").read_text(encoding="utf-8")
    values = tomllib.loads(text)
    return Case(
        name=name,
        found=_read_host(values["host"]),
        state=_read_state(values),
        protocols=tuple(values.get("protocols", PROTOCOLS)),
    )


def _read_host(host: str) -> PostfixFiles:
    kind, name = host.split("/")
    return read_case(name).render_postfix() if kind == "cases" else read_files(FOLDER / host)


def read_files(folder: Path) -> PostfixFiles:
    return PostfixFiles(read_text(folder / "main.cf"), read_text(folder / "master.cf"))


def read_hosts() -> Iterator[tuple[str, PostfixFiles]]:
    for folder in sorted(FOLDER.glob("hosts/*")):
        yield folder.name, read_files(folder)


def read_text(path: Path) -> str:
    """Return the text as the agent reads it: no byte and no line end is lost."""
    return path.read_bytes().decode("utf-8", "surrogateescape")


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))


def _read_state(values: dict[str, Any]) -> DesiredState:
    chosen = values.get("default_certificate", "")
    certificates = {
        label: certificate(label, *names) for label, names in values.get("certificates", {}).items()
    }
    for label, other in values.get("pairs", {}).items():
        certificates |= pair_up(certificates[label], certificates[other])
    return DesiredState(
        host_name="mail.example.test",
        listeners=tuple(
            listener(
                service,
                is_enabled=service in values["open"],
                **_listener_values(values.get("listeners", {}).get(service, {})),
            )
            for service in SERVICES
        ),
        default_certificate=fingerprint(chosen) if chosen else "",
        certificates=tuple(certificates.values()),
        sni_bindings=tuple(bind(*item) for item in values.get("sni", {}).items()),
        tls_profile=values.get("tls_profile", "intermediate"),
    )


def _listener_values(values: dict[str, Any]) -> dict[str, Any]:
    known = dict(values)
    if "tls_mode" in known:
        known["tls_mode"] = TlsMode(known["tls_mode"])
    if "certificate" in known:
        known["certificate"] = fingerprint(known["certificate"])
    return known
