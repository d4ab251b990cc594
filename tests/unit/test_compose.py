"""The containers are told everything that the settings read, or a list says why they are not."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

from mailadmin.sandbox import paths

PROJECT = paths.project_dir()
COMPOSE = (PROJECT / "docker-compose.yml").read_text()
NAME = re.compile(r"MAILADMIN_[A-Z0-9_]+|DATABASE_URL")
SETTING = re.compile(r"^    (MAILADMIN_[A-Z0-9_]+|DATABASE_URL): (.*)$", re.MULTILINE)
DEFAULT = re.compile(r"\$\{([A-Z0-9_]+):-(.*)\}")


def names_read() -> set[str]:
    """Return the variables that the settings and the folders depend on."""
    found = set()
    for path in (PROJECT / "mailadmin" / "settings.py", Path(paths.__file__)):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {node.value} if NAME.fullmatch(node.value) else set()
    return found


def told() -> dict[str, str]:
    """Return what the containers are told where nobody says otherwise."""
    found = {}
    for name, value in SETTING.findall(COMPOSE):
        default = DEFAULT.fullmatch(value)
        assert default is None or default[1] == name, value
        found[name] = default[2] if default else value
    return found


def left_out() -> set[str]:
    """Return the variables in the list of those that are not set."""
    (listed,) = re.findall(r"# Not set here, because.*?\n\n", COMPOSE, re.DOTALL)
    return set(NAME.findall(listed))


def test_every_setting_is_told_or_left_out_for_a_reason() -> None:
    assert {"MAILADMIN_SMTP_HOST", "MAILADMIN_URL", "DATABASE_URL"} <= told().keys()
    assert not told().keys() & left_out()
    assert told().keys() | left_out() == names_read()


def test_the_settings_take_what_is_told_where_nobody_says_otherwise(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not NAME.fullmatch(key)}
    program = (
        "from mailadmin import settings as s\n"
        "print(s.EMAIL_PORT, s.PROBE_INTERVAL, s.NOTICE_DAYS, s.SMTP_TLS == str(),"
        " s.DEFAULT_FROM_EMAIL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env={**environment, **told(), "MAILADMIN_VAR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("25 300 90 True mailadmin@")
