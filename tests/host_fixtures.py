"""Mail hosts as people leave them (``tests/fixtures/hosts``), put into a folder and read for real.

Each is written in the structure of the package or guide it is named after, and says in its
``host.toml`` what must be understood of it. ``@ROOT@`` stands for the folder. Postfix's own
``postconf`` reads them, and ``doveconf`` where this machine's is of the host's version; elsewhere
``doveconf.txt`` holds what 2.3.19 or 2.4.1 prints for these files (``-d``, then ``-a``; only the
sections that we read).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mailadmin.agent import protocol
from mailadmin.agent.client import AgentClient
from mailadmin.agent.config import AgentConfig, DovecotPaths
from mailadmin.agent.host import Host
from mailadmin.agent.host.dovecot import DovecotHost, version_numbers
from mailadmin.agent.protocol import AgentError, Request
from mailadmin.agent.server import Agent
from mailadmin.mailconf.dovecot_settings import DovecotSettings, read_settings
from mailadmin.pki.keys import KeyKind
from tests.states import Material, make_material

FOLDER = Path(__file__).parent / "fixtures" / "hosts"
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/host.toml"))


@dataclass(frozen=True)
class HostFixture:
    """A host in a folder of its own, with its certificates."""

    root: Path
    about: dict[str, Any]
    materials: dict[str, Material]
    host: Host

    def fingerprint(self, label: str) -> str:
        return self.materials[label].certificate.fingerprint

    @property
    def labels(self) -> dict[str, str]:
        return {self.fingerprint(label): label for label in self.materials}

    def snapshot(self) -> dict[str, tuple[bytes | str, int, int, int]]:
        """Every file and link of the daemons: content, mode and owner."""
        shown: dict[str, tuple[bytes | str, int, int, int]] = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if path.is_dir() or name.startswith("state/"):
                continue
            status = path.lstat()
            content = str(path.readlink()) if path.is_symlink() else path.read_bytes()
            shown[name] = (content, status.st_mode, status.st_uid, status.st_gid)
        return shown


class InProcessAgent(AgentClient):
    """The agent of a host, asked without its socket; what it answers is JSON all the same."""

    def __init__(self, found: HostFixture, **settings: Any) -> None:
        super().__init__(found.root / "agent.sock")
        agent = Agent(replace(_config(found.root), **settings))
        agent.host = found.host
        object.__setattr__(self, "agent", agent)
        object.__setattr__(self, "asked", [])

    agent: Agent
    asked: list[str]

    def _messages(self, request: Request) -> Iterator[dict[str, Any]]:
        self.asked.append(str(request.verb))
        sent: list[dict[str, Any]] = []
        try:
            answer = {"result": self.agent.answer(request, lambda item: sent.append(dict(item)))}
        except AgentError as error:
            answer = {"error": error.problem.as_dict()}
        for message in (*sent, answer):
            yield protocol.decode(protocol.encode(message))


class RecordedDovecot(DovecotHost):
    """Dovecot of another version than the installed one, as far as its answers were recorded."""

    def __init__(self, paths: DovecotPaths, numbers: tuple[int, int]) -> None:
        super().__init__(paths)
        self.numbers = numbers

    def version(self) -> str:
        return "2.4.1" if self.numbers == (2, 4) else "2.3.19.1"

    def read_settings(self) -> DovecotSettings:
        own = self.paths.dropin.read_text() if self.paths.dropin.exists() else ""
        return read_settings(self._printed + own)

    def read_settings_without_dropin(self, folder: Path) -> DovecotSettings:
        return read_settings(self._printed)

    @property
    def _printed(self) -> str:
        return (self.paths.config_file.parent.parent / "doveconf.txt").read_text()


def dovecot_numbers(about: dict[str, Any]) -> tuple[int, int]:
    """Return the version that a host's files are written for; 2.3 if it names none."""
    return (2, 4) if about["dovecot"] == "2.4" else (2, 3)


def installed_dovecot() -> tuple[int, int]:
    """Return the version of this machine's Dovecot."""
    said = subprocess.run(["dovecot", "--version"], capture_output=True, text=True, check=True)
    return version_numbers(said.stdout)


def set_up_host(name: str, root: Path) -> HostFixture:
    """Copy a host into an empty folder."""
    shutil.copytree(FOLDER / name, root, dirs_exist_ok=True)
    for path in root.rglob("*"):
        if path.is_file():
            path.write_text(path.read_text().replace("@ROOT@", str(root)))
    about = tomllib.loads((root / "host.toml").read_text())
    for name in about.get("linked", ()):
        _keep_elsewhere(root, root / name)
    materials = {
        label: _write_material(root, label, values)
        for label, values in about["certificates"].items()
    }
    (root / "dovecot" / "conf.d").mkdir(exist_ok=True)
    (root / "postfix" / "main.cf").chmod(0o640)
    host = Host(_config(root))
    numbers = dovecot_numbers(about)
    if numbers != installed_dovecot():
        host.dovecot = RecordedDovecot(host.dovecot.paths, numbers)
    host.store.prepare()
    return HostFixture(root, about, materials, host)


def _keep_elsewhere(root: Path, path: Path) -> None:
    """Leave only a link where the file was, as people do who keep /etc under version control."""
    kept = root / "kept" / path.relative_to(root)
    kept.parent.mkdir(parents=True, exist_ok=True)
    path.rename(kept)
    path.symlink_to(os.path.relpath(kept, path.parent))


def _write_material(root: Path, label: str, values: dict[str, Any]) -> Material:
    kind = values.get("kind", KeyKind.ECDSA_P256)
    made = make_material(label, tuple(values["names"]), kind)
    chain = made.certificate.leaf_pem + made.certificate.chain_pem
    contents: dict[str, str] = {}
    for name, text in ((values["key"], made.certificate.key_pem), (values["certificate"], chain)):
        contents[name] = contents.get(name, "") + text
    for name, text in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
    for link, target in values.get("links", {}).items():
        (root / link).parent.mkdir(parents=True, exist_ok=True)
        (root / link).symlink_to(root / target)
    return made


def _config(root: Path) -> AgentConfig:
    return AgentConfig.from_dict(
        {
            "socket": str(root / "agent.sock"),
            "state_dir": str(root / "state"),
            "postfix": {"config_directory": str(root / "postfix")},
            "dovecot": {
                "config_file": str(root / "dovecot" / "dovecot.conf"),
                "dropin": str(root / "dovecot" / "conf.d" / "99-mailadmin.conf"),
                "base_dir": str(root / "run"),
            },
            "http01": {"addresses": []},
        }
    )
