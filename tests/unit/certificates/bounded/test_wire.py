"""Values come back as they went, and nothing but values of their types comes back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pytest

from mailadmin.certificates.bounded.questions import QUESTIONS, ReadParts
from mailadmin.certificates.bounded.wire import (
    LENGTH_BYTES,
    WireError,
    from_wire,
    read_length,
    to_wire,
)
from mailadmin.pki.keys import (
    KeyKind,
    PrivateKey,
    generate_key,
    private_key_to_der,
    private_key_to_pem,
)
from mailadmin.pki.problems import Problem, Severity


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Sample:
    text: str
    number: int | None
    content: bytes
    moment: datetime
    colour: Colour
    many: tuple[str, ...]
    some: frozenset[str]
    table: Mapping[str, str | int | bool]
    inner: Problem | None


SAMPLE = Sample(
    "half a letter \ud83d, a NUL \0",
    None,
    bytes(range(256)),
    datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=UTC),
    Colour.RED,
    ("a", ""),
    frozenset({"b"}),
    {"yes": True, "one": 1, "word": "1"},
    Problem("some.code", Severity.INFO, "subject", {"limit": 3}),
)


def there_and_back(value: object, kind: Any) -> Any:
    sent = to_wire(value, kind)
    assert read_length(sent) == len(sent) - LENGTH_BYTES
    return from_wire(sent[LENGTH_BYTES:], kind)


def test_a_value_comes_back_as_it_went() -> None:
    returned = there_and_back(SAMPLE, Sample)
    assert returned == SAMPLE
    assert [type(value) for value in returned.table.values()] == [bool, int, str]


@pytest.mark.parametrize("kind", [KeyKind.RSA_2048, KeyKind.ECDSA_P256, KeyKind.ECDSA_P384])
def test_a_key_comes_back_as_it_went(kind: KeyKind) -> None:
    key = generate_key(kind)
    returned = there_and_back(key, PrivateKey)
    assert private_key_to_pem(returned) == private_key_to_pem(key)
    assert there_and_back(None, PrivateKey | None) is None
    assert private_key_to_der(there_and_back(key, PrivateKey | None)) == private_key_to_der(key)


CHANGES: dict[str, dict[str, object]] = {
    "a number for a text": {"text": 1},
    "a text for a number": {"number": "1"},
    "a truth for a number": {"number": True},
    "no base64": {"content": "%%%"},
    "no moment": {"moment": "soon"},
    "no such colour": {"colour": "blue"},
    "a text for a list": {"many": "ab"},
    "numbers in a list of texts": {"many": [1]},
    "a list for a table": {"table": []},
    "a list in a table": {"table": {"a": []}},
    "a problem without its code": {"inner": {"severity": "error", "subject": "", "params": {}}},
    "a field that is not declared": {"__class__": "Sample"},
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_value_of_another_type_is_refused(what: str) -> None:
    value = json.loads(to_wire(SAMPLE, Sample)[LENGTH_BYTES:])
    with pytest.raises(WireError):
        from_wire(json.dumps(value | CHANGES[what]).encode(), Sample)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"null", b"[" * 100_000, b"{}", b"NaN", b"[1]"]
)
def test_what_is_no_such_value_at_all_is_refused(content: bytes) -> None:
    with pytest.raises(WireError):
        from_wire(content, Sample)


def test_a_key_of_another_kind_is_refused() -> None:
    with pytest.raises(WireError):
        from_wire(b'"AAAA"', PrivateKey)


@pytest.mark.parametrize("kind", [float, Any, tuple[int, str], dict[str, str], bytes | datetime])
def test_a_type_that_the_wire_does_not_know_is_refused_at_once(kind: Any) -> None:
    with pytest.raises(TypeError):
        to_wire(None, kind)


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_wire_knows_every_type_of_every_question(name: str) -> None:
    question = QUESTIONS[name]
    for kind in (question.asked, question.answered):
        with pytest.raises(WireError):
            from_wire(b'"nothing of the kind"', kind)


def test_no_question_tells_its_secrets() -> None:
    asked = ReadParts((b"the key",), "the password", (b"what was written",))
    assert not any(word in repr(asked) for word in ("key", "password", "written"))
