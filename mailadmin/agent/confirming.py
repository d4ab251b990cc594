"""Keep the time of the deployment that waits to be confirmed; nothing of the panel is needed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from mailadmin.agent.host.trial import Trial
from mailadmin.agent.protocol import AgentError, ApplyReport, Outcome, Standing, StepEvent
from mailadmin.agent.steps import Tell
from mailadmin.agent.trials import DECLINED, NOT_CONFIRMED, Trials
from mailadmin.pki.problems import Problem

logger = logging.getLogger(__name__)

# A wait by the monotonic clock stands still while the machine sleeps; the deadline does not.
_LOOK_AGAIN = 1.0
_AFTER_A_FAULT = 30.0


class Confirming:
    """The timer of the agent, and what can be asked about the deployment that waits.

    ``applying`` is held while anything of the daemons changes. ``keep_distance`` waits until the
    last reload is far enough away; ``forget_job`` is told which deployment is answered for from
    the disk from now on, ``note_change`` is called when the daemons have been changed, and
    ``follow_up`` is told how it was taken back.
    """

    def __init__(
        self,
        *,
        trials: Callable[[], Trials],
        applying: threading.Lock,
        keep_distance: Callable[[Tell], None],
        forget_job: Callable[[str], None],
        note_change: Callable[[], None],
        follow_up: Callable[[str, ApplyReport], None],
    ) -> None:
        self._trials = trials
        self._applying = applying
        self._keep_distance = keep_distance
        self._forget_job = forget_job
        self._note_change = note_change
        self._follow_up = follow_up
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._is_changed = False

    def take_up(self) -> None:
        """Go on where a dead agent stopped, before anything is answered. Raises AgentError.

        What ran out meanwhile, or was being taken back, is taken back now.
        """
        trial = self._trials().take_up()
        if trial is None:
            return
        if self._trials().left(trial):
            self.keep_time()
        else:
            self._take_back(trial, NOT_CONFIRMED, _log_step)

    def keep_time(self) -> None:
        """Watch the deadline from now on, and no longer an earlier one that is taken back."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, daemon=True)
                self._thread.start()
            else:
                self._wake()

    def stop(self) -> None:
        """Watch no longer: the agent ends, and the next one takes it up."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()

    def confirm(self, deployment_id: str) -> None:
        """Let it stay. Raises :class:`AgentError` if it cannot."""
        with self._applying:
            self._trials().confirm(deployment_id)
        with self._changed:
            self._wake()

    def take_back(self, deployment_id: str, tell: Tell) -> ApplyReport:
        """Take it back at once, or say how that went. Raises :class:`AgentError`."""
        with self._applying:
            trial = self._trials().find()
            if trial is None:
                return self._report_of(deployment_id)
            if trial.deployment_id != deployment_id:
                raise AgentError.because("confirm.another")
            self._keep_distance(_silent)
            return self._take_back(trial, DECLINED, tell)

    def standing(self, deployment_id: str) -> Standing:
        """Return where it stands. Raises :class:`AgentError` if nobody knows it."""
        return self._trials().standing(deployment_id)

    def _report_of(self, deployment_id: str) -> ApplyReport:
        report = self._trials().standing(deployment_id).report
        if report is None or report.outcome is Outcome.SUCCEEDED:
            raise AgentError.because("confirm.kept")
        return report

    def _wake(self) -> None:
        """Let whoever watches look again; to be called with ``_changed`` held."""
        self._is_changed = True
        self._changed.notify_all()

    def _watch(self) -> None:
        """Wait for the deadline; ends when nothing waits any more."""
        while (moment := self._look()) is not None:
            self._wait_until(moment)

    def _look(self) -> float | None:
        """Take back what ran out; returns when to look again (since boot), None: never."""
        with self._applying:
            moment: float | None = None
            try:
                moment = self._end_if_due()
            except Exception:
                # An unreadable disk may be readable again, and the deadline is still ours to keep.
                moment = self._since_boot() + _AFTER_A_FAULT
                logger.exception("the deployment that waits to be confirmed")
            if moment is None:
                with self._changed:
                    self._thread = None
            return moment

    def _end_if_due(self) -> float | None:
        trials = self._trials()
        trial = None if self._is_stopping else trials.find()
        # One that could not be taken back with proof is for ``Recovering``, as with the journal.
        if trial is None or trial.ending is not None:
            return None
        # Read first: what passes from here on counts, were it hours of sleep.
        now = self._since_boot()
        left = trials.left(trial)
        if left:
            return now + left
        self._take_back(trial, NOT_CONFIRMED, _log_step)
        return None

    def _wait_until(self, moment: float) -> None:
        """Wait by the clock that goes on while the machine sleeps, or until a change."""
        with self._changed:
            while not self._is_stopping and not self._is_changed:
                left = moment - self._since_boot()
                if left <= 0:
                    break
                self._changed.wait(min(left, _LOOK_AGAIN))
            self._is_changed = False

    def _since_boot(self) -> float:
        return self._trials().clock.since_boot()

    def _take_back(self, trial: Trial, reason: Problem, tell: Tell) -> ApplyReport:
        why = replace(reason, params={"minutes": max(1, round(trial.seconds / 60))})
        # Before, not after: it would be told that it stands while the disk says the opposite.
        self._forget_job(trial.deployment_id)
        report = self._trials().take_back(trial, why, tell)
        self._note_change()
        self._follow_up(trial.deployment_id, report)
        logger.warning("%s: %s is taken back: %s", reason.code, trial.deployment_id, report.outcome)
        return report


def _log_step(event: StepEvent) -> None:
    logger.info("%s %s %s", event.code, event.subject, event.status)


def _silent(_: StepEvent) -> None:
    """Whoever asked knows that applies are kept apart; its number would be one of the apply's."""
