"""Who would notice a change, for the command line: lines to read, JSON for scripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mailadmin.audit.actors import Actor
from mailadmin.deployments.foresight import request_foresight
from mailadmin.deployments.models import Foresight
from mailadmin.deployments.sentences import say_problem
from mailadmin.deployments.sentences.foresight import (
    say_foreseen,
    say_people,
    say_source,
    say_unused,
)
from mailadmin.deployments.waiting import WaitedTooLongError, wait_for_foresight
from mailadmin.mailconf.maillog.outlook import Outlook
from mailadmin.pki.problems import Problem, Severity
from mailadmin.servers.models import MailServer


def obtain_foresight(actor: Actor, server: MailServer) -> Foresight | None:
    """Return who would notice, after waiting for it; None if nothing is taken from anybody.

    Where nobody answers in time, the row says so: a plan is good without it.
    """
    foresight = request_foresight(actor=actor, server=server)
    if foresight is None:
        return None
    try:
        return wait_for_foresight(foresight)
    except WaitedTooLongError:
        foresight.error = Problem("usage.no_answer", Severity.WARNING).as_dict()
        return foresight


def tell_foresight(foresight: Foresight) -> Iterator[str]:
    """Return the findings as sentences, each with its people below, and what was not read."""
    if foresight.error is not None:
        yield say_problem(foresight.error)
        return
    yield from (say_problem(problem) for problem in foresight.surroundings)
    outlook = _outlook(foresight)
    if outlook is None:
        return
    for found in outlook.findings:
        yield say_foreseen(found)
        yield from (f"    {line}" for line in say_people(found).splitlines())
    yield from say_unused(outlook)
    yield from (say_problem(problem) for problem in outlook.problems)
    if outlook.sources:
        yield say_source(outlook)


def foresight_as_dict(foresight: Foresight) -> dict[str, Any]:
    """Return the JSON form: what was found, each with its sentence, and what was not read."""
    outlook = _outlook(foresight)
    found = outlook.as_dict() if outlook else {}
    if outlook:
        sentences = [say_foreseen(item) for item in outlook.findings]
        rows = zip(found["findings"], sentences, strict=True)
        found["findings"] = [row | {"sentence": sentence} for row, sentence in rows]
        found["unused_sentences"] = say_unused(outlook)
    return {**found, "surroundings": foresight.surroundings, "error": foresight.error}


def _outlook(foresight: Foresight) -> Outlook | None:
    return Outlook.from_dict(foresight.outlook) if foresight.outlook else None
