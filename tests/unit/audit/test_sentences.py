"""Whatever the panel records is told in words, and not by its code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mailadmin
from mailadmin.audit.sentences import OBJECTS, VERBS

SOURCES = sorted(Path(mailadmin.__file__).parent.rglob("*.py"))
RECORDING = ("record_event", "_record")  # the second, an app's own short way to the first


def calls() -> Iterator[ast.Call]:
    for path in SOURCES:
        text = path.read_text()
        if "verb" in text:
            found = ast.walk(ast.parse(text))
            yield from (node for node in found if isinstance(node, ast.Call))


def texts_of(*nodes: ast.AST) -> set[str]:
    inner = (part for node in nodes for part in ast.walk(node))
    return {
        part.value
        for part in inner
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


def keyword(call: ast.Call, name: str) -> list[ast.AST]:
    return [word.value for word in call.keywords if word.arg == name]


def written_verbs() -> set[str]:
    verbs = set()
    for call in calls():
        verbs |= texts_of(*keyword(call, "verb"))
        if getattr(call.func, "id", "") in RECORDING:
            verbs |= {text for text in texts_of(*call.args) if text.count(".") == 1}
    return verbs


def test_the_sources_are_understood() -> None:
    assert {"drift.left", "certificate.deleted", "known_keys.updated"} <= written_verbs()


@pytest.mark.parametrize("verb", sorted(written_verbs()))
def test_what_was_done_has_words(verb: str) -> None:
    assert verb in VERBS


def test_what_it_was_done_to_has_words() -> None:
    written = set()
    for call in calls():
        written |= texts_of(*keyword(call, "object_type"))
    assert written
    assert written <= set(OBJECTS)
