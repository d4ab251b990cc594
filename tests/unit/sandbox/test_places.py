"""Where state and sockets are, so that every user who needs them gets there."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailadmin.sandbox import paths
from mailadmin.sandbox.addresses import can_listen, candidate_addresses
from mailadmin.sandbox.errors import SandboxError
from mailadmin.sandbox.log_watch import LogWatch
from mailadmin.sandbox.settings import load_or_create_settings


@pytest.fixture
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_sockets_are_in_var_while_the_path_is_short() -> None:
    assert paths.run_dir(Path("/srv/mailadmin/var")) == Path("/srv/mailadmin/var/run")


def test_sockets_of_a_long_path_are_in_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAILADMIN_RUN", raising=False)
    long = Path("/srv/" + "long/" * 12 + "var")
    chosen = paths.run_dir(long)
    assert chosen.parent == Path("/run")
    assert chosen != paths.run_dir(long / "other")
    assert chosen == paths.run_dir(long)


def test_the_mail_server_is_in_var_when_its_users_get_there(tmp_path: Path) -> None:
    # pytest's folder is closed to others, as /root is.
    assert paths.mail_root(Path("/srv/var")) == Path("/srv/var/mail")
    elsewhere = paths.mail_root(tmp_path / "var")
    assert elsewhere.parent.parent == Path("/var/lib")
    assert elsewhere.name == "mail"


def test_an_open_folder_is_open_whatever_the_umask(tmp_path: Path, strict_umask: None) -> None:
    folder = tmp_path / "a" / "b"
    paths.make_open_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o755
    folder.chmod(0o700)
    paths.make_open_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_addresses_are_spread_and_always_the_same_for_a_folder() -> None:
    first = list(candidate_addresses("/srv/a"))
    assert first == list(candidate_addresses("/srv/a"))
    assert len(set(first)) == len(first)
    assert not set(first) & set(candidate_addresses("/srv/b"))
    assert all(address.startswith("127.") for address in first)
    assert not any(address.startswith("127.0.") for address in first)


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        assert not can_listen("127.0.0.1", holder.getsockname()[1])


def test_settings_are_drawn_once_and_kept_secret(tmp_path: Path) -> None:
    first = load_or_create_settings(tmp_path, None)
    assert load_or_create_settings(tmp_path, "127.1.1.1") == first
    kept = tmp_path / "sandbox.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    kept.write_text("{}")
    with pytest.raises(SandboxError, match="cannot be read as the sandbox's settings"):
        load_or_create_settings(tmp_path, None)


def test_only_trouble_is_read_from_a_log_and_only_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old: fatal: before we looked\n")
    watch = LogWatch(log)
    with log.open("a") as stream:
        stream.write("imap-login: Info: Login\nmaster: Error: half")
    assert watch.read_trouble() == []
    with log.open("a") as stream:
        stream.write(" a line\npostfix/smtpd: warning: odd\n")
    assert watch.read_trouble() == ["master: Error: half a line", "postfix/smtpd: warning: odd"]
    assert watch.read_trouble() == []
    log.write_text("new: Fatal: 1\n")
    assert watch.read_trouble() == ["new: Fatal: 1"]
