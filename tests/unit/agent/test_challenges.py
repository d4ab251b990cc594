"""What is published for an authority: only what has the form of an answer, and never for longer."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mailadmin.agent import challenges
from mailadmin.agent.challenges import Challenge, Challenges, read_token
from mailadmin.agent.config import Http01Config
from mailadmin.agent.protocol import AgentError, ChallengeWay

ADDRESS = "127.77.0.5"
LIMIT = 60.0
THUMBPRINT = "nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ"
FOLDER = Path(".well-known") / "acme-challenge"


def challenge(token: str = "token-1", **changes: Any) -> Challenge:
    params = {"token": token, "key_authorization": f"{token}.{THUMBPRINT}", "seconds": 60}
    return Challenge.from_params(params | changes)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)


class Place:
    """A port, a web root and the agent's own folder, with one book of challenges after another."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as trial:
            trial.bind((ADDRESS, 0))
            self.port = int(trial.getsockname()[1])
        self.web_root = folder / "www"
        self.web_root.mkdir()
        self.note = folder / "state" / "challenges.json"
        self.note.parent.mkdir()
        self.opened: list[Challenges] = []

    def open(self, *, has_web_root: bool = True, has_listener: bool = True) -> Challenges:
        addresses = (ADDRESS,) if has_listener else ()
        config = Http01Config(addresses, self.port, self.web_root if has_web_root else None)
        one = Challenges(config, self.note)
        one.prepare()
        self.opened.append(one)
        return one

    def hold(self) -> socket.socket:
        """Be the web server that has the port."""
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((ADDRESS, self.port))
        holder.listen()
        return holder

    def ask(self, token: str = "token-1") -> bytes | int:
        """Return what an authority is answered, or the status if it is an error."""
        url = f"http://{ADDRESS}:{self.port}/.well-known/acme-challenge/{token}"
        try:
            with urllib.request.urlopen(url, timeout=LIMIT) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            return error.code

    @property
    def is_open(self) -> bool:
        try:
            socket.create_connection((ADDRESS, self.port), timeout=LIMIT).close()
        except ConnectionRefusedError:
            return False
        except ConnectionError:
            # It is being closed.
            return True
        return True

    def file(self, token: str = "token-1") -> Path:
        return self.web_root / FOLDER / token

    def left(self) -> list[str]:
        """Return whatever lies in the web root and the agent's folder."""
        # Not rglob: it minds when a folder goes while it looks.
        tops = (self.web_root, self.note.parent)
        walked = (found for top in tops for found in os.walk(top))
        return [
            str(Path(folder) / name)
            for folder, folders, files in walked
            for name in (*folders, *files)
        ]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    one = Place(tmp_path)
    yield one
    for opened in one.opened:
        opened.release()


def refusal(deed: Callable[[], object]) -> AgentError:
    with pytest.raises(AgentError) as raised:
        deed()
    return raised.value


# What is asked


@pytest.mark.parametrize("token", ["", "a b", "a/b", "..", "a.b", "ä", "x" * 129, None, 5, ["a"]])
def test_a_token_that_is_none_is_refused(token: object) -> None:
    assert refusal(lambda: read_token({"token": token})).problem.code == "http01.answer_refused"


@pytest.mark.parametrize(
    "proof",
    [
        None,
        "",
        "token-1",
        "token-1.",
        f"token-2.{THUMBPRINT}",
        f"token-1.{THUMBPRINT}=",
        f"token-1.{THUMBPRINT}\n",
        f"token-1.{THUMBPRINT[:-1]}",
        # Not what 32 bytes can give.
        f"token-1.{THUMBPRINT[:-1]}R",
        f"token-1..{THUMBPRINT[1:]}",
        "token-1.<script>alert(1)</script>",
    ],
)
def test_anything_but_a_key_authorization_is_refused(proof: object) -> None:
    assert (
        refusal(lambda: challenge(key_authorization=proof)).problem.code == "http01.answer_refused"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": 0},
        {"seconds": 3601},
        {"seconds": 1.5},
        {"seconds": True},
        {"seconds": None},
        {"way": "dns"},
        {"way": ["listener"]},
        {"way": 5},
    ],
)
def test_nonsense_is_not_read(changes: dict[str, Any]) -> None:
    assert refusal(lambda: challenge(**changes)).problem.code == "agent.message_unreadable"


