"""Host names: what people write, what certificates hold, and which covers which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.pki.names import (
    NameProblem,
    both_forms,
    display_name,
    is_covered,
    is_usable_san,
    normalize_host_name,
    normalize_san,
    parse_address,
)

A_LABEL = "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("mail.example.org", "mail.example.org"),
        ("  Mail.EXAMPLE.org. ", "mail.example.org"),
        ("bücher.example", A_LABEL),
        ("BÜCHER.example", A_LABEL),
        ("XN--BCHER-KVA.EXAMPLE", A_LABEL),
        ("straße.example", "xn--strae-oqa.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("mail.corp.internal", "mail.corp.internal"),
        ("nas.lan", "nas.lan"),
        ("mail.example.test", "mail.example.test"),
        ("1.mail.example", "1.mail.example"),
        ("co.uk", "co.uk"),
        (f"{'a' * 63}.example", f"{'a' * 63}.example"),
    ],
)
def test_a_host_name_becomes_lower_case_a_labels(typed: str, expected: str) -> None:
    assert normalize_host_name(typed) == expected


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "name.empty"),
        ("  \t", "name.empty"),
        ("localhost", "name.not_qualified"),
        ("mail.", "name.not_qualified"),
        ("mail_server.example", "name.invalid"),
        ("mail server.example", "name.invalid"),
        ("a..example", "name.invalid"),
        (".example", "name.invalid"),
        (".", "name.invalid"),
        ("-a.example", "name.invalid"),
        ("a-.example", "name.invalid"),
        ("☃.example", "name.invalid"),
        ("xn--a.example", "name.invalid"),
        (f"{'a' * 64}.example", "name.invalid"),
        (f"{'a.' * 126}ab", "name.invalid"),
        ("a" * 5000, "name.invalid"),
        ("192.0.2.1", "name.invalid"),
        ("300.1.2.3", "name.invalid"),
        ("2001:db8::1", "name.invalid"),
        ("https://mail.example.org/", "name.invalid"),
        ("user@example.org", "name.invalid"),
        ("mail.example\0.org", "name.invalid"),
        ("*", "name.wildcard_misplaced"),
        ("mail*.example.org", "name.wildcard_misplaced"),
        ("*mail.example.org", "name.wildcard_misplaced"),
        ("mail.*.example.org", "name.wildcard_misplaced"),
        ("*.*.example.org", "name.wildcard_misplaced"),
        ("*.", "name.invalid"),
        ("*.com", "name.public_suffix"),
        ("*.co.uk", "name.public_suffix"),
        ("*.lan", "name.public_suffix"),
        ("*.公司.cn", "name.public_suffix"),
    ],
)
def test_what_is_no_host_name_is_refused_with_a_reason(typed: str, code: str) -> None:
    with pytest.raises(NameProblem) as refused:
        normalize_host_name(typed, allow_wildcard=True)
    assert refused.value.problem.code == code
    assert str(refused.value) == code


def test_a_refused_name_is_told_back_but_never_at_full_length() -> None:
    with pytest.raises(NameProblem) as refused:
        normalize_host_name("a b" * 500)
    assert refused.value.problem.params == {"name": ("a b" * 500)[:100]}


def test_a_wildcard_is_taken_only_where_it_is_asked_for() -> None:
    assert normalize_host_name("*.Bücher.example", allow_wildcard=True) == f"*.{A_LABEL}"
    with pytest.raises(NameProblem) as refused:
        normalize_host_name("*.bücher.example")
    assert refused.value.problem.code == "name.wildcard_not_allowed"


def test_a_wildcard_below_a_privately_run_suffix_is_taken() -> None:
    assert normalize_host_name("*.github.io", allow_wildcard=True) == "*.github.io"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::1]", "2001:db8::1"),
        (" 2001:db8:0:0::1 ", "2001:db8::1"),
        ("*.example.org", "*.example.org"),
        ("Mail.example.org", "mail.example.org"),
    ],
)
def test_an_alternative_name_may_also_be_an_address(text: str, expected: str) -> None:
    assert normalize_san(text) == expected


def test_an_address_with_a_zone_has_no_meaning_for_others() -> None:
    assert parse_address("fe80::1%eth0") is None


@pytest.mark.parametrize("name", ["mail.example.org", "*.example.org", "192.0.2.1", A_LABEL])
def test_well_formed_names_are_usable(name: str) -> None:
    assert is_usable_san(name)


@pytest.mark.parametrize("name", ["", "localhost", "*.com", "a_b.example", "a.example.", "*"])
def test_names_that_match_no_host_are_not_usable(name: str) -> None:
    assert not is_usable_san(name)


def test_names_are_shown_as_people_write_them() -> None:
    assert display_name(A_LABEL) == "bücher.example"
    assert display_name(f"*.{A_LABEL}") == "*.bücher.example"
    assert display_name("mail.example.org") == "mail.example.org"
    assert both_forms(A_LABEL) == f"bücher.example ({A_LABEL})"
    assert both_forms("mail.example.org") == "mail.example.org"


def test_a_label_that_stands_for_nothing_is_shown_as_it_is() -> None:
    assert display_name("xn--a.example") == "xn--a.example"


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("mail.example.org", ["mail.example.org"]),
        ("MAIL.example.ORG.", ["mail.Example.org"]),
        ("bücher.example", [A_LABEL]),
        ("mail.example.org", ["other.example.org", "*.example.org"]),
        ("mail.bücher.example", [f"*.{A_LABEL}"]),
        ("*.example.org", ["*.example.org"]),
        ("192.0.2.1", ["192.0.2.1"]),
        ("[2001:db8::1]", ["2001:db8:0::1"]),
        ("localhost", ["localhost"]),
    ],
)
def test_these_names_cover_the_host(host: str, names: list[str]) -> None:
    assert is_covered(host, names)


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("mail.example.org", []),
        ("mail.example.org", ["example.org", "mail.example.com"]),
        ("example.org", ["*.example.org"]),
        ("a.mail.example.org", ["*.example.org"]),
        ("mail.example.org", ["*"]),
        ("mail.example.org", ["m*.example.org", "*ail.example.org", "mail.*.org"]),
        ("mail.example.org", ["*.*.org"]),
        ("example.co.uk", ["*.co.uk"]),
        ("example.com", ["*.com"]),
        ("*.a.example.org", ["*.example.org"]),
        ("*.b.example", ["*.*.b.example"]),
        ("192.0.2.1", ["*.0.2.1", "192.0.2.2", "2001:db8::1"]),
        ("192.0.2.1", ["mail.example.org"]),
        ("mail.example.org", ["mail.example.org."]),
        ("", [""]),
    ],
)
def test_these_names_do_not_cover_the_host(host: str, names: list[str]) -> None:
    assert not is_covered(host, names)


@given(st.text())
def test_any_text_is_normalized_or_refused(text: str) -> None:
    try:
        name = normalize_host_name(text, allow_wildcard=True)
    except NameProblem:
        return
    assert normalize_host_name(name, allow_wildcard=True) == name
    assert is_usable_san(name)
    assert is_covered(text, [name])
    assert normalize_host_name(display_name(name), allow_wildcard=True) == name


LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True).filter(
    lambda label: label[2:4] != "--" and not label.isdigit()
)


@given(st.lists(LABELS, min_size=3, max_size=6))
def test_a_wildcard_covers_exactly_one_label(labels: list[str]) -> None:
    host = ".".join(labels)
    parent = ".".join(labels[1:])
    assert is_covered(host, [f"*.{parent}"]) == is_usable_san(f"*.{parent}")
    assert not is_covered(f"deeper.{host}", [f"*.{parent}"])
    assert not is_covered(parent, [f"*.{parent}"])
