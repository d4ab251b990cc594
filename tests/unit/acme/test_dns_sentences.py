"""Every problem of DNS has a sentence, and every sentence a problem and all its parameters."""

from __future__ import annotations

import re
from pathlib import Path

from mailadmin.acme import dns
from mailadmin.acme.dns.waiting import Sight
from mailadmin.acme.sentences.dns import PROBLEMS, SIGHTS

_CODE = re.compile(r'"((?:dns|acme)\.[a-z_]+)"')


def codes_in_use() -> set[str]:
    folder = Path(dns.__file__).parent
    sources = [
        *folder.glob("*.py"),
        *(folder.parent / name for name in ("sealing.py", "preflight.py")),
    ]
    return {code for file in sources for code in _CODE.findall(file.read_text())}


def test_codes_and_sentences_are_the_same() -> None:
    assert codes_in_use() == set(PROBLEMS)
    assert set(SIGHTS) == {str(sight) for sight in Sight}
