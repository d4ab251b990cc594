"""Chains of C2SP's x509-limbo: would mail clients trust the server? With our exceptions, and why.

``limbo.csv`` has each case with what limbo expects and what we say; where the two differ, the
reason stands beside them.
"""

from __future__ import annotations

import csv
import json
from base64 import b64decode
from dataclasses import dataclass
from datetime import datetime
from time import thread_time
from typing import Any

import pytest

from mailadmin.pki.bundle import judge_bundle
from mailadmin.pki.names import is_covered
from mailadmin.pki.parts import read_parts
from mailadmin.pki.roots import Roots, Store
from tests.corpora.conftest import NOW
from tests.corpora.tables import HERE, read_open_findings

pytestmark = pytest.mark.filterwarnings("ignore")

NOT_TRUSTED = frozenset({"chain.missing_intermediate", "chain.root_unknown"})


@dataclass(frozen=True)
class Case:
    """A line of the table."""

    case: str
    limbo: str
    ours: str
    why: str


def read_cases() -> dict[str, dict[str, Any]]:
    return {case["id"]: case for case in json.loads((HERE / "limbo.json").read_text())}


def read_lines() -> dict[str, Case]:
    with (HERE / "limbo.csv").open(newline="") as file:
        return {line["case"]: Case(**line) for line in csv.DictReader(file)}


CASES, LINES, OPEN = read_cases(), read_lines(), read_open_findings("limbo.csv")


def judge(case: dict[str, Any]) -> tuple[bool, set[str]]:
    """Return whether clients that know the roots trust the server, and all the codes."""
    leaf = b64decode(case["leaf"])
    upload = read_parts([leaf, *map(b64decode, case["intermediates"])])
    trusted = [
        facts for root in case["roots"] for facts in read_parts([b64decode(root)]).certificates
    ]
    verdict = judge_bundle(
        upload,
        now=datetime.fromisoformat(case["at"]) if case["at"] else NOW,
        # Only the certificates are asked about: every key is at hand.
        known_key_ids={facts.public_key_id for facts in upload.certificates},
        roots=Roots.gather({Store.PRIVATE: trusted}),
    )
    codes = {found.code for found in verdict.problems}
    name = case["peer_name"]
    is_named = verdict.leaf is not None and (not name or is_covered(name, verdict.leaf.names))
    return verdict.is_accepted and is_named and not codes & NOT_TRUSTED, codes


def test_the_table_knows_every_case_and_why_we_differ() -> None:
    assert set(LINES) == set(CASES)
    assert {name: line.limbo for name, line in LINES.items()} == {
        name: {"SUCCESS": "trusted", "FAILURE": "refused"}[case["expected"]]
        for name, case in CASES.items()
    }
    assert [
        line.case for line in LINES.values() if (line.ours != line.limbo) != bool(line.why)
    ] == []
    assert set(LINES) >= OPEN


@pytest.mark.parametrize("name", LINES)
def test_verdict(name: str) -> None:
    began = thread_time()
    is_trusted, codes = judge(CASES[name])
    assert thread_time() - began < 1

    is_right = LINES[name].ours == ("trusted" if is_trusted else "refused")
    assert is_right is (name not in OPEN), f"trusted: {is_trusted}; {sorted(codes)}"
