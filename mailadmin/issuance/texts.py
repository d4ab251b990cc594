"""Words and addresses that an authority sends: cut and cleaned before anybody reads them."""

from __future__ import annotations

import re

from mailadmin.pki.x509_fields import to_printable

MAX_WORDS = 500  # characters of the authority's own words that are kept
MAX_ADDRESS = 1000  # characters; an address with a signed token inside has several hundred
_ADDRESS = re.compile(r"https?://[^\s\"'<>`\\]+", re.ASCII)


def clean_words(value: object, limit: int = MAX_WORDS) -> str:
    """Return a text in one printable line of bounded length; empty for what is no text."""
    if not isinstance(value, str):
        return ""
    return to_printable(" ".join(value[: limit * 2].split()))[:limit]


def web_address(value: object) -> str:
    """Return the address if a browser may open it (http or https); empty otherwise."""
    if not isinstance(value, str) or len(value) > MAX_ADDRESS:
        return ""
    return value if _ADDRESS.fullmatch(value) else ""


def find_address(words: object) -> str:
    """Return the first address of a page in a text; empty if there is none."""
    if not isinstance(words, str):
        return ""
    found = _ADDRESS.search(words)
    return web_address(found[0].rstrip(".,;:)]}")) if found else ""