# The listener


def test_the_port_is_open_only_while_there_is_a_token(place: Place) -> None:
    book = place.open()
    assert not place.is_open
    assert book.present(challenge()) is ChallengeWay.LISTENER
    book.present(challenge("token-2"))
    assert place.ask() == f"token-1.{THUMBPRINT}".encode()
    assert place.ask("token-2") == f"token-2.{THUMBPRINT}".encode()
    book.withdraw("token-1")
    assert place.ask() == 404
    assert place.ask("token-2") == f"token-2.{THUMBPRINT}".encode()
    book.withdraw("token-2")
    assert not place.is_open
    assert place.left() == []


def test_it_can_begin_again(place: Place) -> None:
    book = place.open()
    for _ in range(3):
        book.present(challenge())
        assert place.ask() == f"token-1.{THUMBPRINT}".encode()
        book.withdraw("token-1")
        assert not place.is_open


def test_withdrawing_what_is_not_there_is_no_mistake(place: Place) -> None:
    book = place.open()
    book.withdraw("token-1")
    book.present(challenge())
    book.withdraw("token-2")
    assert place.ask() == f"token-1.{THUMBPRINT}".encode()


def test_it_ends_by_itself(place: Place) -> None:
    book = place.open()
    book.present(challenge(seconds=4))
    assert place.is_open
    wait_for(lambda: not place.is_open)
    assert place.left() == []


