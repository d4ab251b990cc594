"""Keys at rest: sealed, bound to their public key, and useless without the master key."""

from __future__ import annotations

import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock, patch

import pytest
from django.db.transaction import TransactionManagementError
from pytest_django import Settings

from mailadmin.certificates import custody, master_key
from mailadmin.certificates.custody import (
    keep_master_keys,
    obtain_master_keys,
    open_key_pem,
    seal_key,
)
from mailadmin.certificates.master_key import (
    CustodyProblem,
    create_master_key,
    draw_master_key,
    read_master_keys,
    replace_master_keys,
)
from mailadmin.certificates.models import PrivateKey
from mailadmin.certificates.sentences import say
from mailadmin.pki.keys import KeyKind, generate_key, private_key_to_pem, public_key_id

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def path(tmp_path: Path, settings: Settings) -> Path:
    settings.MASTER_KEY_FILE = tmp_path / "secrets" / "master.key"
    return tmp_path / "secrets" / "master.key"


def refusal(error: pytest.ExceptionInfo[CustodyProblem]) -> str:
    """Return the code, having checked that it can be said and names the file."""
    problem = error.value.problem
    assert "master" in say(problem)
    assert say(problem) != problem.code
    return problem.code


def test_a_key_is_sealed_and_opened_again() -> None:
    key = generate_key(KeyKind.ECDSA_P256)
    row = seal_key(key)
    assert row.public_key_id == public_key_id(key)
    assert row.description == "ECDSA P-256"
    assert open_key_pem(PrivateKey.objects.get()).encode() == private_key_to_pem(key)


def test_nothing_of_the_key_is_in_the_row_or_its_texts() -> None:
    key = generate_key(KeyKind.ECDSA_P256)
    row = seal_key(key)
    secret = key.private_numbers().private_value.to_bytes(32, "big")
    shown = bytes(row.ciphertext) + repr(row).encode() + str(row).encode()
    assert secret not in shown
    assert b"PRIVATE" not in shown


def test_sealing_the_same_key_again_keeps_one_row() -> None:
    key = generate_key(KeyKind.ECDSA_P256)
    first = seal_key(key)
    before = bytes(first.ciphertext)
    assert seal_key(key) == first
    assert bytes(PrivateKey.objects.get().ciphertext) == before


def test_two_seals_of_one_key_differ() -> None:
    key = generate_key(KeyKind.ECDSA_P256)
    first = bytes(seal_key(key).ciphertext)
    PrivateKey.objects.all().delete()
    assert bytes(seal_key(key).ciphertext) != first


def test_a_sealed_key_moved_to_another_row_does_not_open() -> None:
    one, two = (
        seal_key(generate_key(KeyKind.ECDSA_P256)),
        seal_key(generate_key(KeyKind.ECDSA_P256)),
    )
    one.ciphertext, one.nonce = two.ciphertext, two.nonce
    one.save()
    with pytest.raises(CustodyProblem) as error:
        open_key_pem(one)
    assert refusal(error) == "custody.key_damaged"


def test_a_changed_byte_is_noticed() -> None:
    row = seal_key(generate_key(KeyKind.ECDSA_P256))
    changed = bytearray(row.ciphertext)
    changed[5] ^= 1
    row.ciphertext = bytes(changed)
    with pytest.raises(CustodyProblem):
        open_key_pem(row)


def test_the_master_key_is_drawn_once_and_belongs_to_one_account_alone(path: Path) -> None:
    assert not path.exists()
    (first,) = obtain_master_keys()
    assert len(first.value) == 32
    assert base64.b64decode(path.read_text()) == first.value
    assert first.value.hex() not in repr(first) + first.key_id
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert obtain_master_keys() == (first,)
    assert list(path.parent.iterdir()) == [path]


def test_many_first_starts_at_once_agree_on_one_master_key(path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: create_master_key(path), range(64)))
    assert keys == {read_master_keys(path)}
    assert list(path.parent.iterdir()) == [path]


