"""``rotate_master_key [--check] [--json]``."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from mailadmin.audit.actors import Actor
from mailadmin.audit.request_id import draw_request_id, request_id_set
from mailadmin.certificates.master_key import CustodyProblem
from mailadmin.certificates.rotation import Custody, Rotation, check_custody, rotate_master_key
from mailadmin.certificates.sentences import say

_EXIT_REFUSED = 1


class Command(BaseCommand):
    """Puts a new master key in the place of the old one."""

    help = (
        "Draw a new master key and seal every private key with it, while the panel keeps working. "
        "It may be interrupted at any point: run again, it goes on. Afterwards back up the file: "
        "the old copy opens only an old copy of the database. Exits with 0: done or all keys "
        "open, 1: not."
    )
    # They would speak before --json does, and of the same file.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.add_argument(
            "--check", action="store_true", help="only tell whether all private keys open"
        )
        parser.add_argument("--json", action="store_true", help="print what happened as JSON")

    def handle(self, **options: Any) -> None:
        """Rotate or check, and say what came of it."""
        is_json: bool = options["json"]
        try:
            with request_id_set(draw_request_id()):
                is_good = self._check(is_json) if options["check"] else self._rotate(is_json)
        except CustodyProblem as error:
            if is_json:
                self._print_json({"code": error.problem.code, "message": say(error.problem)})
            else:
                self.stderr.write(say(error.problem))
            is_good = False
        if not is_good:
            sys.exit(_EXIT_REFUSED)

    def _check(self, is_json: bool) -> bool:
        custody = check_custody()
        if is_json:
            self._print_json(_custody_as_dict(custody))
        else:
            for line in _custody_lines(custody):
                self.stdout.write(line)
        return not custody.unopened

    def _rotate(self, is_json: bool) -> bool:
        rotation = rotate_master_key(actor=Actor.command_line())
        if is_json:
            self._print_json(asdict(rotation))
        else:
            for line in _rotation_lines(rotation):
                self.stdout.write(line)
        return True

    def _print_json(self, value: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(value, indent=2, ensure_ascii=False))


def _custody_as_dict(custody: Custody) -> dict[str, Any]:
    return {
        "master_key_ids": custody.master_key_ids,
        "keys": custody.keys,
        "under_older": custody.under_older,
        "is_rotation_pending": custody.is_rotation_pending,
        "unopened": [
            {"label": item.label, "code": item.problem.code, "message": say(item.problem)}
            for item in custody.unopened
        ],
    }


def _custody_lines(custody: Custody) -> list[str]:
    lines = [f"{item.label}: {say(item.problem)}" for item in custody.unopened]
    opened = custody.keys - len(custody.unopened)
    lines.append(
        f"{opened} of {custody.keys} private keys open with master key {custody.master_key_ids[0]}"
        + (f" or an older one ({custody.under_older} wait)." if custody.under_older else ".")
    )
    if custody.is_rotation_pending:
        lines.append(
            "A rotation was begun and not finished. Nothing is lost: run rotate_master_key again."
        )
    return lines


def _rotation_lines(rotation: Rotation) -> list[str]:
    begin = "The interrupted rotation is finished" if rotation.is_resumed else "Done"
    lines = [
        f"{begin}: master key {rotation.new_id} replaces {', '.join(rotation.old_ids)}.",
        f"Sealed anew: {rotation.keys} private keys, {rotation.uploads} waiting uploads.",
        "Back up the file now, and keep the old copy only as long as old database backups.",
    ]
    if rotation.others:
        lines.insert(2, f"And {rotation.others} other secrets, as of webhooks.")
    if rotation.is_resumed:
        lines.append("The new key is the one drawn then; run this again to draw another.")
    return lines
