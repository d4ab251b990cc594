"""Files are replaced whole, and put back as they were: bytes, mode and owner."""

from __future__ import annotations

import os
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from mailadmin.agent.host import files
from mailadmin.agent.host.files import FileState
from mailadmin.agent.protocol import AgentError

is_root = os.geteuid() == 0
needs_root = pytest.mark.skipif(not is_root, reason="only root can give files away")


@pytest.fixture
def main_cf(tmp_path: Path) -> Path:
    path = tmp_path / "main.cf"
    path.write_bytes(b"a = b\r\n\xff\xfe no newline at the end")
    path.chmod(0o640)
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_bytes_that_are_not_text_survive(main_cf: Path) -> None:
    state = FileState.read(main_cf)
    assert files.to_bytes(state.text) == main_cf.read_bytes()


def test_replacing_keeps_mode_and_leaves_no_other_file(main_cf: Path) -> None:
    files.replace_file(FileState.read(main_cf), b"new")
    assert main_cf.read_bytes() == b"new"
    assert stat.S_IMODE(main_cf.stat().st_mode) == 0o640
    assert names_in(main_cf.parent) == ["main.cf"]


@needs_root
def test_replacing_and_restoring_keep_the_owner(main_cf: Path) -> None:
    os.chown(main_cf, 12, 34)
    main_cf.chmod(0o4750)
    before = FileState.read(main_cf)
    assert (before.uid, before.gid, before.mode) == (12, 34, 0o4750)
    files.replace_file(before, b"new")
    assert FileState.read(main_cf) == replace(before, content=b"new")
    assert files.restore_file(before)
    assert FileState.read(main_cf) == before


@needs_root
def test_an_owner_that_was_changed_is_restored(main_cf: Path) -> None:
    before = FileState.read(main_cf)
    os.chown(main_cf, 12, 34)
    assert files.restore_file(before)
    assert FileState.read(main_cf) == before


