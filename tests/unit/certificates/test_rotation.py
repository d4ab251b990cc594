"""Another master key in the place of the old one: nothing is lost, and everything is told."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django import Settings

from mailadmin.accounts.models import User
from mailadmin.audit.models import AuditEvent
from mailadmin.certificates import custody, master_key
from mailadmin.certificates.custody import obtain_master_keys, open_key_pem, seal_key
from mailadmin.certificates.master_key import (
    CustodyProblem,
    draw_master_key,
    read_master_keys,
    replace_master_keys,
)
from mailadmin.certificates.models import PrivateKey, SealedUpload
from mailadmin.certificates.rotation import check_custody, rotate_master_key
from mailadmin.certificates.sealed_uploads import (
    KeptUpload,
    UploadGoneError,
    open_upload,
    seal_upload,
)
from mailadmin.certificates.sentences import say
from mailadmin.pki.keys import KeyKind, generate_key, private_key_to_pem
from tests.factories import make_actor

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ACTOR = make_actor()


@pytest.fixture(autouse=True)
def path(tmp_path: Path, settings: Settings) -> Path:
    settings.MASTER_KEY_FILE = tmp_path / "secrets" / "master.key"
    return tmp_path / "secrets" / "master.key"


@pytest.fixture
def pems() -> list[bytes]:
    """Store more keys than go into one batch, and return them as they were."""
    keys = [generate_key(KeyKind.ECDSA_P256) for _ in range(60)]
    for key in keys:
        seal_key(key)
    return [private_key_to_pem(key) for key in keys]


def opened() -> list[bytes]:
    return [open_key_pem(row).encode() for row in PrivateKey.objects.order_by("pk")]


def run(*arguments: str) -> tuple[int, str, str]:
    """Return exit code, output and errors of the command."""
    out, err = StringIO(), StringIO()
    try:
        call_command("rotate_master_key", *arguments, stdout=out, stderr=err)
    except SystemExit as error:
        return int(str(error.code)), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def test_every_key_opens_afterwards_and_the_old_master_key_is_gone(
    pems: list[bytes], path: Path
) -> None:
    (old,) = obtain_master_keys()
    rotation = rotate_master_key(actor=ACTOR)
    (new,) = obtain_master_keys()
    assert new != old
    assert (rotation.old_ids, rotation.new_id, rotation.keys) == ((old.key_id,), new.key_id, 60)
    assert opened() == pems
    assert set(PrivateKey.objects.values_list("master_key_id", flat=True)) == {new.key_id}
    replace_master_keys(path, [old])
    with pytest.raises(CustodyProblem) as error:
        open_key_pem(PrivateKey.objects.all()[0])
    assert "copy from before the master key was replaced" in say(error.value.problem)


def test_keys_from_before_master_keys_had_names_are_taken_along(pems: list[bytes]) -> None:
    PrivateKey.objects.update(master_key_id="")
    rotate_master_key(actor=ACTOR)
    assert opened() == pems
    assert not PrivateKey.objects.filter(master_key_id="").exists()


def test_uploads_that_wait_are_taken_along(operator: User, path: Path) -> None:
    token = seal_upload(
        user=operator,
        kept=KeptUpload(
            (
                b"one",
                b"two",
            )
        ),
        now=NOW,
    )
    (old,) = obtain_master_keys()
    assert rotate_master_key(actor=ACTOR).uploads == 1
    assert open_upload(user=operator, token=token, now=NOW) == KeptUpload((b"one", b"two"))
    replace_master_keys(path, [old])
    with pytest.raises(UploadGoneError):
        open_upload(user=operator, token=token, now=NOW)


def test_an_upload_that_nothing_opens_does_not_stand_in_the_way(operator: User, path: Path) -> None:
    seal_upload(user=operator, kept=KeptUpload((b"one",)), now=NOW)
    replace_master_keys(path, [draw_master_key()])
    assert rotate_master_key(actor=ACTOR).uploads == 0
    assert SealedUpload.objects.count() == 1


def test_owner_and_mode_of_the_file_stay(pems: list[bytes], path: Path) -> None:
    os.chown(path, 12345, 23456)
    path.chmod(0o400)
    rotate_master_key(actor=ACTOR)
    kept = path.stat()
    assert (kept.st_uid, kept.st_gid) == (12345, 23456)
    assert stat.S_IMODE(kept.st_mode) == 0o400
    assert list(path.parent.iterdir()) == [path]


def test_a_link_to_the_file_stays_a_link(pems: list[bytes], path: Path, tmp_path: Path) -> None:
    real = path.rename(tmp_path / "elsewhere.key")
    path.symlink_to(real)
    rotate_master_key(actor=ACTOR)
    assert path.is_symlink()
    assert opened() == pems
    assert len(read_master_keys(real)) == 1


def test_what_was_done_is_in_the_log_and_no_key_is(pems: list[bytes], path: Path) -> None:
    (old,) = obtain_master_keys()
    rotate_master_key(actor=ACTOR)
    (new,) = obtain_master_keys()
    done, begun = AuditEvent.objects.filter(object_type="master_key")
    assert begun.verb == "master_key.rotation_begun"
    assert begun.object_label == old.key_id
    assert done.verb == "master_key.rotated"
    assert done.before == {"master_key_ids": [old.key_id]}
    assert done.after == {"master_key_ids": [new.key_id], "keys": 60, "uploads": 0, "others": 0}
    told = json.dumps([done.before, done.after, begun.after])
    assert path.read_text().strip() not in told


def test_an_interrupted_rotation_is_finished_with_the_key_drawn_then(
    pems: list[bytes], path: Path
) -> None:
    (old,) = obtain_master_keys()
    new = draw_master_key()
    replace_master_keys(path, [new, old])
    assert check_custody().is_rotation_pending
    rotation = rotate_master_key(actor=ACTOR)
    assert rotation.is_resumed
    assert obtain_master_keys() == (new,)
    assert opened() == pems


def test_what_a_killed_rotation_left_in_the_folder_is_cleared(path: Path) -> None:
    obtain_master_keys()
    draft = path.with_name(".master.key.0123456789abcdef")
    other = path.with_name(".master.key.backup")
    draft.touch()
    other.touch()
    rotate_master_key(actor=ACTOR)
    assert sorted(path.parent.iterdir()) == [other, path]


def test_a_reader_that_read_the_row_before_opens_it_all_the_same(
    pems: list[bytes],
) -> None:
    rows = list(PrivateKey.objects.order_by("pk"))
    rotate_master_key(actor=ACTOR)
    rotate_master_key(actor=ACTOR)
    assert [open_key_pem(row).encode() for row in rows] == pems


def test_a_key_that_vanished_meanwhile_is_told(pems: list[bytes]) -> None:
    row = PrivateKey.objects.all()[0]
    PrivateKey.objects.all().delete()
    rotate_master_key(actor=ACTOR)
    with pytest.raises(CustodyProblem):
        open_key_pem(row)


def test_a_key_sealed_with_the_old_master_key_late_is_waited_for(
    pems: list[bytes], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who read the file before the rotation commits only just before the end."""
    (old,) = obtain_master_keys()
    late = generate_key(KeyKind.ECDSA_P256)

    def keep(*, from_sealing: bool) -> None:
        assert from_sealing
        monkeypatch.undo()
        row = seal_key(late)
        sealed = custody.seal(private_key_to_pem(late), row.public_key_id.encode(), old)
        PrivateKey.objects.filter(pk=row.pk).update(
            nonce=sealed.nonce, ciphertext=sealed.ciphertext, master_key_id=old.key_id
        )

    monkeypatch.setattr("mailadmin.certificates.rotation.keep_master_keys", keep)
    rotation = rotate_master_key(actor=ACTOR)
    assert rotation.keys == 61
    assert opened() == [*pems, private_key_to_pem(late)]


