"""A proven deployment that stays only if it is confirmed: begun, kept, or taken back.

Whoever is killed on the way back leaves ``ending`` behind, so that the next start goes on with it
and nobody can confirm half of a state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from mailadmin.agent.deadline import Clock, Deadline
from mailadmin.agent.faults import attempt, recovery_pending
from mailadmin.agent.host import Host
from mailadmin.agent.host.files import FileState
from mailadmin.agent.host.store import Journal
from mailadmin.agent.host.trial import Trial, digest_of
from mailadmin.agent.protocol import AgentError, ApplyReport, Outcome, Standing
from mailadmin.agent.steps import Steps, Tell, joined
from mailadmin.pki.problems import Problem, Severity

logger = logging.getLogger(__name__)

Undo = Callable[[Journal, Problem, Steps], ApplyReport]

NOT_CONFIRMED = Problem("confirm.expired", Severity.ERROR)
DECLINED = Problem("confirm.declined", Severity.ERROR)


@dataclass(frozen=True, slots=True)
class Trials:
    """The one deployment on trial. Not to be used while an apply is under way."""

    host: Host
    clock: Clock
    undo: Undo

    def begin(self, journal: Journal, seconds: int) -> Deadline:
        """Write down how to take back what the journal is about. Raises :class:`AgentError`."""
        written = {str(file.path): digest_of(FileState.read(file.path)) for file in journal.files}
        deadline = Deadline.after(seconds, self.clock)
        self.host.trial.keep(Trial(journal, seconds, deadline, written))
        return deadline

    def find(self) -> Trial | None:
        """Return the deployment on trial. Raises :class:`AgentError` if it cannot be read."""
        trial = self.host.trial.read()
        if trial is None:
            return None
        known = self.host.store.read_result(trial.deployment_id)
        if known is not None and known.outcome is Outcome.ROLLED_BACK:
            # Whoever took it back was killed before the last deed.
            self.host.trial.drop()
            return None
        is_proven = known is not None and known.outcome is Outcome.SUCCEEDED
        if not is_proven and trial.ending is None and self.host.store.open_journal() is not None:
            # It never came to be on trial; the journal says what is to be done.
            return None
        return trial

    def take_up(self) -> Trial | None:
        """Return the deployment on trial with its time by the clocks of this boot."""
        trial = self.find()
        if trial is None:
            return None
        anchored = replace(trial, deadline=trial.deadline.anchored(self.clock))
        if anchored != trial:
            # Without a place to write the old one still says when.
            attempt(lambda: self.host.trial.keep(anchored))
        return anchored

    def left(self, trial: Trial) -> float:
        """Return the seconds in which it can still be confirmed."""
        return 0.0 if trial.ending else max(0.0, trial.deadline.left(self.clock))

    def make_way(self, steps: Steps) -> None:
        """Let the next apply pass, ending a way back that was cut short.

        Raises :class:`AgentError` while one waits to be confirmed.
        """
        trial = self.find()
        if trial is None:
            return
        if trial.ending is None:
            raise AgentError.because("confirm.awaiting", seconds=round(self.left(trial)))
        with steps.run("recovered"):
            # Not numbered from its own first step: it is this deployment's reader who watches.
            earlier = Steps(steps.tell, first=len(steps.events))
            report = self._take_back(trial, trial.ending, earlier)
            steps.events += earlier.events
            if report.outcome is not Outcome.ROLLED_BACK:
                raise AgentError(recovery_pending(report))

    def confirm(self, deployment_id: str) -> None:
        """Let it stay; said twice it is no mistake. Raises :class:`AgentError` if it cannot."""
        trial = self.find()
        if trial is None:
            known = self.host.store.read_result(deployment_id)
            if known is None:
                raise AgentError.because("confirm.unknown")
            if known.outcome is not Outcome.SUCCEEDED:
                raise AgentError.because("confirm.too_late")
            return
        if trial.deployment_id != deployment_id:
            raise AgentError.because("confirm.another")
        if not self.left(trial):
            raise AgentError.because("confirm.too_late")
        self.host.trial.drop()
        logger.info("confirmed: %s", deployment_id)

    def take_back(self, trial: Trial, reason: Problem, tell: Tell) -> ApplyReport:
        """Make the host what it was before, proven; the report goes on from that of the apply.

        Raises :class:`AgentError` if nothing was done: it waits on.
        """
        known = self.host.store.read_result(trial.deployment_id)
        return self._take_back(trial, reason, Steps(tell, first=len(known.steps) if known else 0))

    def standing(self, deployment_id: str) -> Standing:
        """Return where a deployment stands. Raises :class:`AgentError` if it is not known."""
        trial = self.host.trial.read()
        # Read after the trial: the report is written before the trial is dropped.
        known = self.host.store.read_result(deployment_id)
        is_open = known is None or known.outcome is Outcome.SUCCEEDED
        if trial is not None and trial.deployment_id == deployment_id and is_open:
            left = self.left(trial)
            return Standing(-int(-left // 1), known) if left else Standing(None, None)
        if known is None:
            raise AgentError.because("confirm.unknown")
        return Standing(None, known)

    def _take_back(self, trial: Trial, reason: Problem, steps: Steps) -> ApplyReport:
        reason = trial.ending or reason
        self._note_ending(trial, reason)
        known = self.host.store.read_result(trial.deployment_id)
        self._set_aside(trial, steps)
        report = joined(known, self.undo(trial.journal, reason, steps))
        attempt(lambda: self._note(trial, report))
        return report

    def _note_ending(self, trial: Trial, reason: Problem) -> None:
        """Write down that it ends, before the first file is touched."""
        if trial.ending is not None:
            return
        try:
            self.host.trial.keep(replace(trial, ending=reason))
        except AgentError as error:
            # A deadline that has passed says the same; a full disk must not keep us from it.
            if self.left(trial):
                raise
            logger.warning("not noted: %s %s", error.problem.code, error.problem.subject)

    def _set_aside(self, trial: Trial, steps: Steps) -> None:
        """Keep copies of what was edited by hand since the apply: the old bytes replace it."""

        def copy() -> None:
            for file in trial.edited_since():
                with steps.run("set_aside", str(file.path)) as evidence:
                    evidence["copy"] = self.host.trial.set_aside(trial.deployment_id, file)

        attempt(copy)

    def _note(self, trial: Trial, report: ApplyReport) -> None:
        """Keep the report, and forget the trial if it is over. Raises :class:`AgentError`.

        Without a report the trial stays, and is taken back once more at the next start.
        """
        store = self.host.store
        store.save_result(trial.deployment_id, report)
        if report.outcome is Outcome.ROLLED_BACK:
            self.host.trial.drop()
            attempt(store.end)
            attempt(lambda: store.drop_generation(trial.journal.generation))
