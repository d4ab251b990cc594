"""The agent's folder: what is written survives a restart, and nobody else reads it."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailadmin.agent.host.files import FileState
from mailadmin.agent.host.store import Journal, Store
from mailadmin.agent.protocol import (
    AgentError,
    ApplyReport,
    Outcome,
    StepEvent,
    StepStatus,
)
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.services import TlsMode
from mailadmin.pki.problems import Problem

EXPECTED = Expectation("imaps", "127.0.0.9", 993, True, TlsMode.IMPLICIT, "a.example", "f" * 64)
SEEN = Seen(
    "imaps",
    "127.0.0.9",
    993,
    is_open=True,
    fingerprint="f" * 64,
    certificate={"label": "a.example", "names": ["a.example"]},
    chain=({"label": "An issuer"},),
    dialogue=(("server", "* OK"), ("client", "a1 LOGOUT")),
)
REPORT = ApplyReport(
    Outcome.ROLLED_BACK,
    (StepEvent(0, "planned", "", StepStatus.DONE, datetime.now(UTC).isoformat(), 5, {"a": 1}),),
    (SEEN,),
    Problem("port.taken", subject="imaps", params={"pid": 5, "program": "x"}),
    123,
    4,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "state")
    made.prepare()
    return made


def make_journal(*files: FileState, live_before: str | None = None) -> Journal:
    return Journal("one", 3, files, live_before, ("dovecot",), True, (EXPECTED,), (SEEN,))


def test_a_journal_comes_back_as_it_was_written(store: Store, tmp_path: Path) -> None:
    odd = FileState(tmp_path / "main.cf", b"\xff\x00 not text \r\n", 0o640, 0, os.getgid())
    missing = FileState(tmp_path / "dropin", None)
    journal = make_journal(missing, odd, live_before="generations/0002")
    store.begin(journal)
    assert Store(store.folder).open_journal() == journal


def test_no_journal_is_none(store: Store) -> None:
    assert store.open_journal() is None


def test_an_ended_journal_is_gone_with_its_backups(store: Store, tmp_path: Path) -> None:
    store.begin(make_journal(FileState(tmp_path / "main.cf", b"text")))
    store.end()
    store.end()
    assert store.open_journal() is None
    assert not (store.folder / "backup").exists()


def test_backups_of_an_earlier_journal_are_not_mixed_in(store: Store, tmp_path: Path) -> None:
    main, master = (FileState(tmp_path / name, name.encode()) for name in ("main.cf", "master.cf"))
    store.begin(make_journal(main, master))
    store.begin(make_journal(master))
    assert sorted(path.name for path in (store.folder / "backup").iterdir()) == ["0"]
    assert store.open_journal() == make_journal(master)


def test_undoing_restores_files_and_the_link(store: Store, tmp_path: Path) -> None:
    present, absent = tmp_path / "main.cf", tmp_path / "dropin"
    present.write_bytes(b"old")
    journal = make_journal(FileState.read(present), FileState.read(absent))
    store.begin(journal)
    present.write_bytes(b"new")
    absent.write_bytes(b"new")
    store.switch_live("generations/0003")
    store.undo_files(journal)
    assert present.read_bytes() == b"old"
    assert not absent.exists()
    assert store.live_before() is None
    store.undo_files(journal)  # once more does no harm


def test_everything_in_the_folder_is_for_its_owner_alone(store: Store, tmp_path: Path) -> None:
    store.write_generation(1, {"default.pem": b"key"})
    store.switch_live(store.live_target(1))
    store.keep_host_key("abc", "key")
    store.begin(make_journal(FileState(tmp_path / "main.cf", b"text", 0o644)))
    store.save_result("one", REPORT)
    store.fresh_staging()
    store.lock()
    for path in [store.folder, *store.folder.rglob("*")]:
        if not path.is_symlink():
            assert path.stat().st_mode & 0o077 == 0, path
    store.unlock()


def test_a_folder_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o755)
    Store(folder).prepare()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_generations_count_up_even_over_ones_taken_back(store: Store) -> None:
    assert (store.generation, store.next_generation()) == (0, 1)
    store.write_generation(1, {})
    store.switch_live(store.live_target(1))
    store.write_generation(2, {})
    assert (store.generation, store.next_generation()) == (1, 3)


def test_pruning_keeps_the_last_five_and_the_one_being_served(store: Store) -> None:
    for number in range(1, 9):
        store.write_generation(number, {"default.pem": b"key"})
    store.switch_live(store.live_target(2))
    store.prune()
    names = sorted(path.name for path in (store.folder / "generations").iterdir())
    assert names == ["0002", "0004", "0005", "0006", "0007", "0008"]


def test_pruning_keeps_the_newest_200_results(store: Store) -> None:
    for number in range(203):
        store.save_result(f"r{number}", REPORT)
        os.utime(store.folder / "results" / f"r{number}.json", (number, number))
    store.prune()
    assert store.read_result("r2") is None
    assert store.read_result("r3") == REPORT
    assert len(list((store.folder / "results").iterdir())) == 200


def test_dropping_what_was_staged_leaves_what_is_served(store: Store) -> None:
    for number in (1, 2, 3):
        store.write_generation(number, {"default.pem": b"key"})
    store.switch_live(store.live_target(2))
    store.drop_unused()
    store.drop_generation(2)
    names = sorted(path.name for path in (store.folder / "generations").iterdir())
    assert names == ["0001", "0002"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"outcome": "odd"}', b"null"])
def test_a_result_that_cannot_be_read_counts_as_unknown(store: Store, content: bytes) -> None:
    (store.folder / "results" / "one.json").write_bytes(content)
    assert store.read_result("one") is None


def test_a_host_key_that_is_known_is_not_written_again(store: Store) -> None:
    store.keep_host_key("abc", "first")
    store.keep_host_key("abc", "second")
    assert [path.read_text() for path in store.pem_files()] == ["first"]


def test_the_pem_files_are_those_served_and_those_of_the_host(store: Store) -> None:
    store.write_generation(1, {"default.pem": b"a", "certificates.txt": b"b"})
    store.switch_live(store.live_target(1))
    store.keep_host_key("abc", "key")
    assert [path.name for path in store.pem_files()] == ["default.pem", "abc.pem"]


def test_a_second_agent_is_kept_out_until_the_first_is_gone(store: Store) -> None:
    store.lock()
    second = Store(store.folder)
    with pytest.raises(AgentError) as raised:
        second.lock()
    assert raised.value.problem.code == "agent.already_running"
    store.unlock()
    second.lock()
    second.unlock()


def test_the_lock_of_a_killed_agent_does_not_stay(store: Store) -> None:
    script = (
        "import os, sys, signal, pathlib\n"
        "from mailadmin.agent.host.store import Store\n"
        "Store(pathlib.Path(sys.argv[1])).lock()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(store.folder)], timeout=30)
    assert done.returncode == -9
    store.lock()
    store.unlock()


def test_what_a_killed_agent_left_unfinished_is_removed_when_the_next_starts(store: Store) -> None:
    left = store.folder / "host-keys" / ".abc.pem.0a1b2c3d.mailadmin"
    left.write_text("half a key")
    kept = store.folder / "host-keys" / "abc.pem"
    kept.write_text("a key")
    store.lock()
    store.unlock()
    assert not left.exists()
    assert kept.exists()
