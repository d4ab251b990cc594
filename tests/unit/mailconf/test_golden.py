"""What each state makes of each host's files, to the byte; see ``tests/golden/README.md``."""

from __future__ import annotations

import difflib
import os
from dataclasses import replace

import pytest

from mailadmin.mailconf import block, postfix, rules
from mailadmin.pki.problems import Problem, Severity
from tests.unit.mailconf.builders import LIVE, NOW
from tests.unit.mailconf.golden import CASES, read_case, read_text, write_text

IS_UPDATE = os.environ.get("GOLDEN_UPDATE") == "1"
HOW_TO_UPDATE = "If this is meant, run again with GOLDEN_UPDATE=1 and review the difference."


@pytest.mark.parametrize("name", CASES)
def test_every_file_is_rendered_as_expected(name: str) -> None:
    case = read_case(name)
    for file, text in case.render().items():
        path = case.expected_folder / file
        if IS_UPDATE:
            write_text(path, text)
        expected = read_text(path) if path.exists() else ""
        if text != expected:
            lines = difflib.unified_diff(
                expected.split("\n"), text.split("\n"), f"expected {path.name}", "rendered", n=2
            )
            pytest.fail(ascii_lines([*lines, HOW_TO_UPDATE]), pytrace=False)


def ascii_lines(lines: list[str]) -> str:
    """Show what a terminal could not: carriage returns and bytes that are not UTF-8."""
    return "\n".join(ascii(line.rstrip("\n"))[1:-1] for line in lines)


@pytest.mark.parametrize("name", CASES)
def test_no_expected_file_is_left_over(name: str) -> None:
    case = read_case(name)
    assert {path.name for path in case.expected_folder.iterdir()} == set(case.render())


@pytest.mark.parametrize("name", CASES)
def test_rendering_what_was_rendered_changes_nothing(name: str) -> None:
    case = read_case(name)
    once = case.render_postfix()
    assert postfix.render(case.state, once, live=LIVE, map_type="hash") == once


@pytest.mark.parametrize("name", CASES)
def test_without_the_block_the_host_has_its_own_files_back(name: str) -> None:
    case = read_case(name)
    rendered = case.render_postfix()
    assert block.remove_block(rendered.main_cf) == block.remove_block(case.found.main_cf)
    assert block.remove_block(rendered.master_cf) == block.remove_block(case.found.master_cf)


@pytest.mark.parametrize("name", CASES)
def test_the_listeners_are_read_back_as_they_were_wanted(name: str) -> None:
    case = read_case(name)
    wanted = [item for item in case.state.listeners if item.definition.daemon == "postfix"]
    read = postfix.read_listeners(case.render_postfix())
    for want, found in zip(wanted, read, strict=True):
        if want.is_enabled:
            assert found == replace(want, certificate="")
        else:
            # The port may still be open on another address, which is not ours to close.
            assert not found.is_enabled or found.address != want.address


@pytest.mark.parametrize("name", CASES)
def test_no_case_breaks_a_rule(name: str) -> None:
    assert errors(rules.check_state(read_case(name).state, NOW)) == []


def errors(problems: list[Problem]) -> list[Problem]:
    return [item for item in problems if item.severity is Severity.ERROR]
