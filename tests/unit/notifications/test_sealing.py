"""The secret at rest, and when the master key is replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from mailadmin.certificates.master_key import CustodyProblem, read_master_keys
from mailadmin.certificates.rotation import rotate_master_key
from mailadmin.notifications.models import Destination
from mailadmin.notifications.sealing import SecretNotOpenedError, open_secret
from tests.factories import make_actor
from tests.notification_factories import SECRET, make_mailbox, make_webhook

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def path(tmp_path: Path, settings: Settings) -> Path:
    settings.MASTER_KEY_FILE = tmp_path / "master.key"
    return tmp_path / "master.key"


def test_the_row_holds_no_trace_of_it() -> None:
    row = make_webhook()
    row.refresh_from_db()
    assert SECRET.encode() not in bytes(row.secret_ciphertext)
    assert open_secret(row) == SECRET


def test_it_opens_in_its_own_row_alone() -> None:
    one, other = make_webhook(), make_webhook("https://other.example.net/", secret="x" * 20)
    other.secret_ciphertext, other.secret_nonce = one.secret_ciphertext, one.secret_nonce
    other.save()
    with pytest.raises(SecretNotOpenedError):
        open_secret(other)


def test_a_new_master_key_takes_it_along(path: Path) -> None:
    row, stale = make_webhook(), Destination.objects.get()
    make_mailbox()
    old = read_master_keys(path)[0]
    rotation = rotate_master_key(actor=make_actor())
    assert rotation.others == 1
    (new,) = read_master_keys(path)
    assert new != old
    row.refresh_from_db()
    assert row.master_key_id == new.key_id
    assert open_secret(row) == SECRET
    # Read before the rotation, opened after it.
    assert open_secret(stale) == SECRET


def test_a_secret_that_nothing_opens_does_not_stand_in_the_way(path: Path) -> None:
    row = make_webhook()
    Destination.objects.update(master_key_id="0123456789abcdef")
    assert rotate_master_key(actor=make_actor()).others == 0
    row.refresh_from_db()
    with pytest.raises(SecretNotOpenedError):
        open_secret(row)


def test_without_a_usable_master_key_nothing_is_saved(path: Path) -> None:
    path.write_text("not a key")
    path.chmod(0o600)
    with pytest.raises(CustodyProblem):
        make_webhook()
    assert not Destination.objects.exists()