def test_the_umask_does_not_take_rights_away(main_cf: Path) -> None:
    main_cf.chmod(0o664)
    before = os.umask(0o077)
    try:
        files.replace_file(FileState.read(main_cf), b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE(main_cf.stat().st_mode) == 0o664


def test_a_replaced_file_does_not_look_just_written(main_cf: Path) -> None:
    """Postfix reads a file of the last second again and again."""
    files.replace_file(FileState.read(main_cf), b"new")
    age = main_cf.parent.stat().st_mtime - main_cf.stat().st_mtime
    assert age > 2


def test_a_link_stays_a_link(main_cf: Path, tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    link = folder / "main.cf"
    link.symlink_to("../main.cf")
    before = FileState.read(link)
    files.replace_file(before, b"new")
    assert link.is_symlink()
    assert main_cf.read_bytes() == b"new"
    files.restore_file(before)
    assert link.is_symlink()
    assert main_cf.read_bytes() == before.content


def test_a_missing_file_is_created_and_taken_away_again(tmp_path: Path) -> None:
    path = tmp_path / "dropin.conf"
    before = FileState.read(path)
    assert before.content is None
    files.replace_file(before, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert files.restore_file(before)
    assert not path.exists()
    assert not files.restore_file(before)


def test_nothing_is_written_when_nothing_has_to_be_restored(main_cf: Path) -> None:
    before = main_cf.stat()
    assert not files.restore_file(FileState.read(main_cf))
    assert main_cf.stat().st_ino == before.st_ino


def test_a_mode_that_was_changed_is_restored(main_cf: Path) -> None:
    before = FileState.read(main_cf)
    main_cf.chmod(0o600)
    assert files.restore_file(before)
    assert stat.S_IMODE(main_cf.stat().st_mode) == 0o640


def test_what_a_killed_agent_left_beside_a_file_is_removed(main_cf: Path) -> None:
    before = FileState.read(main_cf)
    (main_cf.parent / ".main.cf.0a1b2c3d.mailadmin").write_bytes(b"half")
    (main_cf.parent / ".main.cf.swp").write_bytes(b"an editor's")
    files.restore_file(before)
    assert names_in(main_cf.parent) == [".main.cf.swp", "main.cf"]


def test_a_folder_that_cannot_be_written_is_said_and_nothing_is_left(
    main_cf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    before = FileState.read(main_cf)
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(AgentError) as raised:
        files.replace_file(before, b"new")
    assert raised.value.problem.code == "file.unwritable"
    assert raised.value.problem.subject == str(main_cf)
    assert raised.value.problem.params == {"detail": "Permission denied"}
    assert main_cf.read_bytes() == before.content
    assert names_in(main_cf.parent) == ["main.cf"]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    state = FileState.read(tmp_path / "conf.d" / "dropin.conf")
    with pytest.raises(AgentError) as raised:
        files.replace_file(state, b"new")
    assert raised.value.problem.params == {"detail": "No such file or directory"}


@pytest.mark.skipif(is_root, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_said(main_cf: Path) -> None:
    before = FileState.read(main_cf)
    main_cf.parent.chmod(0o500)
    with pytest.raises(AgentError):
        files.replace_file(before, b"new")
    main_cf.parent.chmod(0o700)
    assert main_cf.read_bytes() == before.content


def test_a_folder_in_place_of_a_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(AgentError) as raised:
        FileState.read(tmp_path)
    assert raised.value.problem.code == "file.unreadable"


def test_links_that_go_in_circles_are_said(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(AgentError) as raised:
        FileState.read(tmp_path / "a")
    assert raised.value.problem.code == "file.unreadable"


def test_a_new_file_is_never_written_through_a_link(main_cf: Path, tmp_path: Path) -> None:
    trap = tmp_path / "new"
    trap.symlink_to(main_cf)
    before = main_cf.read_bytes()
    with pytest.raises(FileExistsError):
        files.write_new(trap, b"new")
    assert main_cf.read_bytes() == before


def test_the_link_is_switched_and_removed(tmp_path: Path) -> None:
    link = tmp_path / "live"
    assert files.read_link(link) is None
    files.switch_link(link, "one")
    files.switch_link(link, "two")
    assert files.read_link(link) == "two"
    files.switch_link(link, None)
    assert files.read_link(link) is None
    assert names_in(tmp_path) == []


def test_a_file_in_place_of_the_link_is_said(main_cf: Path) -> None:
    with pytest.raises(AgentError) as raised:
        files.read_link(main_cf)
    assert raised.value.problem.code == "file.unreadable"


def test_a_link_that_cannot_be_switched_is_said(tmp_path: Path) -> None:
    with pytest.raises(AgentError) as raised:
        files.switch_link(tmp_path / "missing" / "live", "one")
    assert raised.value.problem.code == "file.unwritable"


def test_existing_files_of_a_generation_are_not_overwritten(tmp_path: Path) -> None:
    files.write_all(tmp_path / "0001", {"default.pem": b"first"})
    with pytest.raises(AgentError):
        files.write_all(tmp_path / "0001", {"default.pem": b"second"})
    assert (tmp_path / "0001" / "default.pem").read_bytes() == b"first"


def test_a_copied_folder_reads_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "etc" / "postfix"
    folder.mkdir(parents=True)
    (tmp_path / "etc" / "shared").write_text("outside")
    (folder / "sub").mkdir()
    (folder / "sub" / "file").write_text("inside")
    (folder / "inner").symlink_to("sub/file")
    (folder / "outer").symlink_to("../shared")
    (folder / "sub" / "outer").symlink_to("../../shared")
    (folder / "absolute").symlink_to(tmp_path / "etc" / "shared")
    (folder / "nowhere").symlink_to("missing")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        copy = tmp_path / "staging" / "deep" / "down" / "postfix"
        files.copy_folder(folder, copy)
    assert (copy / "inner").read_text() == "inside"
    assert (copy / "inner").resolve() == copy / "sub" / "file"
    for name in ("outer", "sub/outer", "absolute"):
        assert (copy / name).is_symlink()
        assert (copy / name).read_text() == "outside"
    assert not (copy / "pipe").exists()
    assert not (copy / "socket").exists()


def test_the_copy_of_a_folder_that_is_not_for_writing_can_be_written(tmp_path: Path) -> None:
    folder, copy = tmp_path / "folder", tmp_path / "copy"
    (folder / "conf.d").mkdir(parents=True)
    for path in (folder / "conf.d", folder):
        path.chmod(0o555)
    files.copy_folder(folder, copy)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (copy, copy / "conf.d", folder)]
    assert modes == [0o755, 0o755, 0o555]


def test_a_folder_that_cannot_be_copied_is_said(tmp_path: Path) -> None:
    with pytest.raises(AgentError) as raised:
        files.copy_folder(tmp_path / "missing", tmp_path / "copy")
    assert raised.value.problem.code == "file.unreadable"
