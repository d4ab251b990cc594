"""Lines as Postfix reads them: what ends one, what continues one, what is skipped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.mailconf.logical_lines import is_comment, logical_lines, split_lines


def texts(text: str) -> list[str]:
    return [line.text for line in logical_lines(text)]


def test_only_a_line_feed_ends_a_line() -> None:
    text = "a\rb\fc\vd\x1ce\x85f\u2028g\nh"
    assert split_lines(text) == ["a\rb\fc\vd\x1ce\x85f\u2028g\n", "h"]


def test_nothing_has_no_lines() -> None:
    assert split_lines("") == []
    assert texts("") == []


@given(st.text())
def test_no_character_is_lost(text: str) -> None:
    assert "".join(split_lines(text)) == text
    assert "".join(line for one in logical_lines(text) for line in one.lines) == text


@pytest.mark.parametrize("line", ["", "\n", "  \n", "\t\r\n", "#x\n", "  # x\n", "\f#\n"])
def test_comments_and_white_space_are_skipped(line: str) -> None:
    assert is_comment(line)


@pytest.mark.parametrize("line", ["a\n", " a # b\n", "\xa0\n", "\u2003#\n"])
def test_other_text_counts_though_python_calls_its_start_white_space(line: str) -> None:
    assert not is_comment(line)


def test_white_space_continues_a_line_and_its_line_feed_is_dropped() -> None:
    assert texts("a = b,\n\tc\n  d\ne = f\n") == ["a = b,\tc  d", "e = f"]


def test_a_comment_or_a_blank_line_does_not_end_a_line() -> None:
    (line,) = logical_lines("a =\n# why\n\n  b\n # end\n")
    assert line.text == "a =  b"
    assert line.lines == ("a =\n", "# why\n", "\n", "  b\n", " # end\n")


def test_comments_at_the_head_stand_alone() -> None:
    assert texts("# head\n\na = b\n") == ["", "a = b"]


def test_an_indented_first_line_continues_nothing_and_is_skipped() -> None:
    assert texts("# head\n  a = b\n c\nd = e\n") == ["", "d = e"]