def test_a_key_that_does_not_open_is_named_and_nothing_is_changed(
    pems: list[bytes], path: Path
) -> None:
    before = path.read_bytes()
    PrivateKey.objects.filter(pk=PrivateKey.objects.all()[0].pk).update(ciphertext=b"x" * 40)
    with pytest.raises(CustodyProblem) as error:
        rotate_master_key(actor=ACTOR)
    assert error.value.problem.code == "custody.keys_not_opened"
    assert "ECDSA P-256" in say(error.value.problem)
    assert path.read_bytes() == before
    assert not AuditEvent.objects.filter(object_type="master_key").exists()


def test_a_key_damaged_meanwhile_leaves_both_master_keys(
    pems: list[bytes], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailadmin.certificates.rotation._refuse_unopened", lambda _masters: None)
    PrivateKey.objects.filter(pk=PrivateKey.objects.all()[0].pk).update(ciphertext=b"x" * 40)
    with pytest.raises(CustodyProblem) as error:
        rotate_master_key(actor=ACTOR)
    assert error.value.problem.code == "custody.keys_not_opened"
    assert len(obtain_master_keys()) == 2


def test_two_rotations_at_once_are_one_too_many(path: Path) -> None:
    obtain_master_keys()
    before = path.read_bytes()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with pytest.raises(CustodyProblem) as error:
            rotate_master_key(actor=ACTOR)
    finally:
        os.close(folder)
    assert error.value.problem.code == "custody.rotation_under_way"
    assert path.read_bytes() == before


def test_a_full_disk_leaves_the_file_as_it_was(
    pems: list[bytes], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = path.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(master_key.os, "fsync", fail)
        with pytest.raises(CustodyProblem) as error:
            rotate_master_key(actor=ACTOR)
    assert error.value.problem.code == "custody.master_key_not_replaced"
    assert "as it was" in say(error.value.problem)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    assert opened() == pems


def test_a_file_with_too_many_keys_is_refused(path: Path) -> None:
    obtain_master_keys()
    replace_master_keys(path, [draw_master_key() for _ in range(17)])
    with pytest.raises(CustodyProblem) as error:
        rotate_master_key(actor=ACTOR)
    assert error.value.problem.code == "custody.master_key_unreadable"


# The command


def test_the_command_tells_what_it_did(pems: list[bytes]) -> None:
    code, out, err = run()
    assert (code, err) == (0, "")
    assert "Sealed anew: 60 private keys, 0 waiting uploads." in out
    assert "Back up the file now" in out
    assert AuditEvent.objects.filter(verb="master_key.rotated", origin="cli").count() == 1
    assert opened() == pems


def test_the_command_tells_it_to_scripts(pems: list[bytes]) -> None:
    code, out, _ = run("--json")
    told: dict[str, Any] = json.loads(out)
    assert code == 0
    assert told["keys"] == 60
    assert told["new_id"] == obtain_master_keys()[0].key_id


def test_the_command_says_that_it_finished_an_interrupted_one(
    pems: list[bytes], path: Path
) -> None:
    replace_master_keys(path, [draw_master_key(), *obtain_master_keys()])
    code, out, _ = run("--check")
    assert code == 0
    assert "60 of 60 private keys open" in out
    assert "(60 wait)" in out
    assert "run rotate_master_key again" in out
    assert "interrupted rotation is finished" in run()[1]


def test_the_check_passes_while_all_keys_open(pems: list[bytes], path: Path) -> None:
    before = path.read_bytes()
    code, out, _ = run("--check")
    assert code == 0
    assert out.startswith("60 of 60 private keys open with master key ")
    code, out, _ = run("--check", "--json")
    assert json.loads(out)["unopened"] == []
    assert path.read_bytes() == before


def test_the_check_names_keys_that_an_older_file_does_not_open(
    pems: list[bytes], path: Path
) -> None:
    (old,) = obtain_master_keys()
    rotate_master_key(actor=ACTOR)
    replace_master_keys(path, [old])
    code, out, _ = run("--check")
    assert code == 1
    assert "copy from before the master key was replaced" in out
    assert "0 of 60 private keys open" in out
    code, out, _ = run("--check", "--json")
    assert code == 1
    told = json.loads(out)["unopened"]
    assert {item["code"] for item in told} == {"custody.master_key_other"}


def test_the_command_refuses_in_a_sentence(path: Path) -> None:
    obtain_master_keys()
    path.chmod(0o644)
    code, out, err = run()
    assert code == 1
    assert "chmod 600" in err
    code, out, _ = run("--json")
    assert code == 1
    assert json.loads(out)["code"] == "custody.master_key_exposed"
