"""The panel's block in somebody else's file: put in, read, taken out, and damaged by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.mailconf.block import (
    BEGIN,
    END,
    SET_ASIDE,
    append_block,
    is_damaged,
    read_block,
    remove_block,
    set_aside,
)

OURS = "x = 1\n"
BLOCK = f"{BEGIN}\n{OURS}{END}\n"


def test_the_block_stands_at_the_end_between_its_marks() -> None:
    assert append_block("a = b\n", OURS) == f"a = b\n{BLOCK}"
    assert read_block(f"a = b\n{BLOCK}") == OURS


def test_an_empty_file_gets_nothing_but_the_block() -> None:
    assert append_block("", OURS) == BLOCK
    assert remove_block(BLOCK) == ""


def test_a_file_without_a_block_is_its_own_original() -> None:
    assert remove_block("a = b\n") == "a = b\n"
    assert read_block("a = b\n") == ""


@pytest.mark.parametrize("text", ["a = b", "a = b\r", "a\n\n", "# c", " ", "\n", "\r\n", "a\n b"])
def test_taking_the_block_out_gives_back_the_file_to_the_byte(text: str) -> None:
    assert remove_block(append_block(text, OURS)) == text


@given(st.text(st.characters(exclude_characters="#")))
def test_any_file_comes_back_to_the_byte(text: str) -> None:
    assert remove_block(append_block(text, OURS)) == text


def test_lines_added_behind_the_block_stay_on_lines_of_their_own() -> None:
    text = append_block("a = b", OURS) + "c = d\n"
    assert remove_block(text) == "a = b\nc = d\n"


def test_what_was_set_aside_comes_back_and_comments_stay_comments() -> None:
    lines = ["a = b\n", "# why\n", "\n", "  c\n"]
    aside = set_aside(lines)
    assert aside == [f"{SET_ASIDE}a = b\n", "# why\n", "\n", f"{SET_ASIDE}  c\n"]
    assert remove_block("".join(aside)) == "".join(lines)


def test_a_block_saved_by_another_system_is_still_found() -> None:
    assert remove_block(f"a = b\n{BLOCK}".replace("\n", "\r\n")) == "a = b\r\n"
    assert read_block(BLOCK.replace("\n", "\r\n")) == "x = 1\r\n"


def test_a_block_with_the_words_of_another_version_is_still_ours() -> None:
    assert remove_block(BLOCK.replace(BEGIN, "# BEGIN mailadmin. Hands off.")) == ""


def test_all_blocks_are_taken_out_when_somebody_made_two_of_one() -> None:
    text = f"a = b\n{BLOCK}c = d\n{BLOCK}"
    assert not is_damaged(text)
    assert remove_block(text) == "a = b\nc = d\n"
    assert read_block(text) == OURS * 2


def test_a_mark_in_the_middle_of_a_line_is_no_mark() -> None:
    text = f"a = {END}\n{BEGIN}\nb = {END}\n{END}\n"
    assert not is_damaged(text)
    assert read_block(text) == f"b = {END}\n"


@pytest.mark.parametrize(
    "text",
    [
        f"a = b\n{BEGIN}\n{OURS}",
        f"a = b\n{OURS}{END}\n",
        f"{BEGIN}\n{BLOCK}",
        f"{BLOCK}{END}\n",
    ],
)
def test_marks_that_do_not_pair_up_are_noticed(text: str) -> None:
    assert is_damaged(text)


@pytest.mark.parametrize("between", ["", "\n", "# note\n"])
def test_a_line_behind_the_block_that_continues_ours_is_noticed(between: str) -> None:
    assert is_damaged(f"{BLOCK}{between}  -o more=yes\n")


@pytest.mark.parametrize("text", ["", "a = b\n", BLOCK, f"a = b\n{BLOCK}\n# note\nc = d\n  e\n"])
def test_a_sound_file_is_not_damaged(text: str) -> None:
    assert not is_damaged(text)
