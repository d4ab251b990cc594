"""Every code of the app has a sentence, and every sentence finds its parameters."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mailadmin import notifications
from mailadmin.notifications.models import Delivery, Notice
from mailadmin.notifications.sentences import (
    PROBLEMS,
    RESULTS,
    say_advice,
    say_problem,
    say_result,
    say_title,
    say_what,
    status_words,
)
from mailadmin.notifications.sentences.notices import SENTENCES, TITLES
from mailadmin.pki.problems import Problem

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CODE = re.compile(r"(certificate|port|deployment|acme|server)\.[a-z_]+")
RESULT = re.compile(r"(mail|webhook|secret|delivery|cancelled)\.[a-z_]+")
PROBLEM = re.compile(r"(webhook\.(url|address|secret)|destinations?\.|panel\.)[a-z_]+")
RESULT_PARAMS = {
    "server": "localhost:25", "reply": "250 2.0.0 Ok: queued as 4x", "detail": "refused",
    "status": 200, "ms": 12, "seconds": 5, "host": "chat.example.org", "address": "10.0.0.1",
    "reason": "custody.master_key_missing", "location": "other.example.org", "name": "mx",
}  # fmt: skip


def texts_of(*folders: str) -> set[str]:
    """Return every text constant of the code, without the catalogues themselves."""
    root = Path(notifications.__file__).parent
    texts = set()
    for path in [item for folder in folders for item in root.glob(f"{folder}*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
    return texts


def notice(code: str, **values: Any) -> Notice:
    params: dict[str, Any] = {
        "label": "mail.example.org", "not_after": (NOW + timedelta(days=10)).isoformat(),
        "heir": "new.example.org", "heir_not_after": (NOW + timedelta(days=80)).isoformat(),
        "host_name": "mail.example.org", "places": "465, 993", "way": "choose",
        "authority": "Test CA", "failures": 3, "renewal_id": 7,
        "next_attempt_at": (NOW + timedelta(days=1)).isoformat(),
        "service": "imaps", "port": 993, "number": 41, "files": "main.cf",
        "problem": {"code": "probe.closed", "severity": "error", "subject": "imaps", "params": {
            "address": "*", "port": 993, "detail": "Connection refused"}},
        "failure": {"code": "deployment.fault", "severity": "error", "subject": "", "params": {}},
    }  # fmt: skip
    return Notice(code=code, params=params | values.pop("params", {}), **values)


def test_every_code_has_a_title_and_a_sentence() -> None:
    used = {text for text in texts_of("") if CODE.fullmatch(text)} - {"port.not_found"}
    known = {"certificate.renewal_due", "port.not_as_wanted", "deployment.taken_back"}
    assert known <= used
    assert used == set(TITLES) == set(SENTENCES)


@pytest.mark.parametrize("code", sorted(TITLES))
def test_a_notice_is_said_in_whole_sentences(code: str) -> None:
    row = notice(code)
    said = [say_title(row, NOW), say_what(row, NOW), say_advice(row)]
    assert all("%(" not in item and item for item in said)
    assert said[1].endswith((".", "!"))
    assert said[2].startswith("What to do: ")
    assert "41" in said[0] or "mail.example.org" in said[0]


def test_what_to_do_follows_from_what_is_missing() -> None:
    def advice(way: str) -> str:
        return say_advice(notice("certificate.ten_days", params={"way": way}))

    assert "bring a newer certificate" in advice("renew")
    assert "choose the newer certificate new.example.org" in advice("choose")
    assert "Review and apply" in advice("apply")


def test_days_are_said_to_the_nearest() -> None:
    row = notice("certificate.ten_days")
    for minutes in (0, 15, 600):
        assert "in 10 days" in say_title(row, NOW + timedelta(minutes=minutes))
    assert "in 30 h" in say_title(row, NOW + timedelta(days=8, hours=18))


def test_every_result_has_a_sentence() -> None:
    used = {text for text in texts_of("runner/") if RESULT.fullmatch(text)}
    assert {"mail.accepted", "webhook.too_slow", "cancelled.over"} <= used
    assert used == set(RESULTS)


@pytest.mark.parametrize("code", sorted(RESULTS))
def test_a_result_is_said(code: str) -> None:
    said = say_result({"code": code, "params": RESULT_PARAMS})
    assert "%(" not in said
    assert said


def test_an_empty_answer_is_not_quoted() -> None:
    said = say_result({"code": "webhook.accepted", "params": RESULT_PARAMS | {"reply": ""}})
    assert said == "Answered with HTTP 200 after 12 ms."


def test_every_problem_has_a_sentence() -> None:
    used = {text for text in texts_of("") if PROBLEM.fullmatch(text)}
    said = {text for text in PROBLEMS if not text.startswith("destination.added")}
    verbs = {f"destination.{verb}" for verb in (
        "added", "changed", "deleted", "switched_on", "switched_off", "tested"
    )}  # fmt: skip
    assert used - verbs == said


@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_a_problem_is_said(code: str) -> None:
    params: dict[str, Any] = {
        "scheme": "ftp", "address": "10.0.0.1", "minimum": 16, "limit": 50, "host_name": "mx",
    }  # fmt: skip
    assert "%(" not in say_problem(Problem(code, params=params))


def test_every_status_has_words() -> None:
    assert {status_words(item) for item in Delivery.Status} & set(Delivery.Status.values) == {
        "sent"
    }


def test_a_failing_renewal_says_why_what_stands_and_when_it_is_tried_again() -> None:
    why = Problem("acme.name_refused", subject="mail.example.org").as_dict()
    row = notice("acme.renewal_failing", params={"problem": why})
    said = say_what(row, NOW)
    assert said.startswith("3 attempts in a row to get a certificate for mail.example.org")
    assert "did not find the proof for mail.example.org" in said
    assert "What is served stays until it expires in 10 days" in said
    assert "The next attempt is at 2026-11-25 12:00:00 UTC." in said
    once = notice("acme.renewal_failing", params={"failures": 1})
    assert say_what(once, NOW).startswith("The attempt to get a certificate for mail.example.org")
    first = notice("acme.renewal_failing")
    del first.params["not_after"]
    assert "What is served stays" not in say_what(first, NOW)
