"""The tables of ``docs/judgement.md``, drawn from where the rules are written.

Codes, severities and sources stand in the docstrings of the modules that judge, what a code means
in its sentence. ``python -m tests.judgement_page`` writes the tables anew; the text above them is
written by hand.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import django
from django.utils.functional import Promise

TREE = Path(__file__).parent.parent
PAGE = TREE / "docs" / "judgement.md"
MARK = "<!-- Below: python -m tests.judgement_page -->\n"

# What is judged, by whom, in the order of the page.
SECTIONS = (
    ("Names in a certificate", ("pki/san",)),
    ("The certificate and its uses", ("pki/certificate",)),
    ("Its lifetime", ("pki/lifetimes",)),
    ("Its form and signature", ("pki/structure", "pki/malformed")),
    ("Its key", ("pki/key_rules",)),
    ("Keys that others have", ("pki/weak_keys",)),
    ("The chain", ("pki/chain", "pki/path_rules")),
    ("The upload as a whole", ("pki/bundle", "pki/parts/__init__")),
    ("Containers", ("pki/pkcs12", "pki/zips")),
    ("Passwords of keys", ("pki/keys",)),
    ("Two certificates side by side", ("certificates/pairing",)),
    ("What a certificate replaces", ("pki/predecessor",)),
    ("Requests, and their answers", ("pki/csr", "pki/csr_judging", "pki/renewal")),
    ("A root to trust", ("certificates/authorities",)),
)
_HEAD = ("| code | severity | what it means | source |", "|---|---|---|---|")
_RULE = re.compile(r"=+(?: +=+)+")
_NUMBER = 77777
_FIRST_SENTENCE = re.compile(r".*?[.!?](?= |$)|.*", re.DOTALL)


class Rule(NamedTuple):
    """One line of the page; ``source`` is empty where the docstring names none."""

    code: str
    severity: str
    source: str


def read_rules(module: str) -> Iterator[Rule]:
    """Yield the rules in the table of a module's docstring."""
    text = (TREE / "mailadmin" / f"{module}.py").read_text()
    lines = (ast.get_docstring(ast.parse(text)) or "").split("\n")
    rules = [number for number, line in enumerate(lines) if _RULE.fullmatch(line)]
    for top, middle, bottom in zip(rules[::3], rules[1::3], rules[2::3], strict=True):
        starts = [match.start() for match in re.finditer("=+", lines[top])]
        head = _cut(lines[top + 1], starts)
        rows: list[list[str]] = []
        for line in lines[middle + 1 : bottom]:
            cells = _cut(line, starts)
            if cells[0]:
                rows.append(cells)
            else:  # the cells of the line above go on
                rows[-1] = [
                    f"{old} {new}".strip() for old, new in zip(rows[-1], cells, strict=True)
                ]
        for cells in rows:
            named = dict(zip(head, cells, strict=True))
            if not cells[0].endswith("*"):
                source = named.get("source") or named.get("found by", "")
                yield Rule(cells[0], named.get("severity", "error"), source)


def _cut(line: str, starts: list[int]) -> list[str]:
    ends = [*starts[1:], None]
    return [line[start:end].strip() for start, end in zip(starts, ends, strict=True)]


def draw_tables(sentences: Mapping[str, Promise]) -> str:
    """Return all tables as Markdown; each code once, where it is first judged."""
    told: set[str] = set()
    parts = []
    for title, modules in SECTIONS:
        lines = [
            f"## {title}",
            "",
            "| code | severity | what it means | source |",
            "|---|---|---|---|",
        ]
        for rule in (rule for module in modules for rule in read_rules(module)):
            if rule.code not in told:
                told.add(rule.code)
                meaning = _say_briefly(sentences[rule.code])
                severity = rule.severity.replace(" *", "")
                lines.append(f"| `{rule.code}` | {severity} | {meaning} | {rule.source} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


class _Placeholders(dict[str, object]):
    """Stands for all parameters: {name} for a text; numbers choose the plural, so they are one."""

    def __missing__(self, name: str) -> object:
        return _NUMBER if name in ("count", "days") else f"{{{name}}}"


def _say_briefly(sentence: Promise) -> str:
    """Return the first sentence, with {name} for what is filled in."""
    filled = str(sentence % _Placeholders()).replace(str(_NUMBER), "{n}")  # type: ignore[operator]
    found = _FIRST_SENTENCE.match(filled)
    return (found[0] if found else filled).replace("|", "\\|")


def draw_page(sentences: Mapping[str, Promise]) -> str:
    """Return the page with its tables drawn anew."""
    return f"{PAGE.read_text().split(MARK)[0]}{MARK}\n{draw_tables(sentences)}"


def _write_page() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    sentences = import_module("mailadmin.certificates.sentences")  # needs the settings
    PAGE.write_text(draw_page(sentences.SENTENCES))


if __name__ == "__main__":
    _write_page()
