"""Every code of what is trusted and fetched has a sentence that finds its parameters."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from mailadmin import certificates
from mailadmin.audit.sentences import VERBS
from mailadmin.certificates.sentences import say, trust
from mailadmin.pki.problems import Param, Problem

CODE = re.compile(r"(authority|fetch)\.[a-z_]+")
# As fetching.py gives them: without the part before the dot.
FETCH_CALL = re.compile(r"problem\(\s*\"([a-z_]+)\"")
ALL_PARAMS: dict[str, Param] = {
    "name": "Example Root",
    "names": "Example Root, Other Root",
    "issuer": "Example Root",
    "count": 2,
    "not_after": "2026-11-24T11:59:59+00:00",
    "not_before": "2026-11-24T11:59:59+00:00",
    "address": "http://ca.example/ca.der",
    "host": "ca.example",
    "ip": "192.0.2.1",
    "port": 8080,
    "seconds": 5,
    "status": 404,
    "target": "ftp://ca.example",
    "limit": 64,
}


def test_every_code_has_a_sentence_and_every_sentence_a_code() -> None:
    folder = Path(certificates.__file__).parent
    texts: set[str] = set()
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
    codes = {text for text in texts if CODE.fullmatch(text)}
    codes |= {f"fetch.{code}" for code in FETCH_CALL.findall((folder / "fetching.py").read_text())}
    verbs = {code for code in codes if code in VERBS}
    assert codes - verbs == set(trust.SENTENCES)


@pytest.mark.parametrize("code", sorted(trust.SENTENCES))
def test_a_problem_is_said_in_whole_sentences(code: str) -> None:
    said = say(Problem(code, params=ALL_PARAMS))
    assert said != code
    assert "%(" not in said
    assert said.endswith(".")
