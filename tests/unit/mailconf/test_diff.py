"""What a reviewer sees of a change: every line, and no key and no password."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailadmin.mailconf.block import SET_ASIDE
from mailadmin.mailconf.diff import REDACTED, compare, redact
from mailadmin.mailconf.master_cf import OFF

SECRET = "hunter2xyz"
KEY = f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n"


def lines_of(before: str, after: str) -> list[str]:
    found = compare("main.cf", before, after)
    assert found is not None
    return list(found.lines)


def test_equal_files_have_no_difference() -> None:
    assert compare("main.cf", "a\n", "a\n") is None


def test_a_difference_is_told_line_by_line() -> None:
    found = compare("main.cf", "a\nb\n", "a\nc\n")
    assert found is not None
    assert found.as_dict() == {
        "name": "main.cf",
        "lines": [
            "--- main.cf\tnow",
            "+++ main.cf\twanted",
            "@@ -1,2 +1,2 @@",
            " a",
            "-b",
            "+c",
        ],
    }


def test_two_different_secrets_look_the_same() -> None:
    assert lines_of("a\nmy_password = one\n", "b\nmy_password = two\n")[3:] == [
        "-a",
        "+b",
        f" my_password = {REDACTED}",
    ]


def test_what_no_page_can_show_is_shown_as_an_escape() -> None:
    before = b"# f\xfcr alle\r\n\tx = \x1b[0m\xc2\xa0\n".decode("utf-8", "surrogateescape")
    shown = lines_of(before, before + "y\n")
    assert shown[3:] == [" # f\\xfcr alle\\r", " \tx = \\x1b[0m\\xa0", "+y"]
    assert "\n".join(shown).encode()


def test_every_byte_that_is_not_utf_8_is_shown_as_itself() -> None:
    text = b"\x80\xff".decode("utf-8", "surrogateescape")
    assert lines_of("", text)[-1] == "+\\x80\\xff"


def test_characters_of_any_language_stay() -> None:
    assert lines_of("", "# für 例え\n")[-1] == "+# für 例え"


def test_line_ends_that_differ_are_seen() -> None:
    assert lines_of("a\r\n", "a\n")[3:] == ["-a\\r", "+a"]


def test_a_line_separator_does_not_end_a_line() -> None:
    text = f"my_password = \u2028{SECRET}\n"
    assert SECRET not in "".join(lines_of("", text))


# Secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            f"smtp_sasl_password_maps = static:a:{SECRET}\n",
            "smtp_sasl_password_maps = [redacted]\n",
        ),
        (f"PASSWD={SECRET}", "PASSWD=[redacted]"),
        (f"dnpass = {SECRET}\n", "dnpass = [redacted]\n"),
        (f"  bind_pass={SECRET} more\n", "  bind_pass=[redacted]\n"),
        (f"client_secret = {SECRET}\n", "client_secret = [redacted]\n"),
        (f"api_key = {SECRET}\n", "api_key = [redacted]\n"),
        (f"a_token2 = {SECRET}\n", "a_token2 = [redacted]\n"),
        (f"ssl_key_password = {SECRET}\n", "ssl_key_password = [redacted]\n"),
        (f"connect = host=a password={SECRET}\n", "connect = host=a password=[redacted]\n"),
        (f"# old_password = {SECRET}\n", "# old_password = [redacted]\n"),
        (f"{SET_ASIDE}x_password = {SECRET}\n", f"{SET_ASIDE}x_password = [redacted]\n"),
        (f"map = redis://user:{SECRET}@host/0\n", "map = redis://user:[redacted]@host/0\n"),
        (f"map = redis://:{SECRET}@host\n", "map = redis://:[redacted]@host\n"),
        (f"map = x://u:a@{SECRET}@host\n", "map = x://u:[redacted]@host\n"),
        (f"  -o x_password={SECRET} -o a=1\n  -o b=2\n", "  -o x_password=[redacted]\n  -o b=2\n"),
    ],
)
def test_the_value_of_a_secret_setting_is_blotted_out(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "smtpd_tls_security_level = may\n",
        "passdb {\n  driver = pam\n}\n",
        "smtpd pass - - n - - smtpd\n  -o a=1\n",
        "compass = 1\nbypass = 2\n",
        "password_of nobody\n",
        "x_password =\na = 1\n",
        "at = http://host:80/@x\n",
        "a: b@c\n",
        "",
    ],
)
def test_anything_else_is_shown(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("mark", ["", SET_ASIDE, OFF])
def test_a_value_that_begins_in_the_next_line_is_secret_too(mark: str) -> None:
    text = (
        f"{mark}x_password =\n# note\n\n{mark}  static:a:{SECRET}\n{mark}\t-{SECRET}\na = 1\n b\n"
    )
    shown = redact(text)
    assert SECRET not in shown
    assert shown == (
        f"{mark}x_password =\n# note\n\n{mark}  [redacted]\n{mark}\t[redacted]\na = 1\n b\n"
    )


def test_a_value_in_braces_ends_with_them() -> None:
    text = f"x inet n - n - - smtpd\n  -o {{ x_password =\n    a:{{{SECRET}}}\n  b }}\n  -o c=1\n"
    assert redact(text) == (
        "x inet n - n - - smtpd\n  -o { x_password =\n    [redacted]\n  [redacted]\n  -o c=1\n"
    )


def test_a_commented_secret_goes_on_where_it_is_indented() -> None:
    text = f"#x_password =\n#   {SECRET}\n# Another comment\n#   not secret\n"
    assert redact(text) == "#x_password =\n#   [redacted]\n# Another comment\n#   not secret\n"


def test_the_first_comment_below_may_be_the_value_and_is_hidden() -> None:
    assert redact(f"#x_password =\n# {SECRET}\n# A comment\n") == (
        "#x_password =\n# [redacted]\n# A comment\n"
    )


def test_a_secret_that_follows_a_secret_is_one_too() -> None:
    text = f"a_password = {SECRET}\nb_password = {SECRET}\n c = 1\n"
    assert redact(text) == "a_password = [redacted]\nb_password = [redacted]\n [redacted]\n"


# Keys


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "ENCRYPTED ", "OPENSSH "])
def test_a_private_key_becomes_one_word(kind: str) -> None:
    text = f"a\n{KEY.replace('PRIVATE', f'{kind}PRIVATE')}b\n"
    assert redact(text) == f"a\n{REDACTED}\nb\n"


def test_a_certificate_and_a_public_key_are_shown() -> None:
    text = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"
    assert redact(text) == text
    assert "PUBLIC" in redact("-----BEGIN PUBLIC KEY-----\n")


def test_a_key_without_an_end_hides_the_rest() -> None:
    assert redact(KEY.partition("-----END")[0] + "more\n") == f"{REDACTED}\n"


def test_a_key_in_the_last_line_adds_no_line_feed() -> None:
    assert redact(KEY.partition("\n")[0]) == REDACTED


def test_a_key_in_one_line_is_hidden_and_ends_there() -> None:
    assert redact(KEY.replace("\n", "") + "\nb") == f"{REDACTED}\nb"


def test_a_key_that_begins_where_another_ends_is_hidden_too() -> None:
    assert redact(f"{KEY.strip()}{KEY}b\n") == f"{REDACTED}\nb\n"


def test_a_key_behind_a_mark_is_hidden() -> None:
    text = "".join(f"{SET_ASIDE}{line}\n" for line in KEY.splitlines())
    assert redact(text) == f"{REDACTED}\n"


NAMES = ["smtp_sasl_password_maps", "dnpass", "x_secret", "API_KEY", "ssl_key_passphrase"]
around = st.lists(
    st.sampled_from(["a = 1\n", "  b\n", "# c\n", "\n", "  -o d=1\n", "}\n", "x {\n", "\u2028\n"]),
    max_size=4,
).map("".join)


@settings(deadline=None)
@given(
    around,
    around,
    st.sampled_from(["", SET_ASIDE, OFF, "#"]),
    st.sampled_from(NAMES),
    st.sampled_from(
        [
            " = ",
            "=",
            "=\t",
            " =\r",
            " = static:a:",
            " =\n{mark} ",
            " =\n{mark}   ",
            " =\n\n{mark}\t",
        ]
    ),
)
def test_no_password_gets_through(
    before: str, after: str, mark: str, name: str, equals: str
) -> None:
    text = f"{before}{mark}{name}{equals.format(mark=mark)}{SECRET}\n{after}"
    assert SECRET not in redact(text)
    assert SECRET not in str(compare("main.cf", after, text))


@settings(deadline=None)
@given(around, st.integers(1, 3), around, st.sampled_from(["", "ENCRYPTED "]), st.booleans())
def test_no_private_key_gets_through(
    before: str, count: int, after: str, kind: str, has_line_feeds: bool
) -> None:
    key = KEY.replace("PRIVATE", f"{kind}PRIVATE")
    text = f"{before}{(key if has_line_feeds else key.strip()) * count}\n{after}"
    assert SECRET not in redact(text)
    assert "BEGIN" not in redact(text)
    assert redact(text).endswith(redact(f"\n{after}").removeprefix("\n"))
