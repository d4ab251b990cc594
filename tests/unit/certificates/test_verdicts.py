"""What is said of a verdict beside its problems."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mailadmin.certificates.verdicts import describe_verdict
from mailadmin.pki.bundle import judge_bundle, read_parts
from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.roots import Roots, Store
from tests.throwaway_pki import ThrowawayCa

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CA = ThrowawayCa(now=NOW)
ISSUED = CA.issue()
ROOT = read_certificate(CA.root_pem)


@pytest.mark.parametrize(
    ("stores", "words"),
    [
        ([Store.SYSTEM], "this system trusts."),
        ([Store.MOZILLA, Store.SYSTEM], "this system and Mozilla’s list trust."),
        ([Store.PRIVATE], "your list of own authorities trusts."),
        (list(Store), "this system, Mozilla’s list and your list of own authorities trust."),
    ],
)
def test_the_root_is_named_with_those_who_trust_it(stores: list[Store], words: str) -> None:
    roots = Roots.gather({store: [ROOT] for store in stores})
    verdict = judge_bundle(read_parts([ISSUED.fullchain_pem, ISSUED.key_pem]), now=NOW, roots=roots)
    said = describe_verdict(verdict, NOW)
    assert f"Its chain leads to {CA.name}, which {words}" in said


def test_of_a_root_that_nobody_trusts_nothing_is_said_here() -> None:
    verdict = judge_bundle(read_parts([ISSUED.fullchain_pem, CA.root_pem]), now=NOW)
    assert verdict.anchor == ROOT
    assert not [line for line in describe_verdict(verdict, NOW) if "leads to" in line]