def test_a_master_key_that_is_missing_is_not_replaced_while_keys_need_it(path: Path) -> None:
    row = seal_key(generate_key(KeyKind.ECDSA_P256))
    path.unlink()
    with pytest.raises(CustodyProblem) as error:
        open_key_pem(row)
    assert refusal(error) == "custody.master_key_missing"
    assert str(path) in say(error.value.problem)
    assert not path.exists()


def test_another_master_key_opens_nothing_and_says_so(path: Path) -> None:
    row = seal_key(generate_key(KeyKind.ECDSA_P256))
    path.write_text(base64.b64encode(os.urandom(32)).decode())
    with pytest.raises(CustodyProblem) as error:
        open_key_pem(row)
    assert refusal(error) == "custody.master_key_other"
    assert row.master_key_id in say(error.value.problem)
    assert error.value.__cause__ is None


def test_a_key_from_before_master_keys_had_names_is_tried_with_all(path: Path) -> None:
    key = generate_key(KeyKind.ECDSA_P256)
    row = seal_key(key)
    PrivateKey.objects.update(master_key_id="")
    row.refresh_from_db()
    replace_master_keys(path, [draw_master_key(), *obtain_master_keys()])
    assert open_key_pem(row).encode() == private_key_to_pem(key)
    replace_master_keys(path, [draw_master_key()])
    with pytest.raises(CustodyProblem) as error:
        open_key_pem(row)
    assert refusal(error) == "custody.key_not_opened"


def test_the_newest_master_key_seals_and_every_one_opens(path: Path) -> None:
    one, two = (generate_key(KeyKind.ECDSA_P256) for _ in range(2))
    first = seal_key(one)
    replace_master_keys(path, [draw_master_key(), *obtain_master_keys()])
    second = seal_key(two)
    newest, oldest = obtain_master_keys()
    assert (first.master_key_id, second.master_key_id) == (oldest.key_id, newest.key_id)
    assert open_key_pem(first).encode() == private_key_to_pem(one)
    assert open_key_pem(second).encode() == private_key_to_pem(two)


def test_sealing_outside_of_a_transaction_is_a_mistake() -> None:
    outside = patch.object(custody, "connection", Mock(in_atomic_block=False))
    with outside, pytest.raises(TransactionManagementError):
        keep_master_keys()


def test_a_key_that_no_longer_opens_is_healed_by_storing_it_again(path: Path) -> None:
    key = generate_key(KeyKind.ECDSA_P256)
    row = seal_key(key)
    path.write_text(base64.b64encode(os.urandom(32)).decode())
    assert seal_key(key) == row
    assert open_key_pem(PrivateKey.objects.get()).encode() == private_key_to_pem(key)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o777])
def test_a_master_key_that_others_may_read_is_not_used(mode: int, path: Path) -> None:
    obtain_master_keys()
    path.chmod(mode)
    with pytest.raises(CustodyProblem) as error:
        seal_key(generate_key(KeyKind.ECDSA_P256))
    assert refusal(error) == "custody.master_key_exposed"
    assert f"chmod 600 {path}" in say(error.value.problem)
    assert not PrivateKey.objects.exists()


@pytest.mark.parametrize("content", [b"", b"not base64!", b"c2hvcnQ=", b"\xff" * 100, b"A" * 5000])
def test_a_file_that_holds_no_master_key_is_refused(content: bytes, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(CustodyProblem) as error:
        obtain_master_keys()
    assert refusal(error) == "custody.master_key_unreadable"
    assert path.read_bytes() == content


def test_a_folder_in_place_of_the_master_key_is_refused(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(CustodyProblem) as error:
        obtain_master_keys()
    assert refusal(error) == "custody.master_key_unreadable"


def test_a_place_where_nothing_can_be_written_is_told(path: Path) -> None:
    path.parent.write_text("a file where the folder should be")
    with pytest.raises(CustodyProblem) as error:
        create_master_key(path)
    assert refusal(error) == "custody.master_key_not_kept"


def test_a_full_disk_leaves_no_half_a_master_key(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(master_key.os, "fsync", fail)
    with pytest.raises(CustodyProblem) as error:
        obtain_master_keys()
    assert refusal(error) == "custody.master_key_not_kept"
    assert list(path.parent.iterdir()) == []
