"""Words and addresses of others, before anybody reads them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailadmin.issuance.texts import clean_words, find_address, web_address


@given(st.text(), st.integers(0, 20))
def test_words_are_printable_and_bounded(text: str, limit: int) -> None:
    said = clean_words(text, limit)
    assert said.isprintable()
    assert len(said) <= limit


def test_an_address_is_found_without_the_dot_behind_it() -> None:
    assert find_address("see https://ca.example/why.") == "https://ca.example/why"
    assert find_address("nothing here") == ""
    assert find_address(None) == ""
    assert web_address("https://ca.example/a b") == ""
    assert web_address(None) == ""
