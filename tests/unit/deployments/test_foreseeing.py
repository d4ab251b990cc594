"""Finding out who would notice: asked once, shared, told in sentences, and soon forgotten."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from mailadmin.agent.protocol import AgentError
from mailadmin.audit.actors import Actor
from mailadmin.audit.models import AuditEvent
from mailadmin.deployments import tasks
from mailadmin.deployments.foresight import request_foresight
from mailadmin.deployments.foresight_lines import foresight_as_dict, tell_foresight
from mailadmin.deployments.models import Foresight
from mailadmin.deployments.runner import run_foresight
from mailadmin.deployments.sentences.foresight import (
    say_foreseen,
    say_people,
    say_source,
    say_unused,
)
from mailadmin.mailconf.maillog.foresight import Foreseen, Taking
from mailadmin.mailconf.maillog.outlook import Outlook
from mailadmin.mailconf.maillog.usage import AskedName, LiveSession, Person
from mailadmin.pki.problems import Problem, Severity
from mailadmin.servers.models import MailServer
from tests.deployment_factories import make_deployment, make_foresight, make_usage
from tests.unit.deployments.conftest import ScriptedAgent

pytestmark = pytest.mark.django_db


@pytest.fixture
def closing(server: MailServer) -> MailServer:
    """POP3 is to close."""
    server.listeners.filter(service="pop3").update(is_enabled=False)
    return server


def ask(actor: Actor, server: MailServer) -> Foresight:
    asked = request_foresight(actor=actor, server=server)
    assert asked is not None
    return asked


# Asking


def test_it_is_only_asked_where_something_is_taken_away_or_opened(
    server: MailServer, actor: Actor
) -> None:
    assert request_foresight(actor=actor, server=server) is None
    server.listeners.filter(service="imap").update(tls_mode="none")
    assert request_foresight(actor=actor, server=server) is None
    assert not Foresight.objects.exists()
    server.listeners.filter(service="submissions").update(is_enabled=True)
    assert request_foresight(actor=actor, server=server)


def test_before_the_first_apply_nothing_is_compared(closing: MailServer, actor: Actor) -> None:
    MailServer.objects.update(applied_state={})
    closing.refresh_from_db()
    assert request_foresight(actor=actor, server=closing) is None


def test_a_question_under_way_is_shared_and_an_answer_is_forgotten_for_the_next(
    closing: MailServer, actor: Actor
) -> None:
    first = ask(actor, closing)
    assert ask(actor, closing) == first
    Foresight.objects.update(status=Foresight.Status.READY)
    assert ask(actor, closing) != first
    assert Foresight.objects.count() == 1


# Answering


def test_who_would_notice_is_kept_with_how_far_it_got(
    closing: MailServer, actor: Actor, agent: ScriptedAgent
) -> None:
    agent.used = make_usage()
    asked = ask(actor, closing)
    seen: list[tuple[int, str]] = []
    agent.before_answer = lambda: seen.extend(Foresight.objects.values_list("lines", "status"))
    assert run_foresight(asked.pk)
    asked.refresh_from_db()
    assert seen == [(1000, "running")]
    assert (asked.status, asked.lines, asked.source) == ("ready", 2000, "/var/log/mail.log")
    assert asked.outlook is not None
    (found,) = Outlook.from_dict(asked.outlook).findings
    assert {person.who for person in found.shown} == {"anna@example.org", "bert@example.org"}


def test_nobody_is_named_in_the_audit_log(
    closing: MailServer, actor: Actor, agent: ScriptedAgent
) -> None:
    agent.used = make_usage()
    before = AuditEvent.objects.count()
    run_foresight(ask(actor, closing).pk)
    assert AuditEvent.objects.count() == before


def test_one_that_is_no_longer_wanted_hangs_up_and_does_not_come_back(
    closing: MailServer, actor: Actor, agent: ScriptedAgent
) -> None:
    asked = ask(actor, closing)
    agent.before_answer = lambda: Foresight.objects.all().delete() and None
    assert run_foresight(asked.pk)
    assert not Foresight.objects.exists()
    assert run_foresight(asked.pk)


def test_one_that_is_answered_stays_as_it_is(closing: MailServer, agent: ScriptedAgent) -> None:
    answered = make_foresight(closing, make_usage())
    agent.errors.append(AgentError.because("agent.unreachable", detail="x"))
    assert run_foresight(answered.pk)
    assert Foresight.objects.get() == answered
    assert agent.errors


def test_while_the_agent_reads_for_another_it_is_asked_again(
    closing: MailServer, actor: Actor, agent: ScriptedAgent, sent: list[tuple[str, int]]
) -> None:
    agent.errors.append(AgentError.because("usage.under_way"))
    asked = ask(actor, closing)
    tasks.foresee(asked.pk)
    assert sent[-1] == ("foresee", asked.pk)
    asked.refresh_from_db()
    assert asked.is_waiting
    tasks.foresee(asked.pk)
    asked.refresh_from_db()
    assert not asked.is_waiting


def test_an_agent_that_cannot_answer_is_told(
    closing: MailServer, actor: Actor, agent: ScriptedAgent
) -> None:
    agent.errors.append(AgentError.because("agent.unreachable", detail="No such file"))
    asked = ask(actor, closing)
    run_foresight(asked.pk)
    asked.refresh_from_db()
    assert asked.status == Foresight.Status.FAILED
    assert "cannot be reached" in next(tell_foresight(asked))


def test_what_a_dead_worker_left_is_sent_again_and_what_is_old_is_forgotten(
    closing: MailServer, sent: list[tuple[str, int]]
) -> None:
    now = timezone.now()
    silent = make_foresight(closing, status="running", heartbeat_at=now - timedelta(seconds=20))
    make_foresight(closing, status="running", heartbeat_at=now)
    queued = make_foresight(closing, age=timedelta(seconds=20))
    make_foresight(closing, make_usage(), age=timedelta(minutes=61))
    tasks.resume_interrupted()
    assert sorted(sent) == [("foresee", silent.pk), ("foresee", queued.pk)]
    assert Foresight.objects.count() == 3


def test_after_a_deployment_nobody_believes_it_any_more(closing: MailServer, actor: Actor) -> None:
    make_foresight(closing, make_usage(), age=timedelta(minutes=2))
    make_deployment(closing, age=timedelta(minutes=1))
    assert ask(actor, closing).is_waiting


# What opens


def test_what_opens_is_compared_with_packet_filter_and_jails(
    server: MailServer, actor: Actor, agent: ScriptedAgent
) -> None:
    server.listeners.filter(service="submissions").update(is_enabled=True)
    asked = ask(actor, server)
    run_foresight(asked.pk)
    asked.refresh_from_db()
    assert agent.looked_around == [465]
    assert asked.outlook is None
    assert [row["code"] for row in asked.surroundings] == ["firewall.closed"]
    assert "could not be reached" in "".join(tell_foresight(asked))
    assert foresight_as_dict(asked)["surroundings"] == asked.surroundings


def test_an_agent_that_cannot_look_around_does_not_hide_who_would_notice(
    closing: MailServer, actor: Actor, agent: ScriptedAgent
) -> None:
    closing.listeners.filter(service="submissions").update(is_enabled=True)
    agent.used = make_usage()
    asked = ask(actor, closing)
    refusal = AgentError.because("agent.message_unreadable")
    agent.before_answer = lambda: agent.errors.append(refusal)
    run_foresight(asked.pk)
    asked.refresh_from_db()
    assert asked.status == Foresight.Status.READY
    assert asked.outlook is not None
    assert [(row["code"], row["severity"]) for row in asked.surroundings] == [
        ("agent.message_unreadable", "warning")
    ]


# Saying it

ANNA = Person("anna", 40, 1_762_300_000, "192.0.2.7")
BASE = Foreseen("usage.port_goes", "pop3", 1, False, 40, (ANNA,), port=110)


def said(**values: object) -> str:
    facts = {name: getattr(BASE, name) for name in Foreseen.__slots__}
    return say_foreseen(Foreseen(**(facts | values)))


def test_every_finding_is_a_sentence_of_its_own() -> None:
    assert said() == (
        "1 person still reads mail on port 110, which would close (40 times, last on 2025-11-04)."
    )
    assert said(code="usage.clear_goes", people=3, is_more=True).startswith(
        "At least 3 people still read mail on port 110 without TLS, which would be refused"
    )
    assert "refused: TLS 1.0, TLS 1.1 (40" in said(
        code="usage.version_goes", versions=("TLSv1.0", "TLSv1.1")
    )
    assert "a version that the log does not tell" in said(code="usage.version_untold")
    assert said(service="smtp", port=25).startswith("1 mail server delivers on port 25")
    assert said(service="submission", port=587, people=2).startswith("2 people send mail on")
    assert said(service="sieve", port=4190).startswith("1 person edits mail filters")


@pytest.mark.parametrize(
    "code", ["port_goes", "ports_go", "clear_goes", "version_goes", "version_untold"]
)
def test_what_the_log_does_not_tell_apart_is_said(code: str) -> None:
    sentence = said(code=f"usage.{code}", others=("pop3s",))
    assert "POP3 with TLS" in sentence
    assert "110" in sentence


def test_who_is_connected_while_the_log_is_silent_is_told() -> None:
    live = (LiveSession("pop3", "192.0.2.9"),)
    assert said(people=0, sessions=0, shown=(), live=live) == (
        "The log tells of nobody on port 110, which would close, yet 1 connection is open now."
    )


def test_names_that_clients_ask_for_are_told_in_both_forms() -> None:
    names = (AskedName("xn--bcher-kva.example", 5, 300),)
    for code in ("usage.name_goes", "usage.name_missing"):
        assert "bücher.example" in said(code=code, names=names, sessions=5)


def test_the_list_behind_has_a_line_for_each_and_says_how_many_are_missing() -> None:
    found = Foreseen(
        "usage.port_goes", "pop3", 9, True, 40, (ANNA,),
        live=(LiveSession("pop3", "192.0.2.9"),), names=(AskedName("a.example", 2, 0),),
    )  # fmt: skip
    lines = say_people(found).splitlines()
    assert lines[0] == "anna\t40 times\tlast on 2025-11-04\t192.0.2.7"
    assert lines[1] == "and 8 more, seen earlier"
    assert lines[2].startswith("a.example\t2 times")
    assert lines[3].endswith("192.0.2.9")


def outlook(**values: object) -> Outlook:
    unused = (
        Taking("usage.port_goes", "pop3", 110),
        Taking("usage.port_goes", "pop3s", 995),
        Taking("usage.clear_goes", "imap", 143),
    )
    facts: dict[str, object] = {
        "since": 0, "until": 30 * 86_400, "reaches_to": 0, "sources": ("mail.log",), "lines": 7,
        "findings": (), "unused": unused, "problems": (),
    }  # fmt: skip
    return Outlook(**(facts | values))  # type: ignore[arg-type]


def test_nobody_is_said_with_care() -> None:
    closes, clear = say_unused(outlook())
    assert closes == "Nobody was seen on ports 110 and 995, which would close."
    assert clear == "Nobody was seen without TLS on port 143."
    unread = Problem("usage.log_unreadable", Severity.WARNING, "mail.log.1", {"detail": "x"})
    for sentence in say_unused(outlook(problems=(unread,))):
        assert "not everything could be read" in sentence


def test_it_is_said_where_and_of_which_time_it_was_counted() -> None:
    assert say_source(outlook(reaches_to=86_400)) == (
        "Counted in 7 lines of mail.log, from 1970-01-02 to 1970-01-31."
    )
    assert say_source(outlook(sources=())) == ""


def test_a_log_that_is_too_short_names_the_day() -> None:
    short = Problem("usage.log_short", Severity.WARNING, params={"at": 86_400})
    (row,) = [
        line
        for line in tell_foresight(Foresight(outlook=outlook(problems=(short,)).as_dict()))
        if "reach back" in line
    ]
    assert "1970-01-02" in row


# The command line


def test_scripts_get_the_findings_with_their_sentences(closing: MailServer) -> None:
    shown = foresight_as_dict(make_foresight(closing, make_usage()))
    (found,) = shown["findings"]
    assert found["people"] == 2
    assert found["sentence"].startswith("2 people still read mail on port 110")
    assert shown["error"] is None
    assert shown["problems"] == []
    lines = list(tell_foresight(make_foresight(closing, make_usage())))
    assert any(line.startswith("    anna@example.org\t40 times") for line in lines)
