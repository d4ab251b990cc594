"""Every reason for not having read an upload is said, with what to do about it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mailadmin.certificates import bounded
from mailadmin.certificates.sentences import reading, say
from mailadmin.pki.problems import Problem

CODE = re.compile(r"\"(reading\.[a-z_]+)\"")


def test_every_code_has_a_sentence_and_every_sentence_a_code() -> None:
    folder = Path(bounded.__file__).parent
    codes = {code for path in folder.glob("*.py") for code in CODE.findall(path.read_text())}
    assert codes == set(reading.SENTENCES)


@pytest.mark.parametrize("code", sorted(reading.SENTENCES))
def test_it_is_said_in_whole_sentences(code: str) -> None:
    said = say(Problem(code, params={"seconds": 2, "limit": 1024}))
    assert said != code
    assert "%(" not in said
    assert "password is wrong" not in said
    assert said.count(". ") >= 1
