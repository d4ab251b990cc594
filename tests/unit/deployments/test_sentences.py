"""Every code that the agent, the probe or a deployment can produce has a sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mailadmin
from mailadmin.deployments.sentences import PROBLEMS, STEPS, say_problem, say_step
from mailadmin.deployments.sentences.coming import say_coming
from mailadmin.pki.problems import Problem, Severity

_SOURCE = Path(mailadmin.__file__).parent
_PRODUCERS = [
    *(_SOURCE / "agent").rglob("*.py"),
    *(_SOURCE / "deployments").glob("*.py"),
    *(_SOURCE / "deployments" / "runner").glob("*.py"),
    _SOURCE / "mailconf" / "proof.py",
    _SOURCE / "mailconf" / "postfix.py",
    _SOURCE / "mailconf" / "rehearsal.py",
    *(_SOURCE / "mailconf").glob("front.py"),
    _SOURCE / "mailconf" / "maillog" / "outlook.py",
    *(_SOURCE / "mailconf" / "adopting").glob("*.py"),
]
_FAMILIES = "agent|plan|deployment|material|port|daemon|postfix|dovecot|file|program|probe|rollback"
_FAMILIES += "|front|http01|rehearsal|confirm|drift|usage|firewall|fail2ban|adopting|found|kept"
# What looks like a code and is a verb of the audit log, a task, or a file name.
_OTHERS = {
    "deployment.requested", "deployment.joined", "deployment.succeeded", "deployment.rolled_back",
    "deployment.failed",
    "deployment.refused", "deployment.confirmed", "drift.found", "drift.taken_over", "drift.left",
    "deployments.tasks",
    # What people would notice: those sentences are tried in test_foreseeing.
    "usage.name_goes", "usage.port_goes", "usage.ports_go", "usage.version_goes",
    "usage.version_untold",
    "dovecot.conf", "postfix.log",
}  # fmt: skip


def _codes() -> set[str]:
    pattern = re.compile(rf'"((?:{_FAMILIES})\.[a-z_]+)"')
    found = {code for path in _PRODUCERS for code in pattern.findall(path.read_text())}
    return found - _OTHERS


def test_every_code_has_a_sentence() -> None:
    assert _codes() - set(PROBLEMS) == set()


def test_no_sentence_is_left_over() -> None:
    assert {code for code in PROBLEMS if code not in _codes()} - {"deployment.unknown"} == set()


def test_every_step_has_words() -> None:
    pattern = re.compile(r'(?:steps\.run|steps\.note)\(\s*"([a-z_]+)"')
    files = (_SOURCE / "agent").glob("*.py")
    codes = {code for path in files for code in pattern.findall(path.read_text())}
    assert codes
    assert codes - set(STEPS) == set()


def test_a_taken_port_names_the_program_and_says_what_stands() -> None:
    problem = Problem(
        "port.taken",
        Severity.ERROR,
        "submissions",
        {"address": "127.0.0.9", "port": 465, "program": "exim4", "pid": 812},
    )
    said = say_problem(problem)
    assert "exim4 (process 812)" in said
    assert "465" in said
    assert "Nothing was changed" in said


@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_a_code_without_its_parameters_is_still_shown(code: str) -> None:
    assert say_problem({"code": code, "severity": "error", "subject": "imaps", "params": {}})


def test_the_name_asked_for_is_part_of_the_sentence() -> None:
    problem = Problem(
        "probe.tls_failed",
        Severity.ERROR,
        "imaps",
        {"address": "127.0.0.9", "port": 993, "detail": "reset", "sni_name": "mail.one.test"},
    )
    assert "mail.one.test" in say_problem(problem)


@pytest.mark.parametrize(
    ("code", "subject", "said", "coming"),
    [
        (
            "reloaded",
            "dovecot-core",
            "Reloaded Dovecot’s main instance",
            "Reload Dovecot’s main instance",
        ),
        (
            "started",
            "dovecot-front",
            "Started Dovecot’s instance for the ports",
            "Start Dovecot’s instance for the ports",
        ),
        (
            "stopped",
            "dovecot-front",
            "Stopped Dovecot’s instance for the ports",
            "Stop Dovecot’s instance for the ports",
        ),
    ],
)
def test_of_two_instances_of_dovecot_the_one_meant_is_named(
    code: str, subject: str, said: str, coming: str
) -> None:
    assert (say_step(code, subject), say_coming(code, subject)) == (said, coming)


def test_what_two_instances_of_dovecot_cannot_be_says_what_to_do() -> None:
    about = {"listener": "imaps", "port": "993"}
    said = say_problem(Problem("front.core_not_closed", Severity.ERROR, "", about))
    assert "port 993 (inet_listener imaps) in the main instance again" in said
    assert "read before 99z-mailadmin-core.conf" in said


def test_a_step_of_a_newer_agent_is_shown_by_its_code() -> None:
    assert say_step("teleported", "dovecot") == "teleported dovecot"
    assert say_step("reloaded", "dovecot") == "Reloaded Dovecot"
