"""Every problem of the client has a sentence, and every sentence a problem and its parameters."""

from __future__ import annotations

import re
from pathlib import Path

from mailadmin.acme import client
from mailadmin.acme.sentences.client import PROBLEMS

FOLDER = Path(client.__file__).parent
# Those with a host are given without the part before the dot.
CODE = re.compile(r'"ca\.([a-z_]+)"|fail(?:ed|ure)\(\s*(?:answer, )?"([a-z_]+)"')
ROW = re.compile(r"^ca\.([a-z_]+) *(.*)$", re.MULTILINE)
PARAM = re.compile(r"%\((\w+)\)s")


def test_every_code_has_a_sentence_and_no_sentence_is_left_over() -> None:
    found = {
        "".join(pair) for path in FOLDER.glob("*.py") for pair in CODE.findall(path.read_text())
    }
    assert {f"ca.{code}" for code in found} == set(PROBLEMS)


def test_sentences_use_the_parameters_that_are_given() -> None:
    rows = dict(ROW.findall((FOLDER / "failures.py").read_text()))
    assert {f"ca.{code}" for code in rows} == set(PROBLEMS)
    for code, described in rows.items():
        given = set(re.findall(r"[a-z_]+", re.sub(r"\(.*?\)", "", described)))
        given |= set() if "(no host)" in described else {"host"}
        assert set(PARAM.findall(str(PROBLEMS[f"ca.{code}"]))) <= given, code
