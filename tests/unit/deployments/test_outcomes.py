"""How steps and endings are told: nothing without words, nothing longer than a sentence."""

from __future__ import annotations

import re

import pytest

from mailadmin.dashboard import sentences as overview
from mailadmin.deployments.sentences import STEPS
from mailadmin.deployments.sentences.brief import daemon_words, say_briefly
from mailadmin.deployments.sentences.coming import COMING, say_coming
from mailadmin.deployments.sentences.outcomes import (
    STATUS_STATES,
    STATUS_WORDS,
    Status,
    duration_words,
)
from mailadmin.mailconf import proof
from mailadmin.pki.problems import Problem, Severity


def test_every_step_has_words_for_before_and_after() -> None:
    assert COMING.keys() == STEPS.keys()


def test_a_step_of_a_newer_agent_is_named_by_its_code() -> None:
    assert say_coming("polished", "dovecot") == "polished dovecot"


@pytest.mark.parametrize(
    ("subject", "words"), [("postfix", "Reload Postfix"), ("", "Reload what changed")]
)
def test_a_reload_names_its_daemon_when_it_is_known(subject: str, words: str) -> None:
    assert say_coming("reloaded", subject) == words


def test_every_status_has_a_word_and_a_colour() -> None:
    assert STATUS_WORDS.keys() == STATUS_STATES.keys() == set(Status)


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(None, ""), (0, "0 ms"), (99, "99 ms"), (100, "0.1 s"), (812, "0.8 s"), (12_400, "12 s")],
)
def test_durations_are_as_exact_as_a_person_needs(milliseconds: int | None, words: str) -> None:
    assert duration_words(milliseconds) == words


@pytest.mark.parametrize("words", ["first\nsecond", "x" * 500])
def test_a_long_story_is_cut_in_the_sentence_and_kept_beside_it(words: str) -> None:
    problem = Problem("postfix.check_failed", Severity.ERROR, "", {"words": words})
    said = say_briefly(problem)
    assert said.endswith("…")
    assert len(said) < 250
    assert "\n" not in said
    assert daemon_words(problem) == words


def test_a_short_story_stays_in_the_sentence() -> None:
    problem = Problem("postfix.check_failed", Severity.ERROR, "", {"words": "bad line 3"})
    assert say_briefly(problem.as_dict()).endswith("bad line 3")
    assert daemon_words(problem) == ""


def test_every_fault_a_look_can_find_says_what_to_do() -> None:
    codes = set(re.findall(r"^(probe\.\w+)", proof.__doc__ or "", re.MULTILINE))
    # Only a rollback compares with what was before; a look does not.
    assert codes - {"probe.not_as_before"} == overview.WHAT_NOW.keys()
