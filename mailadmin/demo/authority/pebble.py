"""One Pebble: its files, its program, and what its management interface tells."""

from __future__ import annotations

import json
import ssl
import urllib.request
from pathlib import Path

from mailadmin.demo.authority.options import Options
from mailadmin.demo.authority.ports import LOOPBACK, keep_ports
from mailadmin.demo.authority.tls import DirectoryTls, keep_directory_tls
from mailadmin.demo.files import write_private_file
from mailadmin.demo.logbook import Logbook
from mailadmin.demo.programs import Program

PEBBLE = Path("/usr/bin/pebble")
_QUICK = 0.5  # seconds for an answer


class Pebble:
    """An authority whose files are in ``folder``; see :func:`running`.

    ``dns_server`` is "address:port". It asks for http-01 on ``http_port`` of whatever address a
    name leads to. What it issued and whom it knows is forgotten when it ends, and the root it
    issues from is another one after each start; its address and the root of its directory stay.
    """

    def __init__(
        self,
        folder: Path,
        logbook: Logbook,
        dns_server: str,
        *,
        options: Options | None = None,
        http_port: int = 0,
        executable: Path = PEBBLE,
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.options = options or Options()
        self.tls: DirectoryTls = keep_directory_tls(folder)
        # Nobody listens on "tls": tls-alpn-01 is not for mail servers.
        self._ports = keep_ports(folder / "ports.json", ["directory", "management", "http", "tls"])
        self.http_port = http_port or self._ports["http"]
        config = folder / "pebble.json"
        write_private_file(config, json.dumps({"pebble": self._configuration()}, indent=2))
        strictness = ["-strict"] if self.options.is_strict else []
        self.program = Program(
            "pebble",
            [str(executable), "-config", str(config), "-dnsserver", dns_server, *strictness],
            environment=self.options.environment(),
            folder=folder,
            logbook=logbook,
            is_ready=self.is_answering,
        )

    @property
    def directory_url(self) -> str:
        """The address a client begins at (RFC 8555, section 7.1.1)."""
        return f"https://{LOOPBACK}:{self._ports['directory']}/dir"

    @property
    def root_pem(self) -> str:
        """The root of the directory's own certificate, for a client to trust."""
        return self.tls.root_pem

    def is_answering(self) -> bool:
        """Say whether the directory can be read."""
        try:
            return bool(self._fetch(self.directory_url, _QUICK))
        except OSError:
            return False

    def issuing_root_pem(self, number: int = 0) -> str:
        """Return the root that certificates lead to, of this run; others with alternate roots."""
        address = f"https://{LOOPBACK}:{self._ports['management']}/roots/{number}"
        return self._fetch(address, 30.0).decode("ascii")

    def _configuration(self) -> dict[str, object]:
        return {
            "listenAddress": f"{LOOPBACK}:{self._ports['directory']}",
            "managementListenAddress": f"{LOOPBACK}:{self._ports['management']}",
            "certificate": str(self.tls.certificate),
            "privateKey": str(self.tls.key),
            "httpPort": self.http_port,
            "tlsPort": self._ports["tls"],
            **self.options.configuration(),
        }

    def _fetch(self, address: str, patience: float) -> bytes:
        trust = ssl.create_default_context(cadata=self.root_pem)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )
        with opener.open(address, timeout=patience) as answer:
            content: bytes = answer.read()
            return content
