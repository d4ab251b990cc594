"""The agent's configuration file is complete, or the agent says what is wrong with it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailadmin.agent.__main__ import main
from mailadmin.agent.config import AgentConfig, ConfigError

COMPLETE: dict[str, Any] = {
    "socket": "/run/mailadmin/agent.sock",
    "state_dir": "/var/lib/mailadmin/agent",
    "allowed_uids": [0, 33],
    "postfix": {"config_directory": "/etc/postfix"},
    "dovecot": {
        "config_file": "/etc/dovecot/dovecot.conf",
        "dropin": "/etc/dovecot/conf.d/99-mailadmin.conf",
        "base_dir": "/run/dovecot",
    },
}


@pytest.fixture(autouse=True)
def _umask_of_the_others() -> Iterator[None]:
    """Give back what the agent's program sets for itself: other tests run in this process too."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


def write(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "agent.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_complete_file_is_read(tmp_path: Path) -> None:
    config = AgentConfig.load(write(tmp_path, COMPLETE))
    assert config.socket == Path("/run/mailadmin/agent.sock")
    assert config.allowed_uids == {0, 33}
    assert config.postfix.main_cf == Path("/etc/postfix/main.cf")
    assert config.postfix.master_cf == Path("/etc/postfix/master.cf")
    assert config.dovecot.command_directory == Path("/usr/sbin")
    assert config.spacing == 5.0


def test_only_root_may_ask_when_nobody_is_named() -> None:
    value = {name: item for name, item in COMPLETE.items() if name != "allowed_uids"}
    assert AgentConfig.from_dict(value).allowed_uids == {0}


def test_challenges_are_answered_everywhere_on_port_80_unless_told_otherwise() -> None:
    http01 = AgentConfig.from_dict(COMPLETE).http01
    assert (http01.addresses, http01.port, http01.web_root) == (("0.0.0.0", "::"), 80, None)  # noqa: S104 - compared


def test_where_challenges_are_answered_is_read() -> None:
    told = {"addresses": ["127.0.0.9", "0:0::1"], "port": 5002, "web_root": "/var/www/html"}
    http01 = AgentConfig.from_dict(COMPLETE | {"http01": told}).http01
    assert http01.addresses == ("127.0.0.9", "::1")
    assert (http01.port, http01.web_root) == (5002, Path("/var/www/html"))


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in COMPLETE.items() if key != name}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "5",
        without("socket"),
        without("postfix"),
        without("dovecot"),
        COMPLETE | {"socket": "run/agent.sock"},
        COMPLETE | {"socket": 5},
        COMPLETE | {"postfix": []},
        COMPLETE | {"allowed_uids": ["root"]},
        COMPLETE | {"allowed_uids": 5},
        COMPLETE | {"http01": 80},
        COMPLETE | {"http01": {"port": 0}},
        COMPLETE | {"http01": {"port": 65536}},
        COMPLETE | {"http01": {"port": "80"}},
        COMPLETE | {"http01": {"port": True}},
        COMPLETE | {"http01": {"addresses": "127.0.0.1"}},
        COMPLETE | {"http01": {"addresses": ["localhost"]}},
        COMPLETE | {"http01": {"web_root": "www"}},
        COMPLETE | {"spacing": "often"},
    ],
    ids=lambda content: str(content)[:40],
)
def test_an_incomplete_file_is_refused(
    tmp_path: Path, content: object, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ConfigError):
        AgentConfig.load(path)
    assert main(["--config", str(path)]) == 2
    assert "The agent cannot start" in capsys.readouterr().err


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.json cannot be read: No such file"):
        AgentConfig.load(tmp_path / "nowhere.json")


def test_an_agent_that_cannot_read_its_journal_does_not_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state_dir = tmp_path / "state"
    state_dir.mkdir()
    (state_dir / "journal.json").write_text("{")
    content = COMPLETE | {"state_dir": str(state_dir), "socket": str(tmp_path / "agent.sock")}
    assert main(["--config", str(write(tmp_path, content))]) == 1
    assert "agent.journal_unreadable" in capsys.readouterr().err
    assert not (tmp_path / "agent.sock").exists()
