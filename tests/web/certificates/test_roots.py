"""Which roots are known, and by whom."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from mailadmin import settings as shipped
from mailadmin.certificates.models import TrustedAuthority
from mailadmin.certificates.trust import find_public_roots, find_trusted_roots
from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.roots import Store
from tests.throwaway_pki import ThrowawayCa

pytestmark = pytest.mark.django_db

ONE, TWO = ThrowawayCa("Authority One", intermediates=0), ThrowawayCa("Two", intermediates=0)


@pytest.fixture(autouse=True)
def _own_stores(settings: Settings, tmp_path: Path) -> None:
    settings.TRUST_STORE_FILE = tmp_path / "system.pem"
    settings.MOZILLA_ROOTS_FILE = tmp_path / "mozilla.pem"


def stores_of(ca: ThrowawayCa) -> set[str]:
    return set(find_trusted_roots().find_stores(read_certificate(ca.root_pem)))


def trust(ca: ThrowawayCa) -> TrustedAuthority:
    facts = read_certificate(ca.root_pem)
    return TrustedAuthority.objects.create(
        fingerprint=facts.fingerprint, pem=facts.pem, title="Own", not_after=facts.not_after
    )


def test_a_root_is_known_by_every_store_that_holds_it(settings: Settings) -> None:
    settings.TRUST_STORE_FILE.write_bytes(ONE.root_pem + TWO.root_pem)
    settings.MOZILLA_ROOTS_FILE.write_bytes(ONE.root_pem)
    assert stores_of(ONE) == {Store.SYSTEM, Store.MOZILLA}
    assert stores_of(TWO) == {Store.SYSTEM}
    assert len(find_trusted_roots().roots) == 2


def test_an_own_authority_is_known_from_the_moment_it_is_trusted() -> None:
    assert stores_of(ONE) == set()
    row = trust(ONE)
    assert stores_of(ONE) == {Store.PRIVATE}
    assert not find_public_roots().roots
    row.delete()
    assert stores_of(ONE) == set()


def test_a_store_that_changed_is_read_again(settings: Settings) -> None:
    store: Path = settings.TRUST_STORE_FILE
    store.write_bytes(ONE.root_pem)
    os.utime(store, ns=(1, 1))
    assert (stores_of(ONE), stores_of(TWO)) == ({Store.SYSTEM}, set())
    store.write_bytes(TWO.root_pem)
    os.utime(store, ns=(2, 2))
    assert (stores_of(ONE), stores_of(TWO)) == (set(), {Store.SYSTEM})


def test_what_is_no_store_is_none(settings: Settings, tmp_path: Path) -> None:
    settings.TRUST_STORE_FILE = tmp_path  # a folder
    settings.MOZILLA_ROOTS_FILE.write_bytes(b"\xff\x00 nothing of the kind")
    assert not find_trusted_roots().roots


def test_the_roots_cost_one_query(
    settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    trust(ONE)
    trust(TWO)
    with django_assert_num_queries(1):
        assert len(find_trusted_roots().roots) == 2


def test_the_lists_of_debian_and_mozilla_are_found_where_they_are(settings: Settings) -> None:
    settings.TRUST_STORE_FILE = shipped.TRUST_STORE_FILE
    settings.MOZILLA_ROOTS_FILE = shipped.MOZILLA_ROOTS_FILE
    roots = find_public_roots()
    names = {root.common_name for root in roots.roots}
    assert {"ISRG Root X1", "DigiCert Global Root G2"} <= names
    both = frozenset({Store.SYSTEM, Store.MOZILLA})
    assert both in roots.stores.values()