def test_an_answer_is_not_given_after_its_time(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = place.open()
    book.present(challenge(seconds=1))
    book.present(challenge("token-2"))
    wait_for(lambda: place.ask() == 404)
    assert place.ask("token-2") == f"token-2.{THUMBPRINT}".encode()


def test_presenting_again_gives_it_more_time(place: Place) -> None:
    book = place.open()
    book.present(challenge(seconds=1))
    book.present(challenge(seconds=60))
    book.present(challenge("short", seconds=1))
    wait_for(lambda: place.ask("short") == 404)
    assert place.ask() == f"token-1.{THUMBPRINT}".encode()


def test_there_is_a_limit(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(challenges, "MOST_CHALLENGES", 2)
    book = place.open()
    book.present(challenge("a"))
    book.present(challenge("b"))
    book.present(challenge("b"))
    assert refusal(lambda: book.present(challenge("c"))).problem.code == "http01.too_many"
    assert place.ask("c") == 404


def test_a_listener_that_broke_is_replaced(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    book = place.open()
    book.present(challenge())
    listener = book._listener
    assert listener is not None
    monkeypatch.setattr(listener, "_accept", None)
    # Closing under a connection that is just coming resets it.
    with contextlib.suppress(ConnectionError):
        socket.create_connection((ADDRESS, place.port)).close()
    wait_for(lambda: not listener.is_answering)
    book.present(challenge("token-2"))
    assert place.ask() == f"token-1.{THUMBPRINT}".encode()


def test_many_at_once_leave_nothing_behind(place: Place) -> None:
    book = place.open()

    def come_and_go(number: int) -> None:
        for turn in range(10):
            book.present(challenge(f"t{number}-{turn}"))
            book.withdraw(f"t{number}-{turn}")

    threads = [threading.Thread(target=come_and_go, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert not place.is_open
    book.present(challenge())
    assert place.ask() == f"token-1.{THUMBPRINT}".encode()


def test_a_port_that_is_taken_is_told_with_who_has_it(place: Place) -> None:
    book = place.open(has_web_root=False)
    with place.hold():
        problem = refusal(lambda: book.present(challenge())).problem
    assert (problem.code, problem.params["pid"]) == ("http01.port_taken", os.getpid())
    # Nothing of the refused one stays.
    book.present(challenge("token-2"))
    assert place.ask() == 404


# The web root


def test_a_web_server_that_has_the_port_gets_a_file(place: Place) -> None:
    os.chown(place.web_root, 12345, 23456)
    book = place.open()
    with place.hold():
        assert book.present(challenge()) is ChallengeWay.WEB_ROOT
        facts = place.file().stat()
        assert place.file().read_text() == f"token-1.{THUMBPRINT}"
        assert stat.S_IMODE(facts.st_mode) == 0o644
        assert (facts.st_uid, facts.st_gid) == (12345, 23456)
        for folder in place.file().parents[:2]:
            assert stat.S_IMODE(folder.stat().st_mode) == 0o755
        book.withdraw("token-1")
    assert place.left() == []


def test_other_files_and_folders_stay(place: Place) -> None:
    place.file().parent.mkdir(parents=True)
    place.file("others").write_text("of somebody else")
    book = place.open()
    with place.hold():
        book.present(challenge())
        book.present(challenge("token-2"))
        book.withdraw("token-1")
        assert not place.file().exists()
        assert place.file("token-2").exists()
        book.withdraw("token-2")
    others = place.file("others")
    assert set(place.left()) == {str(path) for path in (others, *others.parents[:2])}


def test_a_folder_that_others_use_by_now_stays(place: Place) -> None:
    book = place.open()
    with place.hold():
        book.present(challenge())
        place.file("others").write_text("of somebody else")
        book.withdraw("token-1")
    assert place.file("others").exists()
    assert not place.note.exists()


def test_a_file_goes_when_its_time_is_over(place: Place) -> None:
    book = place.open()
    with place.hold():
        book.present(challenge(seconds=4))
        assert place.file().exists()
        wait_for(lambda: place.left() == [])


def test_only_the_web_root_may_be_meant(place: Place) -> None:
    book = place.open()
    assert book.present(challenge(way="web_root")) is ChallengeWay.WEB_ROOT
    assert not place.is_open
    assert place.file().exists()


def test_only_the_listener_may_be_meant(place: Place) -> None:
    book = place.open()
    with place.hold():
        code = refusal(lambda: book.present(challenge(way="listener"))).problem.code
    assert code == "http01.port_taken"
    assert place.left() == []


def test_a_way_that_is_not_there_is_told(place: Place) -> None:
    book = place.open(has_web_root=False, has_listener=False)
    assert refusal(lambda: book.present(challenge())).problem.code == "http01.no_listener"
    only = challenge(way="web_root")
    assert refusal(lambda: book.present(only)).problem.code == "http01.no_web_root"


def test_without_a_listener_the_web_root_is_enough(place: Place) -> None:
    assert place.open(has_listener=False).present(challenge()) is ChallengeWay.WEB_ROOT
    assert not place.is_open


def test_a_file_in_the_way_is_replaced_not_followed(place: Place, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("untouched")
    place.file().parent.mkdir(parents=True)
    place.file().symlink_to(precious)
    book = place.open(has_listener=False)
    book.present(challenge())
    assert not place.file().is_symlink()
    book.withdraw("token-1")
    assert precious.read_text() == "untouched"


@pytest.mark.parametrize("depth", [1, 2])
def test_a_link_below_the_web_root_is_not_followed(
    place: Place, tmp_path: Path, depth: int
) -> None:
    outside = tmp_path / "outside"
    (outside / "acme-challenge").mkdir(parents=True)
    link = place.web_root / ".well-known"
    if depth == 2:
        link.mkdir()
        link /= "acme-challenge"
    link.symlink_to(outside)
    book = place.open(has_listener=False)
    problem = refusal(lambda: book.present(challenge())).problem
    assert (problem.code, problem.subject) == ("http01.web_root_unusable", str(place.web_root))
    assert "symbolic link" in str(problem.params["detail"])
    assert [path.name for path in outside.rglob("*")] == ["acme-challenge"]


@pytest.mark.parametrize("kind", ["missing", "a file"])
def test_a_web_root_that_is_none_is_told(place: Place, kind: str) -> None:
    place.web_root.rmdir()
    if kind == "a file":
        place.web_root.write_text("")
    book = place.open(has_listener=False)
    assert refusal(lambda: book.present(challenge())).problem.code == "http01.web_root_unusable"


def test_what_cannot_be_written_leaves_no_trace(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = place.open(has_listener=False)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fchown", full)
        problem = refusal(lambda: book.present(challenge())).problem
    assert problem.params["detail"] == "No space left on device"
    assert place.left() == []


def test_what_cannot_be_removed_is_left_to_the_next_agent(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = place.open(has_listener=False)
    book.present(challenge())

    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", read_only)
        book.withdraw("token-1")
    assert place.file().exists()
    place.open()
    assert place.left() == []


# After a death


def test_what_a_killed_agent_left_is_removed_by_the_next(place: Place) -> None:
    first = place.open(has_listener=False)
    first.present(challenge())
    first.present(challenge("token-2"))
    # Whatever its configuration says by now.
    place.open(has_web_root=False)
    assert place.left() == []


def test_a_killed_agent_that_had_made_folders_only(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise KilledError

    book = place.open(has_listener=False)
    monkeypatch.setattr(os, "fchmod", die)
    with pytest.raises(KilledError):
        book.present(challenge())
    monkeypatch.undo()
    assert place.left() != []
    place.open()
    assert place.left() == []


def test_a_web_root_that_is_gone_by_now_is_no_trouble(place: Place) -> None:
    place.open(has_listener=False).present(challenge())
    place.web_root.rename(place.web_root.with_name("elsewhere"))
    place.open(has_listener=False)
    assert not place.note.exists()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"web_root": 5, "tokens": [], "made": 0}', '{"web_root": "/"}']
)
def test_a_note_that_makes_no_sense_removes_nothing(place: Place, content: str) -> None:
    place.note.write_text(content)
    place.open().present(challenge())
    assert place.ask() == f"token-1.{THUMBPRINT}".encode()


def test_a_forged_note_names_nothing_outside(place: Place, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("untouched")
    place.file().parent.mkdir(parents=True)
    tokens = ["../../../precious", str(precious), "..", ""]
    place.note.write_text(
        json.dumps({"web_root": str(place.web_root), "tokens": tokens, "made": 0})
    )
    place.open()
    assert precious.read_text() == "untouched"
    assert place.file().parent.is_dir()


def test_an_agent_that_ends_takes_everything_back(place: Place) -> None:
    book = place.open()
    book.present(challenge())
    book.present(challenge("token-2", way="web_root"))
    book.release()
    assert not place.is_open
    assert place.left() == []


# What the panel is told


def test_a_free_port_is_described(place: Place) -> None:
    book = place.open()
    described = {"way": "listener", "port": place.port, "has_web_root": True, "problem": None}
    assert book.describe() == described
    assert not place.is_open
    book.present(challenge())
    assert book.describe() == described
    assert place.ask() == f"token-1.{THUMBPRINT}".encode()


@pytest.mark.parametrize(("has_web_root", "way"), [(True, "web_root"), (False, "")])
def test_a_taken_port_is_described(place: Place, has_web_root: bool, way: str) -> None:
    book = place.open(has_web_root=has_web_root)
    with place.hold():
        described = book.describe()
    assert (described["way"], described["has_web_root"]) == (way, has_web_root)
    assert described["problem"]["code"] == "http01.port_taken"
    assert described["problem"]["params"]["pid"] == os.getpid()
