"""The tables of expected verdicts: one line per file, written from what the file is."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Row:
    """What a file deserves. ``errors`` and ``warnings`` are all the codes, each once."""

    path: str
    password: str
    outcome: str
    errors: frozenset[str]
    warnings: frozenset[str]
    why: str


def read_table(name: str) -> dict[str, Row]:
    """Return the rows of a table by their path."""
    with (HERE / name).open(newline="") as file:
        rows = [
            Row(
                path=line["path"],
                password=line["password"],
                outcome=line["outcome"],
                errors=frozenset(line["errors"].split()),
                warnings=frozenset(line["warnings"].split()),
                why=line["why"],
            )
            for line in csv.DictReader(file)
        ]
    by_path = {row.path: row for row in rows}
    assert len(by_path) == len(rows), "a path stands in the table twice"
    return by_path


def read_open_findings(table: str) -> frozenset[str]:
    """Return the paths of a table whose verdict is known to be still wrong."""
    with (HERE / "open_findings.csv").open(newline="") as file:
        return frozenset(line["path"] for line in csv.DictReader(file) if line["table"] == table)
