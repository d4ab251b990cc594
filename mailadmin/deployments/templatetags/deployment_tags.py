"""Words about plans, deployments and what ports showed, for every template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from mailadmin.accounts.templatetags.ui import status
from mailadmin.deployments import sentences
from mailadmin.deployments.drift import Upgrade
from mailadmin.deployments.models import Deployment, Drift
from mailadmin.deployments.sentences import brief, coming, foresight, outcomes
from mailadmin.deployments.sentences.drift import say_drift, say_upgrade
from mailadmin.listeners.sentences import address_words, key_words, say_change, say_deed
from mailadmin.mailconf.maillog.foresight import Foreseen
from mailadmin.mailconf.maillog.outlook import Outlook
from mailadmin.mailconf.proof import Seen
from mailadmin.pki.names import both_forms
from mailadmin.pki.problems import Problem

register = template.Library()

_SHORT = 12  # digits of a fingerprint that tell certificates apart at a glance

_EVIDENCE_WORDS = {
    "generation": lambda value: _("generation %(n)d") % {"n": value},
    "freed_ms": lambda value: (
        _("the ports were free after %(time)s") % {"time": outcomes.duration_words(value)}
    ),
    "waited_ms": lambda value: (
        _("answered again after %(time)s") % {"time": outcomes.duration_words(value)}
    ),
    "proof_ms": lambda value: (
        _("%(time)s from the request to the proof") % {"time": outcomes.duration_words(value)}
    ),
    "rounds": lambda value: _("looked %(n)d more times") % {"n": value},
}

_PLAYERS = {"client": _lazy("panel"), "server": _lazy("server"), "tls": _lazy("TLS")}


@register.filter
def problem_words(problem: Problem | Mapping[str, Any]) -> str:
    """Return a problem of any layer as a sentence; a daemon's long words end after one line."""
    return brief.say_briefly(problem)


@register.filter
def daemon_words(problem: Problem | Mapping[str, Any] | None) -> str:
    """Return what the daemon itself said where that is too long for a sentence."""
    return brief.daemon_words(problem) if problem else ""


@register.filter
def retry_stamp(deployment: Deployment) -> str:
    """Return what changes whenever there is news of a way back that is tried again."""
    return outcomes.retry_stamp(deployment)


@register.filter
def say_step(code: str, subject: str = "") -> str:
    """Return a step in words."""
    return sentences.say_step(code, subject)


@register.filter
def say_coming(code: str, subject: str = "") -> str:
    """Return what a step that is not done sets out to do."""
    return coming.say_coming(code, subject)


@register.filter
def evidence_words(pair: tuple[str, int]) -> str:
    """Return one number of a step's evidence in words."""
    name, value = pair
    return _EVIDENCE_WORDS[name](value)


@register.filter
def drift_words(found: Drift) -> str:
    """Return what drifted, in one sentence."""
    return say_drift(found)


@register.filter
def upgrade_words(upgrade: Upgrade) -> str:
    """Return what an upgrade asks for, in one sentence."""
    return say_upgrade(upgrade)


@register.filter
def foreseen_words(found: Foreseen) -> str:
    """Return who would notice what, in one sentence."""
    return foresight.say_foreseen(found)


@register.filter
def people_words(found: Foreseen) -> str:
    """Return the list behind that sentence, a line each."""
    return foresight.say_people(found)


@register.filter
def unused_words(outlook: Outlook) -> list[str]:
    """Return what would go and nobody was seen to use."""
    return foresight.say_unused(outlook)


@register.filter
def source_words(outlook: Outlook) -> str:
    """Return where and of which time it was counted."""
    return foresight.say_source(outlook)


@register.filter
def duration(milliseconds: int | None) -> str:
    """Return a duration as people say it."""
    return outcomes.duration_words(milliseconds)


@register.filter
def seconds_up(milliseconds: int | None) -> int:
    """Return whole seconds, rounded up: a wait of 2.1 s is announced as 3."""
    return -(-(milliseconds or 0) // 1000)


@register.filter
def time_left(deployment: Deployment) -> str:
    """Return how long it can still be confirmed: ``4:12``; ``0:00`` once that is over."""
    minutes, seconds = divmod(_seconds_left(deployment), 60)
    return f"{minutes}:{seconds:02d}"


@register.filter
def seconds_left(deployment: Deployment) -> int:
    """Return the same as a number, for the script that counts down."""
    return _seconds_left(deployment)


@register.filter
def awaiting_stage(deployment: Deployment) -> str:
    """Return which of the strip's sentences is shown, so that it is only sent again when not so."""
    return outcomes.awaiting_stage(deployment)


def _seconds_left(deployment: Deployment) -> int:
    return outcomes.seconds_left(deployment)


@register.simple_tag
def deployment_status(deployment: Deployment) -> SafeString:
    """Draw how a deployment stands."""
    return status(outcomes.status_state(deployment), outcomes.status_words(deployment))


@register.filter
def change_sentences(deployment: Deployment) -> list[str]:
    """Return what a deployment is to change, as sentences; of one that has ended without tense."""
    say = say_deed if deployment.is_finished else say_change
    return [say(change) for change in deployment.changes]


@register.filter
def place(seen: Seen) -> str:
    """Return address and port of a connection."""
    return address_words(seen.address, seen.port)


@register.filter
def host_name_words(name: str) -> str:
    """Return a host name in both forms."""
    return both_forms(name)


@register.filter
def key_name(algorithm: str) -> str:
    """Return a kind of key as people write it; nothing where none was asked for."""
    return key_words(algorithm) if algorithm else ""


@register.filter
def short(fingerprint: str) -> str:
    """Return the start of a fingerprint."""
    return f"{fingerprint[:_SHORT]}…" if len(fingerprint) > _SHORT else fingerprint


@register.filter
def tls_name(version: str) -> str:
    """Return the TLS version as people write it: ``TLS 1.3``."""
    return version.replace("TLSv", "TLS ")


@register.filter
def who_class(who: str) -> str:
    """Return who spoke, as the end of a class name."""
    return who if who in _PLAYERS else "server"


@register.filter
def who_words(who: str) -> str:
    """Return who spoke: the panel, the server, or the TLS layer between them."""
    return str(_PLAYERS.get(who, who))


@register.filter
def diff_lines(lines: Iterable[str]) -> SafeString:
    """Draw the lines of a unified diff, one span each, without the two that name the file."""
    return format_html_join(
        "",
        '<span class="{}">{}</span>',
        ((_line_class(line), f"{line}\n") for line in _without_head(lines)),
    )


@register.filter
def diff_counts(lines: Iterable[str]) -> SafeString:
    """Draw how many lines a diff adds and takes away."""
    rows = _without_head(lines)
    added = sum(line.startswith("+") for line in rows)
    removed = sum(line.startswith("-") for line in rows)
    return format_html(
        '<span class="text-proven">+{}<span class="visually-hidden"> {}</span></span> '
        '<span class="text-broken">-{}<span class="visually-hidden"> {}</span></span>',
        added,
        _("lines added"),
        removed,
        _("lines removed"),
    )


def _without_head(lines: Iterable[str]) -> list[str]:
    """Return the lines after the two that name the file."""
    rows = list(lines)
    has_head = len(rows) > 1 and rows[0].startswith("--- ") and rows[1].startswith("+++ ")
    return rows[2:] if has_head else rows


def _line_class(line: str) -> str:
    if line.startswith("@@"):
        return "hunk"
    return {"+": "add", "-": "del"}.get(line[:1], "same")
