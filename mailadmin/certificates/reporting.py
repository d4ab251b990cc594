"""A verdict for the command line: the JSON that scripts read, and the sentences people read."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from mailadmin.accounts.relative_time import exact_words
from mailadmin.certificates.fetching_issuers import find_offer
from mailadmin.certificates.known_keys import weak_key_checks
from mailadmin.certificates.proposing import Proposal
from mailadmin.certificates.sentences import say
from mailadmin.certificates.verdicts import describe_verdict, draw_chain
from mailadmin.pki.bundle import Verdict
from mailadmin.pki.certificate import CertificateFacts
from mailadmin.pki.names import display_name
from mailadmin.pki.parts import MAX_CONTAINER_BYTES, FileFound
from mailadmin.pki.problems import Problem, Severity

EXIT_ACCEPTED, EXIT_REFUSED, EXIT_UNREADABLE = 0, 1, 2
_LONGEST_PASSWORD = 1024  # bytes
_SEVERITY_WORDS = {Severity.ERROR: "refused", Severity.WARNING: "warning", Severity.INFO: "note"}


class UnreadableFileError(Exception):
    """A file that cannot be opened; the text says which and why."""


def read_file(name: str) -> bytes:
    """Return the content of a file, ``-`` for standard input.

    No more than can be judged is read: one byte above the limit shows that it is too large.
    Raises :class:`UnreadableFileError`.
    """
    try:
        if name == "-":
            return sys.stdin.buffer.read(MAX_CONTAINER_BYTES + 1)
        with Path(name).open("rb") as file:
            return file.read(MAX_CONTAINER_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UnreadableFileError(f"{name}: {reason}") from None


def read_password(name: str) -> str:
    """Return the password in a file, without the end of its line. Raises as :func:`read_file`."""
    content = read_file(name)[:_LONGEST_PASSWORD]
    first_line = content.decode(errors="replace").split("\n", 1)[0]
    return first_line.removesuffix("\r")


def exit_code(verdict: Verdict) -> int:
    """Return 0 for accepted, 1 for refused, 2 when nothing of a certificate could be read."""
    if verdict.is_accepted:
        return EXIT_ACCEPTED
    found = verdict.found
    is_anything_read = found.leaves or found.intermediates or found.roots or found.keys
    return EXIT_REFUSED if is_anything_read or found.requests else EXIT_UNREADABLE


def verdict_as_dict(verdict: Verdict, proposal: Proposal | None = None) -> dict[str, Any]:
    """Return the JSON form. Public parts only.

    ``problems`` are those of the certificate; how it differs from what it replaces is there.
    """
    return {
        "accepted": verdict.is_accepted,
        "needs_confirmation": verdict.needs_confirmation,
        "problems": problems_as_dicts(verdict.problems),
        "leaf": certificate_as_dict(verdict.leaf) if verdict.leaf else None,
        "chain": [certificate_as_dict(facts) for facts in verdict.chain],
        "root": _root_as_dict(verdict),
        "key": {"matches": verdict.key_matches, "source": str(verdict.key_source)},
        "replaces": _predecessor_as_dict(proposal),
        "files": [_file_as_dict(file) for file in verdict.files],
        "weak_key_checks": weak_key_checks(),
    }


def _file_as_dict(file: FileFound) -> dict[str, Any]:
    """Return what a file given turned out to be; they are counted from 1, as in the sentences."""
    return {"part": file.part, "kind": str(file.kind), "found": asdict(file.found)}


def _predecessor_as_dict(proposal: Proposal | None) -> dict[str, Any] | None:
    if proposal is None or proposal.chosen is None:
        return None
    row = proposal.chosen
    return {
        "id": row.pk,
        "label": row.label,
        "fingerprint_sha256": row.fingerprint,
        "key": row.key_description,
        "not_after": row.not_after.isoformat(),
        "is_asked_for": proposal.is_asked_for,
        "differences": problems_as_dicts(proposal.differences),
    }


def _check_lines() -> Iterator[str]:
    """Say which keys were not looked for, so that nobody believes they were."""
    if weak_key_checks()["not_made"]:
        yield (
            "note: The key was not compared with those that Debian drew until 2008 or that were "
            "published, because the lists of them are not all here (weak_keys update)."
        )


def _root_as_dict(verdict: Verdict) -> dict[str, Any] | None:
    """Return the root that the chain leads to, and the stores that trust it (maybe none)."""
    root = verdict.anchor
    if root is None:
        return None
    return {
        "name": root.title,
        "fingerprint_sha256": root.fingerprint,
        "trusted_by": sorted(verdict.trusted_by),
    }


def refusal_as_dict(code: str, message: str) -> dict[str, Any]:
    """Return the JSON form for files that could not even be opened."""
    problem = {"code": code, "severity": str(Severity.ERROR), "message": message}
    return {
        "accepted": False,
        "needs_confirmation": False,
        "problems": [problem],
        "leaf": None,
        "chain": [],
        "root": None,
        "key": {"matches": False, "source": "missing"},
        "replaces": None,
        "files": [],
        "weak_key_checks": {"made": [], "not_made": []},
    }


def problems_as_dicts(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """Return problems with their sentences."""
    return [
        {
            "code": problem.code,
            "severity": str(problem.severity),
            "message": say(problem),
            "subject": problem.subject,
            "params": dict(problem.params),
        }
        for problem in problems
    ]


def certificate_as_dict(facts: CertificateFacts) -> dict[str, Any]:
    """Return what a certificate says. Names are A-labels; ``display_names`` are for people."""
    return {
        "subject": facts.subject,
        "common_name": facts.common_name,
        "issuer": facts.issuer,
        "names": list(facts.names),
        "display_names": [display_name(name) for name in facts.names],
        "serial": facts.serial_hex,
        "not_before": facts.not_before.isoformat(),
        "not_after": facts.not_after.isoformat(),
        "key": facts.key,
        "signature_hash": facts.signature_hash,
        "fingerprint_sha256": facts.fingerprint,
        "public_key_sha256": facts.public_key_id,
        "is_self_signed": facts.is_self_signed,
    }


def verdict_lines(
    verdict: Verdict, now: datetime, proposal: Proposal | None = None
) -> Iterator[str]:
    """Yield the verdict as plain sentences, with the chain drawn in one line."""
    yield from describe_verdict(verdict, now)
    links = draw_chain(verdict)
    if links:
        yield " -> ".join(f"{link.title} ({link.words})" for link in links)
    yield from _problem_lines(verdict.problems)
    if proposal is not None and proposal.chosen is not None:
        row = proposal.chosen
        yield (
            f"Replaces {row.label} ({row.key_description}, until {exact_words(row.not_after)}, "
            f"fingerprint {row.fingerprint[:16]})"
        )
        yield from _problem_lines(proposal.differences)
    if verdict.leaf is not None or verdict.found.keys:
        yield from _check_lines()
    offer = find_offer(verdict)
    if offer:
        yield (
            f"The authority offers the certificate of {offer.issuer} at "
            f"{' or '.join(offer.addresses)} (certificate_import --fetch-missing)"
        )


def _problem_lines(problems: Iterable[Problem]) -> Iterator[str]:
    for problem in problems:
        yield f"{_SEVERITY_WORDS[problem.severity]}: {say(problem)}"
