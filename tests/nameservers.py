"""Real name servers for the tests: authoritative ones (Knot), and one that looks up and validates.

Their zones end in ``.test``; every server has an address of its own on one free port.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.dnssec
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec

from mailadmin.acme.dns.resolving import Resolver, ask_server
from mailadmin.acme.dns.signing import TsigKey
from mailadmin.acme.dns.updating import DynamicUpdates
from mailadmin.acme.dns.wire import Server
from mailadmin.demo.authority import running
from mailadmin.demo.authority.ports import find_free_port
from mailadmin.demo.logbook import Logbook
from mailadmin.demo.programs import Program

KNOT = "/usr/sbin/knotd"
UNBOUND = "/usr/sbin/unbound"
PRIMARY = "127.53.0.1"
SECONDARY = "127.53.0.2"
LOOKING_UP = "127.53.0.3"
NOBODY = "127.53.0.9"  # no server listens there
IPV6 = "::1"

_TOP = """\
$TTL 60
@ SOA ns1.example.test. admin.example.test. 1 3600 600 86400 60
"""
ZONES = {
    "example.test": f"""\
@ NS ns1
@ NS ns2
ns1 A {PRIMARY}
ns1 AAAA {IPV6}
ns2 A {SECONDARY}
mail A 127.0.0.1
mail AAAA {IPV6}
web A 127.0.0.1
_25._tcp.mail TLSA 3 1 1 {"ab" * 32}
alias CNAME mail
@ CAA 0 issue "pebble.test; accounturi=https://pebble.test/account/1"
@ CAA 128 issuewild ";"
open CAA 0 issue "anyone.test"
_acme-challenge.lent CNAME lent.delegated.test.
_acme-challenge.round CNAME one
one CNAME two
two CNAME one
large TXT "{"a" * 250}" "{"b" * 250}"
large TXT "{"c" * 250}" "{"d" * 250}"
large TXT "{"e" * 250}" "{"f" * 250}"
large TXT "{"g" * 250}" "{"h" * 250}"
"""
    + "".join(f"hop{number} CNAME hop{number + 1}\n" for number in range(20)),
    "delegated.test": "@ NS ns1.example.test.\n",
    # One of its servers has never heard of it, one is down.
    "lame.test": f"@ NS ns1.example.test.\n@ NS ns2.example.test.\n@ NS down\ndown A {NOBODY}\n",
    "signed.test": "@ NS ns1.example.test.\nmail A 127.0.0.1\n",
    "expired.test": "@ NS ns1.example.test.\nmail A 127.0.0.1\n",
}
_SERVED = {
    PRIMARY: tuple(ZONES),
    SECONDARY: ("example.test",),
}


def draw_key(name: str, algorithm: str = "hmac-sha256") -> TsigKey:
    """Return a new shared key."""
    return TsigKey(name, algorithm, base64.b64encode(secrets.token_bytes(32)).decode())


@dataclass
class NameServers:
    """The servers that run, and how they are spoken to."""

    port: int
    resolver: Resolver
    # May change TXT records, in every zone.
    key: TsigKey = field(default_factory=lambda: draw_key("panel.example.test"))
    # Known to the servers, and allowed nothing.
    idle_key: TsigKey = field(default_factory=lambda: draw_key("idle.example.test", "hmac-sha512"))

    def updates(
        self, *, address: str = PRIMARY, zone: str = "", key: TsigKey | None = None
    ) -> DynamicUpdates:
        """Return what writes at one of the servers."""
        return DynamicUpdates(address, key or self.key, self.resolver, self.port, zone)

    def texts(self, name: str, address: str = PRIMARY) -> list[str]:
        """Return the TXT records that one server has, in order."""
        deadline = time.monotonic() + 60
        server = Server(address, self.port)
        return sorted(ask_server(name, "TXT", server, deadline, is_recursive=False).texts)


@contextmanager
def run_name_servers() -> Iterator[NameServers]:
    """Run all of them for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="ma-dns-") as name:
        folder = Path(name)
        logbook = Logbook(folder / "log")
        port = find_free_port()
        told = NameServers(port, Resolver((Server(LOOKING_UP, port),)))
        anchors = _write_zones(folder)
        try:
            with running(
                _knot(folder, logbook, told, PRIMARY, IPV6),
                _knot(folder, logbook, told, SECONDARY),
                _unbound(folder, logbook, port, anchors),
            ):
                yield told
        finally:
            logbook.close()


# Authoritative servers


