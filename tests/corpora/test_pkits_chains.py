"""The path tests of NIST's PKITS: leaf and all that could stand above it, judged as one upload.

``pkits_chains.csv`` has each of its end entities with what PKITS expects and what we say, and why
where the two differ. Nearly none of them names a host; that alone is no matter here.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pytest

from mailadmin.pki.bundle import judge_bundle
from mailadmin.pki.facts import CertificateFacts, CertificateProblem, read_certificate
from mailadmin.pki.parts import Parts, read_parts
from mailadmin.pki.problems import Severity
from mailadmin.pki.roots import Roots, Store
from tests.corpora.conftest import NOW, PKITS
from tests.corpora.tables import HERE, read_open_findings

pytestmark = pytest.mark.filterwarnings("ignore")

NOT_TRUSTED = frozenset({"chain.missing_intermediate", "chain.root_unknown"})
NO_MATTER = frozenset({"certificate.no_usable_name"})
ANCHOR = "TrustAnchorRootCertificate"


@dataclass(frozen=True)
class Line:
    """A line of the table: ``section`` is that of the PKITS document."""

    test: str
    section: str
    pkits: str
    ours: str
    why: str


def read_lines() -> dict[str, Line]:
    with (HERE / "pkits_chains.csv").open(newline="") as file:
        return {line["test"]: Line(**line) for line in csv.DictReader(file)}


LINES, OPEN = read_lines(), read_open_findings("pkits_chains.csv")


@cache
def authorities() -> dict[str, list[CertificateFacts]]:
    """Return all that is no end entity, by the names of the subjects as text without case."""
    found = defaultdict(list)
    for path in sorted((PKITS / "certs").glob("*.crt")):
        if not path.stem.endswith("EE") and path.stem != ANCHOR:
            try:
                facts = read_certificate(path.read_bytes())
            except CertificateProblem:
                continue
            found[comparable(facts.subject)].append(facts)
    return found


def comparable(name: str) -> str:
    return "".join(name.casefold().split())


def above(leaf: CertificateFacts) -> Iterator[CertificateFacts]:
    """Yield every certificate that the issuers' names lead to, upwards."""
    met, names = set(), [comparable(leaf.issuer)]
    for name in names:
        for facts in authorities().get(name, ()):
            if facts.fingerprint not in met:
                met.add(facts.fingerprint)
                names.append(comparable(facts.issuer))
                yield facts


def judge(test: str) -> tuple[bool, set[str]]:
    """Return whether a client with this root trusts the path, and all the codes."""
    upload = read_parts([(PKITS / "certs" / f"{test}.crt").read_bytes()])
    anchor = read_certificate((PKITS / "certs" / f"{ANCHOR}.crt").read_bytes())
    if not upload.certificates:
        return False, {found.code for found in upload.problems}
    (leaf,) = upload.certificates
    verdict = judge_bundle(
        Parts(certificates=(leaf, *above(leaf)), problems=upload.problems),
        now=NOW,
        known_key_ids={leaf.public_key_id},
        roots=Roots.gather({Store.PRIVATE: [anchor]}),
    )
    codes = {found.code for found in verdict.problems}
    errors = {found.code for found in verdict.problems if found.severity is Severity.ERROR}
    assert verdict.leaf == (None if leaf.is_ca else leaf)
    return not errors - NO_MATTER and not codes & NOT_TRUSTED, codes


def test_the_table_knows_every_end_entity_and_why_we_differ() -> None:
    ends = {path.stem for path in (PKITS / "certs").glob("*EE.crt")}
    assert set(LINES) == ends
    assert [
        line.test for line in LINES.values() if (line.ours != line.pkits) != bool(line.why)
    ] == []
    assert set(LINES) >= OPEN


@pytest.mark.parametrize("test", LINES)
def test_path(test: str) -> None:
    is_trusted, codes = judge(test)

    is_right = LINES[test].ours == ("valid" if is_trusted else "invalid")
    assert is_right is (test not in OPEN), f"trusted: {is_trusted}; {sorted(codes)}"
