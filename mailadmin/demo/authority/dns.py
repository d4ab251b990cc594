"""The DNS that a Pebble asks: every name leads to loopback, unless told otherwise."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from pathlib import Path

from mailadmin.demo.authority.ports import LOOPBACK, is_listening, keep_ports
from mailadmin.demo.logbook import Logbook
from mailadmin.demo.programs import Program

CHALLENGE_DNS = Path("/usr/bin/pebble-challtestsrv")
_PATIENCE = 5.0  # seconds for an answer of the program's own interface


class ChallengeDns:
    """``pebble-challtestsrv`` with its ports noted in ``folder``; see :func:`running`."""

    def __init__(
        self,
        folder: Path,
        logbook: Logbook,
        *,
        default_address: str = LOOPBACK,
        executable: Path = CHALLENGE_DNS,
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._ports = keep_ports(folder / "ports.json", ["dns", "management"])
        self.program = Program(
            "dns",
            [
                *(str(executable), "-dns01", self.address, "-management", self._management),
                # Its web servers are not needed, and would listen on all addresses. An address of
                # IPv6 for every name would make Pebble ask there, where nobody answers.
                *("-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""),
                *("-defaultIPv4", default_address),
                *_without_doh(executable),
            ],
            environment={},
            folder=folder,
            logbook=logbook,
            is_ready=lambda: all(is_listening(port) for port in self._ports.values()),
        )

    @property
    def port(self) -> int:
        """The port on 127.0.0.1, TCP and UDP."""
        return self._ports["dns"]

    @property
    def address(self) -> str:
        """Address and port as Pebble and ``MAILADMIN_DNS_RESOLVERS`` want it."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def _management(self) -> str:
        return f"{LOOPBACK}:{self._ports['management']}"

    def add_txt(self, name: str, value: str) -> None:
        """Add a TXT record."""
        self._tell("set-txt", host=_absolute(name), value=value)

    def remove_txt(self, name: str) -> None:
        """Remove all TXT records of a name."""
        self._tell("clear-txt", host=_absolute(name))

    def set_addresses(self, name: str, *addresses: str) -> None:
        """Let a name lead to these addresses of IPv4."""
        self._tell("clear-a", host=_absolute(name))
        self._tell("add-a", host=_absolute(name), addresses=list(addresses))

    def add_caa(self, name: str, tag: str, value: str) -> None:
        """Add a CAA record. Pebble looks at none; others do."""
        policies = [{"tag": tag, "value": value}]
        self._tell("add-caa", host=_absolute(name), policies=policies)

    def set_cname(self, name: str, target: str) -> None:
        """Make a name an alias."""
        self._tell("set-cname", host=_absolute(name), target=_absolute(target))

    def break_name(self, name: str) -> None:
        """Answer SERVFAIL to every question about a name."""
        self._tell("set-servfail", host=_absolute(name))

    def mend_name(self, name: str) -> None:
        """Undo :meth:`break_name`."""
        self._tell("clear-servfail", host=_absolute(name))

    def _tell(self, what: str, **order: object) -> None:
        request = urllib.request.Request(
            f"http://{self._management}/{what}", json.dumps(order).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=_PATIENCE):  # noqa: S310 - as above
            return


def _without_doh(executable: Path) -> list[str]:
    """Keep 2.6 (Debian 13) from listening for DNS over HTTPS; 2.4 does not know the option."""
    usage = subprocess.run(
        [str(executable), "-h"], capture_output=True, text=True, timeout=_PATIENCE, env={}
    )
    return ["-doh", ""] if "-doh" in usage.stderr else []


def _absolute(name: str) -> str:
    return f"{name.rstrip('.')}."
