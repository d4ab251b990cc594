"""How a deployment ended, in one large sentence, with what stands now and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from mailadmin.deployments.models import Deployment
from mailadmin.deployments.sentences.brief import say_briefly
from mailadmin.mailconf.state import DesiredState

Status = Deployment.Status

STATUS_WORDS: dict[str, Promise] = {
    Status.QUEUED: _("waiting"),
    Status.RUNNING: _("running"),
    Status.SUCCEEDED: _("proven"),
    Status.ROLLED_BACK: _("taken back"),
    Status.FAILED: _("failed"),
}
STATUS_STATES: dict[str, str] = {
    Status.QUEUED: "pending",
    Status.RUNNING: "pending",
    Status.SUCCEEDED: "proven",
    Status.ROLLED_BACK: "attention",
    Status.FAILED: "broken",
}
# Where the agent never got as far as touching anything.
_UNTOUCHED = _("The mail server is as it was: none of its files was touched.")
_BACK = _(
    "Every file is what it was before, byte for byte, and every port shows what it showed before. "
    "Your changes are still pending: put right what the reason says, then review and apply again."
)
_BACK_UNCONFIRMED = _(
    "Every file is what it was before, byte for byte, and every port shows what it showed before. "
    "Your changes are pending again: if you still want them, review and apply again."
)
_ON_TRIAL = _(
    "It is in effect now. The mail server takes it back by itself, whatever happens to the panel, "
    "unless it is confirmed by then. Look whether everything works for you, then keep it."
)
_BACK_SWAP = _(
    "Every file is what it was before, byte for byte, and every port shows what it showed before: "
    "the old certificate is served, and is still the one that is wanted. What else is pending was "
    "not part of this and is pending still."
)
_UNKNOWN = _(
    "Whether mail runs as before is not proven. Look at the overview now, and check that Postfix "
    "and Dovecot run. The agent tries again to put everything back when it is restarted."
)
_TRIED_AGAIN = _(
    "%(files)s Whether mail runs as before is not proven. Look at the overview now, and check that "
    "Postfix and Dovecot run. The agent tries again by itself to put everything back and to prove "
    "it, and starts whichever daemon does not run: %(when)s."
)
_RESTORED = _("The files are what they were before, byte for byte.")
_NOT_RESTORED = _("Not every file could be put back yet.")
_LOST = _(
    "The panel lost sight of the apply. The agent either ends it or takes it back by itself. "
    "Look at the overview now; when the agent answers again, review and apply once more."
)
_FORGOTTEN = _(
    "Nobody takes it back any more. It was proven when it was applied and is probably still in "
    "effect; nothing is pending. Look at the overview, which says what every port shows now. To go "
    "back, restore an earlier state; to be sure of this one, apply any change."
)
_UNCONFIRMED = frozenset({"confirm.expired", "confirm.declined"})
_LOST_CODES = frozenset({"agent.unreachable", "agent.hung_up", "agent.silent", "agent.broken"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """The sentence, the colour, and what follows from it."""

    state: str
    sentence: str
    stands: str = ""


def status_words(deployment: Deployment) -> str:
    """Return how a deployment stands in one or two words."""
    if deployment.is_awaiting:
        return _now("awaiting confirmation")
    return str(STATUS_WORDS.get(deployment.status, deployment.status))


def status_state(deployment: Deployment) -> str:
    """Return the colour of it."""
    if deployment.is_awaiting:
        return "attention"
    return STATUS_STATES.get(deployment.status, "unknown")


def say_outcome(deployment: Deployment, *, is_changed: bool) -> Outcome:
    """Return how it ended.

    ``is_changed``: whether the agent got as far as changing files (the step ``swapped``).
    """
    if deployment.is_awaiting:
        return Outcome("pending", _say_awaiting(deployment), str(_ON_TRIAL))
    if deployment.status == Status.SUCCEEDED:
        return Outcome("proven", _say_proven(deployment))
    if deployment.status == Status.ROLLED_BACK:
        said = _now("Taken back: %(reason)s Mail runs as before (proven).")
        back = _BACK_SWAP if deployment.kind == Deployment.Kind.SWAP else _BACK
        if (deployment.failure or {}).get("code") in _UNCONFIRMED:
            back = _BACK_UNCONFIRMED
        return Outcome("attention", said % {"reason": _reason(deployment)}, str(back))
    if deployment.status == Status.FAILED:
        return _say_failed(deployment, is_changed=is_changed)
    if deployment.status == Status.RUNNING:
        return Outcome("pending", _now("Under way."))
    return Outcome("pending", _now("Waiting for a worker to take it."))


def _say_proven(deployment: Deployment) -> str:
    if deployment.kind == Deployment.Kind.BASELINE:
        return _now("Taken over as it was found. Nothing on the mail server was changed.")
    count = len(DesiredState.from_dict(deployment.state).enabled_listeners)
    if deployment.proof_ms is None:
        said = ngettext("Proven on %(n)d listener.", "Proven on %(n)d listeners.", count)
        return said % {"n": count}
    said = ngettext(
        "Proven on %(n)d listener in %(time)s.", "Proven on %(n)d listeners in %(time)s.", count
    )
    return said % {"n": count, "time": duration_words(deployment.proof_ms)}


def seconds_left(deployment: Deployment) -> int:
    """Return how many seconds are left to confirm it."""
    if deployment.confirm_by is None:
        return 0
    return max(0, round((deployment.confirm_by - timezone.now()).total_seconds()))


def awaiting_stage(deployment: Deployment) -> str:
    """Return what is going on: nobody has decided yet, somebody has, or the time is over."""
    return deployment.decision or ("open" if seconds_left(deployment) else "over")


def _say_awaiting(deployment: Deployment) -> str:
    said = _now("%(proven)s It is taken back at %(time)s UTC unless you confirm.")
    until = deployment.confirm_by
    return said % {
        "proven": _say_proven(deployment),
        "time": until.astimezone(UTC).strftime("%H:%M:%S") if until else "",
    }


def _say_failed(deployment: Deployment, *, is_changed: bool) -> Outcome:
    said = {"reason": _reason(deployment)}
    code = (deployment.failure or {}).get("code", "")
    if code == "rollback.not_proven":
        is_restored = (deployment.failure or {}).get("params", {}).get("restored")
        files = str(_RESTORED if is_restored else _NOT_RESTORED)
        stands = str(_TRIED_AGAIN) % {"files": files, "when": _say_retry(deployment)}
        return Outcome("broken", _now("Failed: %(reason)s") % said, stands)
    if code == "confirm.unknown":
        return Outcome("broken", _now("Not known: %(reason)s") % said, str(_FORGOTTEN))
    if code in _LOST_CODES:
        return Outcome("broken", _now("Failed: %(reason)s") % said, str(_LOST))
    if is_changed:
        return Outcome("broken", _now("Failed: %(reason)s") % said, str(_UNKNOWN))
    return Outcome("broken", _now("Not applied: %(reason)s") % said, str(_UNTOUCHED))


def retry_stamp(deployment: Deployment) -> str:
    """Return what changes whenever there is news of a way back that is tried again."""
    at = deployment.retry_at
    told = (deployment.failure or {}).get("params", {})
    return f"unproven-{at.timestamp() if at else 0:.0f}-{told.get('problem', '')}"


def _say_retry(deployment: Deployment) -> str:
    if deployment.retry_at is None:
        return _now("ever more seldom, and whenever it is started")
    at = deployment.retry_at.astimezone(UTC).strftime("%H:%M:%S")
    return _now("next at %(time)s UTC") % {"time": at}


def _reason(deployment: Deployment) -> str:
    if not deployment.failure:
        return _now("no reason was told.")
    return say_briefly(deployment.failure)


def duration_words(milliseconds: int | None) -> str:
    """Return a duration as people say it: ``45 ms``, ``0.8 s``, ``12 s``."""
    if milliseconds is None:
        return ""
    if milliseconds < 100:
        return _now("%(n)d ms") % {"n": milliseconds}
    seconds = milliseconds / 1000
    if seconds < 10:
        return _now("%(n).1f s") % {"n": seconds}
    return _now("%(n)d s") % {"n": round(seconds)}
