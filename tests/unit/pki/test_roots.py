"""The roots, and who trusts each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mailadmin.pki.bundle import Verdict, judge_bundle, read_parts
from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.roots import Roots, Store
from tests.throwaway_pki import ThrowawayCa

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CA = ThrowawayCa(now=NOW)
OTHER = ThrowawayCa("Other Root", now=NOW)
ROOT, OTHER_ROOT = read_certificate(CA.root_pem), read_certificate(OTHER.root_pem)
ISSUED = CA.issue()


def judge(*inputs: bytes, roots: Roots) -> Verdict:
    return judge_bundle(read_parts(inputs), now=NOW, roots=roots)


def test_a_root_of_several_stores_is_there_once_and_names_them() -> None:
    roots = Roots.gather(
        {Store.SYSTEM: [ROOT, OTHER_ROOT], Store.MOZILLA: [ROOT], Store.PRIVATE: []}
    )
    assert roots.roots == (ROOT, OTHER_ROOT)
    assert roots.find_stores(ROOT) == {"system", "mozilla"}
    assert roots.find_stores(OTHER_ROOT) == {"system"}
    assert Roots((ROOT,)).find_stores(ROOT) == Roots().find_stores(ROOT) == frozenset()


def test_a_root_is_known_by_its_name_and_key_whatever_certificate_carries_them() -> None:
    again = CA.add_authority(CA.name, None, key=CA.root.key, not_before=NOW - timedelta(9))
    twin = read_certificate(again.pem)
    assert twin != ROOT
    assert Roots.gather({Store.SYSTEM: [ROOT]}).find_stores(twin) == {"system"}


def test_the_verdict_names_the_root_and_who_trusts_it() -> None:
    roots = Roots.gather({Store.SYSTEM: [ROOT, OTHER_ROOT], Store.PRIVATE: [ROOT]})
    verdict = judge(ISSUED.fullchain_pem, ISSUED.key_pem, roots=roots)
    assert (verdict.anchor, verdict.trusted_by) == (ROOT, {"system", "private"})


def test_a_root_that_only_the_upload_holds_is_trusted_by_nobody() -> None:
    verdict = judge(ISSUED.fullchain_pem, CA.root_pem, ISSUED.key_pem, roots=Roots())
    assert (verdict.anchor, verdict.trusted_by) == (ROOT, frozenset())
    verdict = judge(ISSUED.fullchain_pem, ISSUED.key_pem, roots=Roots())
    assert (verdict.anchor, verdict.trusted_by) == (None, frozenset())


def test_a_root_counts_only_while_it_is_valid() -> None:
    roots = Roots.gather({Store.SYSTEM: [ROOT]})
    assert roots.select_valid(NOW).roots == (ROOT,)
    late = roots.select_valid(ROOT.not_after + timedelta(1))
    assert (late.roots, late.find_stores(ROOT)) == ((), frozenset())
