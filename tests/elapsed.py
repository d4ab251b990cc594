"""What pages say of how long something takes already: it goes on while the page is made."""

from __future__ import annotations

import re


def tells_seconds(page: str, sentence: str, since: int) -> bool:
    """Look for the sentence with a number for ``{}``: so many seconds, or up to a minute more."""
    begin, end = (re.escape(part) for part in sentence.split("{}"))
    told = re.search(rf"{begin}(\d+){end}", page)
    return told is not None and since <= int(told[1]) < since + 60
