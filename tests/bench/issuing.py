"""From the click to a certificate that is proven on the wire, beside Debian's ``lego`` with a hook.

Both renew the same names at the same Pebble, proven by real HTTP-01, and put the certificate on the
same Postfix and Dovecot. lego's hook does the least that works: one file, both reloads; then all
ports are asked until they show the new one. Ours plans, checks, proves and could take back.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

from tests.bench.figures import Figures
from tests.stacks import RunningStack, run_stack

_NAMES = ("mail.example.test", "imap.example.test")
_LEGO = "lego"
# At once, and although it is not due.
_RENEW = ("--days", "10000", "--no-random-sleep")
# Applies and reloads are kept this far apart, as on a real host (reloads closer starve Postfix).
_SPACING = 5.0
_LIMIT = 30.0
_TLS_PORTS = ("submissions", "imaps", "pop3s")
_READ = (
    "import json\n"
    "from datetime import timedelta\n"
    "from mailadmin.acme.models import AcmeOrder as O\n"
    "found = []\n"
    "for o in O.objects.filter(trigger='forced', status='proven').order_by('pk'):\n"
    "    first = o.deployment.started_at + timedelta(milliseconds=o.deployment.proof_ms)\n"
    "    times = (o.issued_at, first, o.proven_at)\n"
    "    found.append([(at - o.requested_at).total_seconds() for at in times])\n"
    "print(json.dumps(found))"
)


def measure_issuing(runs: int) -> list[Figures]:
    """Return the seconds to *issued*, to the first proof, to the end of the watch, and lego's."""
    issued = Figures("ours: click -> issued")
    proven = Figures("ours: click -> first proof on all ports")
    closed = Figures("ours: click -> watched for 2 s, closed")
    with run_stack() as running:
        _begin(running)
        for _ in range(runs):
            time.sleep(_SPACING)
            _manage(running, "acme_renew", "--certificate", "1", "--force", "--wait")
        for row in json.loads(running.shell(_READ)):
            for figures, seconds in zip((issued, proven, closed), row, strict=True):
                figures.add(seconds)
        rows = [issued, proven, closed]
        if shutil.which(_LEGO):
            rows.append(_measure_lego(running, runs))
    return rows


def _begin(running: RunningStack) -> None:
    """Get the first certificate and put it on all ports."""
    _manage(running, "acme_request", *_NAMES, "--wait")
    fingerprint = json.loads(_manage(running, "acme_status", "--json"))[0]["certificate"]
    _manage(running, "certificate_assign", fingerprint["fingerprint"], "--default")
    for service in ("submissions", "submission"):
        _manage(running, "listener", service, "--enable")
    _manage(running, "apply", "--wait")


def _measure_lego(running: RunningStack, runs: int) -> Figures:
    figures = Figures("lego + hook: start -> all TLS ports show it")
    folder = running.stack.var / "lego"
    folder.mkdir()
    hook = _write_hook(running, folder)
    _run_lego(running, folder, "run")
    for _ in range(runs):
        time.sleep(_SPACING)
        started = time.monotonic()
        _run_lego(running, folder, "renew", *_RENEW, "--renew-hook", str(hook))
        wanted = _leaf_of(folder)
        while any(_served(running, service) != wanted for service in _TLS_PORTS):
            assert time.monotonic() - started < _LIMIT, "a port never showed its certificate"
        figures.add(time.monotonic() - started)
    return figures


def _run_lego(running: RunningStack, folder: Path, *command: str) -> None:
    stack = running.stack
    http = f"{running.sandbox.settings.address}:{stack.pebble.http_port}"
    domains = [word for name in _NAMES for word in ("--domains", name)]
    subprocess.run(
        [
            *(_LEGO, "--path", str(folder), "--server", stack.pebble.directory_url),
            *("--accept-tos", "--email", "admin@example.test", "--http", "--http.port", http),
            *("--dns.resolvers", stack.dns.address, *domains, *command),
        ],
        env={**os.environ, "LEGO_CA_CERTIFICATES": str(stack.var / "authority" / "root.pem")},
        check=True,
        capture_output=True,
        timeout=120,
    )


def _write_hook(running: RunningStack, folder: Path) -> Path:
    sandbox = running.sandbox
    live = running.stack.var / "agent" / "state" / "live" / "default.pem"
    cert = folder / "certificates" / f"{_NAMES[0]}.crt"
    hook = folder / "hook.sh"
    hook.write_text(
        "#!/bin/sh -e\n"
        f'cat "{cert.with_suffix(".key")}" "{cert}" > "{live}.new"\n'
        f'mv "{live}.new" "{live}"\n'
        f'postfix -c "{sandbox.postfix_config_directory}" reload\n'
        f'doveadm -c "{sandbox.dovecot_config}" reload\n'
    )
    hook.chmod(0o700)
    return hook


def _leaf_of(folder: Path) -> str:
    pem = (folder / "certificates" / f"{_NAMES[0]}.crt").read_text()
    end = "-----END CERTIFICATE-----\n"
    der = ssl.PEM_cert_to_DER_cert(pem[: pem.index(end) + len(end)])
    return hashlib.sha256(der).hexdigest()


def _served(running: RunningStack, service: str) -> str:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    address = (running.sandbox.settings.address, running.sandbox.settings.ports[service])
    try:
        with (
            socket.create_connection(address, timeout=5) as plain,
            context.wrap_socket(plain) as secured,
        ):
            return hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()
    except OSError:
        return ""


def _manage(running: RunningStack, *arguments: str) -> str:
    done = running.manage(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
