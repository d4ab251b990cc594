"""Try a way back that could not be proven again, without being asked, ever more seldom.

The files are the old ones by then; what is missing is a daemon that takes them: one that hangs,
was halted, or cannot be started yet. Whoever puts that right need not tell us.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from mailadmin.agent.apply import Applier, told
from mailadmin.agent.faults import as_problem, attempt, not_proven, reason_of
from mailadmin.agent.host.files import FileState
from mailadmin.agent.host.store import Journal
from mailadmin.agent.protocol import ApplyReport, Outcome, StepEvent
from mailadmin.agent.steps import Tell
from mailadmin.pki.problems import Problem

logger = logging.getLogger(__name__)

# Seconds; the last goes on. A try may be a reload, which a host should not get too often.
_PAUSES = (15.0, 30.0, 60.0, 120.0, 300.0, 900.0)


class Recovering:
    """The timer for what could not be taken back with proof.

    ``applying`` is held while anything of the daemons changes. ``keep_distance`` waits until the
    last reload is far enough away; ``forget_job`` is told which deployment is answered for from
    the disk from now on, and ``note_change`` is called when the daemons have been told.
    """

    def __init__(
        self,
        *,
        applier: Callable[[], Applier],
        applying: threading.Lock,
        keep_distance: Callable[[Tell], None],
        forget_job: Callable[[str], None],
        note_change: Callable[[], None],
    ) -> None:
        self._applier = applier
        self._applying = applying
        self._keep_distance = keep_distance
        self._forget_job = forget_job
        self._note_change = note_change
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._deployment_id = ""
        self._tries = 0
        self._due = 0.0

    def keep_trying(self, deployment_id: str) -> None:
        """Try this one again from now on, until it is proven or somebody else ended it."""
        with self._changed:
            self._deployment_id = deployment_id
            self._tries = 0
            self._due = time.monotonic() + _PAUSES[0]
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Try no longer: the agent ends, and the next one begins with a try."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()

    def next_in(self, deployment_id: str) -> int | None:
        """Return in how many seconds it is tried next (0: now); None: it is not."""
        with self._changed:
            if self._thread is None or deployment_id != self._deployment_id:
                return None
            return max(0, round(self._due - time.monotonic()))

    def _watch(self) -> None:
        while self._wait() and self._try():
            pass

    def _wait(self) -> bool:
        """Wait until it is time; returns whether it is, and not the end."""
        with self._changed:
            while not self._is_stopping:
                left = self._due - time.monotonic()
                if left <= 0:
                    return True
                self._changed.wait(left)
            return False

    def _try(self) -> bool:
        """Try it; returns whether to go on. Whoever applies meanwhile waits, or we for them."""
        with self._applying:
            is_open = not self._is_stopping and self._is_left_unproven()
            with self._changed:
                if not is_open:
                    self._thread = None
                    return False
                self._tries += 1
                self._due = time.monotonic() + _PAUSES[min(self._tries, len(_PAUSES) - 1)]
            return True

    def _is_left_unproven(self) -> bool:
        self._keep_distance(lambda _: None)
        self._forget_job(self._deployment_id)
        try:
            report = try_again(self._applier(), _log_step)
        except Exception as error:
            # An unreadable disk may be readable again.
            problem = as_problem(error)
            logger.warning("not tried again: %s %s", problem.code, problem.subject)
            return True
        if report is None:
            return False
        self._note_change()
        logger.warning("tried again: %s: %s", self._deployment_id, report.outcome)
        return report.outcome is Outcome.FAILED


def try_again(applier: Applier, tell: Tell) -> ApplyReport | None:
    """Undo once more what could not be undone with proof; None when there is nothing.

    What was put back and differs now was edited since: somebody is at work by hand, and an edit is
    never taken away by itself. Raises :class:`AgentError` when the journal cannot be read.
    """
    store = applier.host.store
    trial = applier.trials.find()
    is_ending = trial is not None and trial.ending is not None
    journal = trial.journal if trial is not None and is_ending else store.open_journal()
    if journal is None:
        return None
    known = store.read_result(journal.deployment_id)
    edited = _find_edited(journal, known)
    if known is not None and edited:
        report = replace(known, problem=_say_edited(known, edited))
        if report != known:
            attempt(lambda: store.save_result(journal.deployment_id, report))
        return report
    # Each reload costs somebody something: one that was taken needs no second.
    is_told = _is_told(known)
    if trial is not None and trial.ending is not None:
        again = replace(trial, journal=told(journal)) if is_told else trial
        return applier.trials.take_back(again, trial.ending, tell)
    return applier.recover(tell, is_told=is_told)


def _is_told(known: ApplyReport | None) -> bool:
    """Tell whether all was put back and told, and only what the ports show is not as before."""
    if known is None or known.problem is None:
        return False
    about = known.problem.params
    return bool(about.get("restored")) and str(about.get("problem", "")).startswith("probe.")


def _find_edited(journal: Journal, known: ApplyReport | None) -> str:
    """Return a file that is not what it was put back to be, if they were all put back."""
    if known is None or known.problem is None or not known.problem.params.get("restored"):
        return ""
    was = (file for file in journal.files if FileState.read(file.path).content != file.content)
    return str(next((file.path for file in was), ""))


def _say_edited(known: ApplyReport, path: str) -> Problem:
    edited = Problem("rollback.edited", subject=path)
    return not_proven(reason_of(known.problem), edited, is_restored=True)


def _log_step(event: StepEvent) -> None:
    logger.info("%s %s %s", event.code, event.subject, event.status)
