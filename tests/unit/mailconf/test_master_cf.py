"""master.cf: services, their words and options, as master(8) and getopt(3) read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.mailconf.block import BEGIN, END, SET_ASIDE, remove_block
from mailadmin.mailconf.master_cf import (
    OFF,
    Entry,
    entry_name,
    find_effective,
    read_entries,
    read_switched_off,
    replace_entries,
    write_option,
)

HEAD = "465 inet n - y - - smtpd"


def read_one(text: str) -> Entry:
    (entry,) = read_entries(text)
    return entry


# Reading


def test_an_entry_has_eight_fields_and_words() -> None:
    assert read_one("smtp\tinet  n -\ty - 50 smtpd -v\n") == Entry(
        "smtp", "inet", ("n", "-", "y", "-", "50"), "smtpd", ("-v",)
    )


@pytest.mark.parametrize("text", ["", "# c\n", "\n", "smtp inet n - y - - \n", "nonsense\n"])
def test_what_has_fewer_fields_is_no_entry(text: str) -> None:
    assert read_entries(text) == []


def test_lines_may_be_parted_anywhere_and_comments_may_stand_between() -> None:
    text = f"{HEAD}\n# why\n\t-o a=1\n\n  # more\n  -o\n  b=2\n"
    assert read_one(text).words == ("-o", "a=1", "-o", "b=2")


def test_options_below_a_commented_service_belong_to_the_one_above() -> None:
    text = "smtp inet n - y - - smtpd\n#submission inet n - y - - smtpd\n  -o a=1\n"
    assert read_one(text).options == {"a": "1"}


def test_a_head_may_go_on_in_the_next_line() -> None:
    assert read_one("smtp inet n\n - y -\n# c\n - smtpd\n").command == "smtpd"


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("-o a=1", {"a": "1"}),
        ("-oa=1", {"a": "1"}),
        ("-vo a=1", {"a": "1"}),
        ("-voa=1", {"a": "1"}),
        ("-v -D -o a=1", {"a": "1"}),
        ("-o { a = 1 }", {"a": "1"}),
        ("-o {a=1}", {"a": "1"}),
        ("-o { a = 1 2 }", {"a": "1 2"}),
        ("-o { a =\n  1,\n  2 }", {"a": "1,  2"}),
        ("-o { a = b:{c d} e }", {"a": "b:{c d} e"}),
        ("-o a=b{c d}", {"a": "b{c d}"}),
        ("-o a=", {"a": ""}),
        ("-o a=1 -o a=2", {"a": "2"}),
        ("-o a=$b,$$c", {"a": "$b,$$c"}),
        ("-o a=} -o { b = 1 2 }", {"a": "}", "b": "1 2"}),
        ("-o a=1\f2", {"a": "1\f2"}),
        ("-o nonsense", {}),
        ("-o", {}),
        ("argument -oa=1", {}),
        ("-- -oa=1", {}),
    ],
)
def test_options_are_read_as_getopt_reads_them(words: str, options: dict[str, str]) -> None:
    assert read_one(f"{HEAD} {words}\n").options == options


def test_a_value_may_look_like_an_option() -> None:
    assert read_one(f"{HEAD} -o -o -o a=1\n").words == ("-o", "-o", "-o", "a=1")


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("smtp", ("*", 25)),
        ("25", ("*", 25)),
        ("smtps", ("*", 465)),
        ("submissions", ("*", 465)),
        ("127.0.0.1:submission", ("127.0.0.1", 587)),
        ("[::1]:465", ("::1", 465)),
        ("::1:smtp", ("::1", 25)),
        ("[2001:DB8:0::25]:2465", ("2001:db8::25", 2465)),
        ("[127.0.0.1]:25", ("127.0.0.1", 25)),
        ("localhost:10025", ("localhost", 10025)),
        (":25", ("*", 25)),
        ("qmqp", None),
        ("٤٦٥", None),
    ],
)
def test_a_name_says_address_and_port(name: str, where: tuple[str, int] | None) -> None:
    assert read_one(f"{name} inet n - y - - smtpd\n").address_and_port == where


def test_only_inet_services_have_a_port() -> None:
    assert read_one("smtp unix - - y - - smtp\n").address_and_port is None


def test_of_several_services_with_one_name_the_last_counts() -> None:
    entries = read_entries(f"{HEAD} -v\n25 inet n - y - - smtpd\n{HEAD} -D\n")
    effective = find_effective(entries)
    assert effective is not None
    assert effective.words == ("-D",)
    assert find_effective([]) is None


# Writing


def test_an_entry_is_written_with_one_option_a_line() -> None:
    entry = read_one(f"{HEAD} -v -o a=1 -o {{ b = 1 2 }} rest\n")
    assert entry.as_text() == f"{HEAD}\n  -v\n  -o a=1\n  -o {{ b = 1 2 }}\n  rest\n"


def test_a_mark_stands_before_every_line_also_of_a_value_over_several() -> None:
    entry = read_one(f"{HEAD}\n  -o {{ a = 1,\n    2 }}\n")
    assert entry.as_text(OFF) == f"{OFF}{HEAD}\n{OFF}  -o {{ a = 1,    2 }}\n"
    assert read_switched_off(entry.as_text(OFF)) == [entry]


def test_a_word_with_a_hash_does_not_become_a_comment() -> None:
    entry = read_one(f"{HEAD} -o a=1 # c\n")
    assert read_one(entry.as_text()) == entry


def test_options_are_set_before_those_there_were() -> None:
    entry = read_one(f"{HEAD} -o a=1\n").with_options({"b": "2", "c": "x y"})
    assert entry.words == ("-o", "b=2", "-o", "{ c = x y }", "-o", "a=1")


@pytest.mark.parametrize("words", ["-o a=1", "-oa=1", "-o { a = 1 2 }", "-o a=1 -o a=2"])
def test_options_are_taken_away_however_they_are_written(words: str) -> None:
    entry = read_one(f"{HEAD} -v {words} -o ab=3 last\n").without_options({"a"})
    assert entry.words == ("-v", "-o", "ab=3", "last")


def test_an_address_and_a_port_make_a_name() -> None:
    assert entry_name("*", 465) == "465"
    assert entry_name("192.0.2.1", 465) == "192.0.2.1:465"
    assert entry_name("::1", 465) == "[::1]:465"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("", "a="),
        ("1", "a=1"),
        ("1,2", "a=1,2"),
        ("1 2", "{ a = 1 2 }"),
        ("static:{530 no}", "{ a = static:{530 no} }"),
        ("b{c}", "a=b{c}"),
        ("$b", "a=$$b"),
        ("1 $b", "{ a = 1 $$b }"),
    ],
)
def test_a_value_is_written_so_that_it_is_read_back(value: str, written: str) -> None:
    assert write_option("a", value) == written
    assert read_one(f"{HEAD} -o {written}\n").options == {"a": value.replace("$", "$$")}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("a\n25 inet n - n - - pipe", "control character"),
        ("a\tb", "control character"),
        ("a\x7f", "control character"),
        (" a", "white space"),
        ("a ", "white space"),
        ("{", "brace"),
        ("a }", "brace"),
        ("b } -o { c = d", "brace"),
        ("} {", "brace"),
    ],
)
def test_a_value_that_cannot_be_written_is_refused(value: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        write_option("a", value)


@given(st.text(st.sampled_from("ab {}$,=-o#\\\"'\t\n\r")))
def test_no_value_breaks_out_of_its_option(value: str) -> None:
    entry = read_one(f"{HEAD} -o last=1\n")
    try:
        text = entry.with_options({"a": value, "b": "2"}).as_text()
    except ValueError:
        return
    assert read_one(text).options == {"a": value.replace("$", "$$"), "b": "2", "last": "1"}


# Editing


def test_entries_of_ours_are_set_aside_and_the_rest_stays() -> None:
    text = "# top\nsmtp inet n - y - - smtpd\n# between\n  -o a=1\npickup unix n - y 60 1 pickup"
    ours = read_entries(text)[:1]
    rendered = replace_entries(text, ours, "25 inet n - y - - smtpd\n")
    assert rendered == (
        f"# top\n{SET_ASIDE}smtp inet n - y - - smtpd\n# between\n{SET_ASIDE}  -o a=1\n"
        f"pickup unix n - y 60 1 pickup\n{BEGIN}\n# The line above the block had no line feed.\n"
        f"25 inet n - y - - smtpd\n{END}\n"
    )
    assert remove_block(rendered) == text


def test_what_is_kept_for_later_is_read_from_its_section() -> None:
    section = f"# note\n{OFF}{HEAD}\n{OFF}  -o a=1\n{OFF}  -o b=2\n"
    (entry,) = read_switched_off(section)
    assert entry.options == {"a": "1", "b": "2"}
    assert read_entries(section) == []
