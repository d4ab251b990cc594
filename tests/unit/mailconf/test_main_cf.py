"""main.cf: what is set aside, what stays, and values that Postfix reads as they are meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.mailconf.block import BEGIN, END, SET_ASIDE, remove_block
from mailadmin.mailconf.main_cf import quote_value, read_parameters, set_parameters


def test_a_parameter_of_ours_is_set_aside_where_it_stood() -> None:
    text = "a = 1\nx = old\nb = 2\n"
    assert set_parameters(text, {"x": "new"}, ()) == (
        f"a = 1\n{SET_ASIDE}x = old\nb = 2\n{BEGIN}\nx = new\n{END}\n"
    )


def test_a_superseded_parameter_is_set_aside_and_not_set() -> None:
    assert set_parameters("y = 1\n", {}, ["y"]) == f"{SET_ASIDE}y = 1\n{BEGIN}\n{END}\n"


def test_every_line_of_a_parameter_goes_and_the_comments_inside_stay() -> None:
    text = "x = one,\n# why\n\n\ttwo\n#x = three\na = 1\n"
    aside, _, _ = set_parameters(text, {"x": "new"}, ()).partition(BEGIN)
    assert aside == f"{SET_ASIDE}x = one,\n# why\n\n{SET_ASIDE}\ttwo\n#x = three\na = 1\n"


@pytest.mark.parametrize(
    "line",
    ["x=1\n", "x  =  1\n", "x\n = 1\n", "x\n# c\n\t=\n 1\n", "x =\n", "x=1\r\n"],
)
def test_every_way_to_write_an_assignment_is_seen(line: str) -> None:
    assert "x" in read_parameters(line)
    rendered = set_parameters(line, {}, ["x"])
    assert read_parameters(rendered) == {}
    assert remove_block(rendered) == line


@pytest.mark.parametrize(
    "line",
    ["xx = 1\n", "x-y = 1\n", "x.y = 1\n", "#x = 1\n", " # x = 1\n", "x\n", "= x\n", " x = 1\n"],
)
def test_what_only_looks_like_our_parameter_stays(line: str) -> None:
    assert set_parameters(line, {}, ["x"]).startswith(line)


def test_the_last_assignment_wins() -> None:
    assert read_parameters("x = 1\nx = 2\n") == {"x": "2"}


def test_a_value_goes_on_across_comments_and_keeps_its_inner_space() -> None:
    text = "x = a,\n# c\n   b\n\ny =\n"
    assert read_parameters(text) == {"x": "a,   b", "y": ""}


def test_a_line_that_is_no_assignment_is_no_parameter() -> None:
    assert read_parameters("nonsense\n  more\nx = 1\n") == {"x": "1"}


def test_a_form_feed_in_a_comment_does_not_hide_a_parameter_or_make_one() -> None:
    text = "# part one \f x = 0\nx = 1\n"
    assert read_parameters(text) == {"x": "1"}
    assert set_parameters(text, {}, ["x"]).startswith("# part one \f x = 0\n#mailadmin# x = 1\n")


def test_our_block_is_replaced_not_repeated() -> None:
    once = set_parameters("a = 1\n", {"x": "1"}, ())
    assert set_parameters(once, {"x": "2"}, ()) == once.replace("x = 1", "x = 2")


def test_a_parameter_added_behind_our_block_is_set_aside_too() -> None:
    text = set_parameters("a = 1\n", {"x": "1"}, ()) + "x = 3\n"
    again = set_parameters(text, {"x": "1"}, ())
    assert read_parameters(again)["x"] == "1"
    assert f"{SET_ASIDE}x = 3\n" in again


def test_our_first_parameter_never_continues_the_last_foreign_line() -> None:
    parameters = read_parameters(set_parameters("a = 1,\n  2", {"x": "1"}, ()))
    assert parameters == {"a": "1,  2", "x": "1"}


def test_bytes_that_are_not_utf_8_stay() -> None:
    text = b"# f\xfcr alle\nx = \xe4\n".decode("utf-8", "surrogateescape")
    rendered = set_parameters(text, {"x": "1"}, ())
    assert rendered.encode("utf-8", "surrogateescape").startswith(
        b"# f\xfcr alle\n#mailadmin# x = \xe4\n"
    )


def test_a_dollar_is_doubled() -> None:
    assert quote_value("a$b") == "a$$b"


@pytest.mark.parametrize("value", ["a\nb = c", "a\rb", "\0", "\x7f", "\t"])
def test_a_control_character_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        quote_value(value)


@pytest.mark.parametrize("value", [" a", "a ", " "])
def test_white_space_at_an_end_is_refused_since_postfix_drops_it(value: str) -> None:
    with pytest.raises(ValueError, match="white space"):
        quote_value(value)


@given(st.text())
def test_no_value_breaks_out_of_its_parameter(value: str) -> None:
    try:
        text = set_parameters("a = 1\n", {"x": value, "y": "2"}, ())
    except ValueError:
        return
    read = read_parameters(text)
    assert read == {"a": "1", "x": value.replace("$", "$$"), "y": "2"}
