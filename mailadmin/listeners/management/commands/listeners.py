"""List what is wanted of each port."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from mailadmin.listeners.command_line import require_server, tell_pending
from mailadmin.listeners.overview import Findings, ListenerRow, NameRow, Overview, read_overview
from mailadmin.listeners.sentences import (
    address_words,
    login_words,
    say_change,
    say_problem,
    service_words,
    tls_mode_words,
)
from mailadmin.servers.services import name_certificate


class Command(BaseCommand):
    """``manage.py listeners [--json]``."""

    help = "List the services: what is wanted of each port, what is pending and what is wrong."

    def add_arguments(self, parser: CommandParser) -> None:
        """Choose the form of the answer."""
        parser.add_argument("--json", action="store_true", help="answer in JSON")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Print the list."""
        overview = read_overview(require_server(), timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps(as_json(overview), indent=2, ensure_ascii=False))
            return
        rows = [_cells(row) for row in overview.rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())
        for name in overview.names:
            self.stdout.write(f"{name.both_forms}: {_name_certificate(name)}")
        self.stdout.write("")
        for line in tell_pending(overview.server):
            self.stdout.write(line)


def as_json(overview: Overview) -> dict[str, object]:
    """Return the page as JSON."""
    server = overview.server
    return {
        "server": {
            "host_name": server.host_name,
            "tls_profile": server.tls_profile,
            "default_certificate": name_certificate(server.default_certificate),
            "is_dovecot_split": server.is_dovecot_split,
            **_findings_as_json(overview.general),
        },
        "pending_changes": overview.pending_count,
        "listeners": [_row_as_json(row) for row in overview.rows],
        "host_names": [_name_as_json(name) for name in overview.names],
    }


def _row_as_json(row: ListenerRow) -> dict[str, object]:
    listener = row.listener
    return {
        "service": listener.service,
        "words": service_words(listener.service),
        "is_enabled": listener.is_enabled,
        "address": listener.address,
        "port": listener.port,
        "tls_mode": listener.tls_mode,
        "is_login_required": listener.is_login_required,
        "certificate": name_certificate(row.certificate),
        "is_default_certificate": listener.certificate_id is None,
        **_findings_as_json(row.findings),
    }


def _name_as_json(name: NameRow) -> dict[str, object]:
    return {
        "host_name": name.host_name,
        "certificate": name_certificate(name.binding.certificate if name.binding else None),
        **_findings_as_json(name.findings),
    }


def _findings_as_json(findings: Findings) -> dict[str, object]:
    return {
        "pending": [
            {**change.as_dict(), "message": say_change(change)} for change in findings.changes
        ],
        "problems": [
            {**problem.as_dict(), "message": say_problem(problem)} for problem in findings.problems
        ],
    }


def _cells(row: ListenerRow) -> list[str]:
    listener = row.listener
    login = login_words(listener.service, is_required=listener.is_login_required)
    return [
        _("open") if listener.is_enabled else _("closed"),
        listener.service,
        address_words(listener.address, listener.port),
        tls_mode_words(listener.tls_mode, listener.service),
        _("login: %(login)s") % {"login": login},
        _row_certificate(row),
        _("(pending)") if row.findings.changes else "",
    ]


def _row_certificate(row: ListenerRow) -> str:
    if row.certificate is None:
        return _("no certificate")
    words = f"{row.certificate.label} {row.certificate.fingerprint[:8]}"
    return words if row.listener.certificate_id else _("%(words)s, default") % {"words": words}


def _name_certificate(name: NameRow) -> str:
    if name.binding is None:
        return _("to be removed")
    return f"{name.binding.certificate.label} {name.binding.certificate.fingerprint[:8]}"