def _knot(folder: Path, logbook: Logbook, told: NameServers, *addresses: str) -> Program:
    home = folder / addresses[0]
    home.mkdir()
    served = _SERVED[addresses[0]]
    keys = "".join(
        f"  - id: {key.name}\n    algorithm: {key.algorithm}\n    secret: {key.secret}\n"
        for key in (told.key, told.idle_key)
    )
    listen = "".join(f"    listen: {address}@{told.port}\n" for address in addresses)
    zones = "".join(
        f"  - domain: {zone}\n    file: {folder / zone}.zone\n    acl: updates\n" for zone in served
    )
    (home / "knot.conf").write_text(
        f"""\
server:
    rundir: {home}
{listen}    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: {home}
    journal-db-max-size: 8M
    kasp-db-max-size: 8M
    timer-db-max-size: 8M
    catalog-db-max-size: 8M
log:
  - target: stderr
    any: info
key:
{keys}
acl:
  - id: updates
    action: update
    key: {told.key.name}
    update-type: TXT
template:
  - id: default
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
zone:
{zones}"""
    )
    servers = [Server(address, told.port) for address in addresses]
    return Program(
        f"knot {addresses[0]}",
        [KNOT, "-c", str(home / "knot.conf")],
        environment={},
        folder=home,
        logbook=logbook,
        is_ready=lambda: all(_answers(server, served[-1]) for server in servers),
    )


def _answers(server: Server, zone: str) -> bool:
    deadline = time.monotonic() + 0.2
    return ask_server(zone, "SOA", server, deadline, is_recursive=False).rcode == "NOERROR"


# Zones, and signatures over two of them


def _write_zones(folder: Path) -> dict[str, str]:
    """Write the zone files and return the trust anchors (DS records) of the signed ones."""
    anchors = {}
    now = datetime.now(UTC)
    starts = {"signed.test": now - timedelta(hours=1), "expired.test": now - timedelta(days=30)}
    for name, text in ZONES.items():
        file = folder / f"{name}.zone"
        file.write_text(f"$ORIGIN {name}.\n{_TOP}{text}")
        if name in starts:
            anchors[name] = _sign(file, name, starts[name])
    return anchors


def _sign(file: Path, name: str, start: datetime) -> str:
    """Sign the zone for a week; returns the DS record of its key."""
    origin = dns.name.from_text(name)
    zone = dns.zone.from_text(file.read_text(), origin, relativize=False)
    private = ec.generate_private_key(ec.SECP256R1())
    key = dns.dnssec.make_dnskey(
        private.public_key(), dns.dnssec.Algorithm.ECDSAP256SHA256, flags=257
    )
    with zone.writer() as writer:
        dns.dnssec.sign_zone(
            zone,
            writer,
            keys=[(private, key)],
            inception=start,
            expiration=start + timedelta(days=7),
        )
    file.write_text(zone.to_text(relativize=False))
    return dns.dnssec.make_ds(origin, key, "SHA256").to_text()


# The one that looks up


def _unbound(folder: Path, logbook: Logbook, port: int, anchors: Mapping[str, str]) -> Program:
    home = folder / LOOKING_UP
    home.mkdir()
    # A copy, as Debian's AppArmor profile lets the program itself read /etc/unbound alone.
    program = shutil.copy(UNBOUND, home / "unbound")
    trusted = "".join(f'  trust-anchor: "{zone}. DS {ds}"\n' for zone, ds in anchors.items())
    stubs = "".join(
        f"stub-zone:\n  name: {zone}\n  stub-addr: {PRIMARY}@{port}\n" for zone in ZONES
    )
    (home / "unbound.conf").write_text(
        f"""\
server:
  interface: {LOOKING_UP}
  port: {port}
  directory: "{home}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  do-daemonize: no
  num-threads: 1
  do-not-query-localhost: no
  do-ip6: no
  access-control: 127.0.0.0/8 allow
  local-zone: "test." nodefault
  module-config: "validator iterator"
  ede: yes
  # Nothing is kept, so that a test sees what the one before it changed.
  cache-max-ttl: 0
  cache-max-negative-ttl: 0
{trusted}remote-control:
  control-enable: no
{stubs}forward-zone:
  # Whatever else is asked for stays on this machine, and is refused there.
  name: .
  forward-addr: {PRIMARY}@{port}
"""
    )
    server = Server(LOOKING_UP, port)
    return Program(
        "unbound",
        [str(program), "-d", "-c", str(home / "unbound.conf")],
        environment={},
        folder=home,
        logbook=logbook,
        is_ready=lambda: _looks_up(server),
    )


def _looks_up(server: Server) -> bool:
    with contextlib.suppress(OSError):
        return ask_server("example.test", "SOA", server, time.monotonic() + 0.2).is_definite
    return False
