"""What a child can be asked: each question with the type of its answer, and who answers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mailadmin.certificates.bounded.listed import ListedKeys
from mailadmin.pki.bundle import Parts, Roots, Verdict, judge_bundle, read_parts
from mailadmin.pki.certificate import CertificateFacts
from mailadmin.pki.csr import CsrFacts, CsrProblem, read_foreign_csr
from mailadmin.pki.offered import read_offered
from mailadmin.pki.problems import Problem


@dataclass(frozen=True)
class ReadParts:
    """What are these? See :func:`mailadmin.pki.parts.read_parts`."""

    inputs: tuple[bytes, ...] = field(repr=False)
    password: str | None = field(repr=False)
    written: tuple[bytes, ...] = field(repr=False)

    def answer(self) -> Parts:
        """Read them."""
        return read_parts(self.inputs, self.password, written=self.written)


@dataclass(frozen=True)
class JudgeBundle:
    """What are they worth? See :func:`mailadmin.pki.bundle.judge_bundle`."""

    parts: Parts
    now: datetime
    known_key_ids: frozenset[str]
    key_ids_elsewhere: frozenset[str]
    known_intermediates: tuple[CertificateFacts, ...]
    roots: Roots
    listed_keys: ListedKeys

    def answer(self) -> Verdict:
        """Judge them."""
        return judge_bundle(
            self.parts,
            now=self.now,
            known_key_ids=self.known_key_ids,
            key_ids_elsewhere=self.key_ids_elsewhere,
            known_intermediates=self.known_intermediates,
            roots=self.roots,
            known_keys=self.listed_keys,
        )


@dataclass(frozen=True)
class ReadForeignCsr:
    """Which request is this? A problem is the answer for none."""

    content: bytes = field(repr=False)

    def answer(self) -> CsrAnswer:
        """Read it."""
        try:
            return CsrAnswer(facts=read_foreign_csr(self.content))
        except CsrProblem as error:
            return CsrAnswer(problem=error.problem)


@dataclass(frozen=True)
class CsrAnswer:
    """A request, or why there is none."""

    facts: CsrFacts | None = None
    problem: Problem | None = None


@dataclass(frozen=True)
class ReadOffered:
    """What does an authority offer? See :func:`mailadmin.pki.offered.read_offered`."""

    content: bytes = field(repr=False)

    def answer(self) -> tuple[CertificateFacts, ...]:
        """Read them."""
        return tuple(read_offered(self.content))


@dataclass(frozen=True, slots=True)
class Question:
    """A question with the types of both ends."""

    asked: type
    answered: Any
    answer: Callable[[Any], Any]


QUESTIONS: dict[str, Question] = {
    "read_parts": Question(ReadParts, Parts, ReadParts.answer),
    "judge_bundle": Question(JudgeBundle, Verdict, JudgeBundle.answer),
    "read_foreign_csr": Question(ReadForeignCsr, CsrAnswer, ReadForeignCsr.answer),
    "read_offered": Question(ReadOffered, tuple[CertificateFacts, ...], ReadOffered.answer),
}
