"""The secrets of accounts and DNS accesses at rest, and when the master key is replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from mailadmin.acme.models import AcmeSecret
from mailadmin.acme.sealing import open_secret, seal_secret
from mailadmin.certificates.master_key import CustodyProblem, read_master_keys
from mailadmin.certificates.rotation import rotate_master_key
from tests.factories import make_actor

pytestmark = pytest.mark.django_db
SECRET = "tsig-or-token-Äß"


@pytest.fixture(autouse=True)
def path(tmp_path: Path, settings: Settings) -> Path:
    settings.MASTER_KEY_FILE = tmp_path / "master.key"
    return tmp_path / "master.key"


def code_of(error: pytest.ExceptionInfo[CustodyProblem]) -> str:
    assert SECRET not in repr(error.value)
    return error.value.problem.code


def test_the_row_holds_no_trace_of_it() -> None:
    row = AcmeSecret.objects.get(pk=seal_secret(SECRET).pk)
    assert SECRET.encode() not in bytes(row.ciphertext)
    assert open_secret(row) == SECRET


def test_it_opens_in_its_own_row_alone() -> None:
    one, other = seal_secret(SECRET), seal_secret("another")
    other.ciphertext, other.nonce = one.ciphertext, one.nonce
    other.save()
    with pytest.raises(CustodyProblem) as error:
        open_secret(other)
    assert code_of(error) == "acme.secret_not_opened"


def test_a_new_master_key_takes_it_along(path: Path) -> None:
    row = seal_secret(SECRET)
    stale = AcmeSecret.objects.get()
    old = read_master_keys(path)[0]
    assert rotate_master_key(actor=make_actor()).others == 1
    (new,) = read_master_keys(path)
    assert new != old
    row.refresh_from_db()
    assert row.master_key_id == new.key_id
    assert open_secret(row) == SECRET
    # Read before the rotation, opened after it.
    assert open_secret(stale) == SECRET


def test_one_that_nothing_opens_does_not_stand_in_the_way(path: Path) -> None:
    row = seal_secret(SECRET)
    AcmeSecret.objects.update(master_key_id="0123456789abcdef")
    assert rotate_master_key(actor=make_actor()).others == 0
    row.refresh_from_db()
    with pytest.raises(CustodyProblem) as error:
        open_secret(row)
    assert code_of(error) == "acme.secret_not_opened"


def test_without_a_usable_master_key_nothing_is_saved(path: Path) -> None:
    path.write_text("not a key")
    path.chmod(0o600)
    with pytest.raises(CustodyProblem):
        seal_secret(SECRET)
    assert not AcmeSecret.objects.exists()
