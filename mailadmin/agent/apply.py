"""The script of an apply: stage, check, journal, swap, reload, prove; or put back and prove that.

The order is what keeps mail running, and each line has its reason in a measurement:

* everything that can be known beforehand is checked before anything is written, because a reload
  reports success over a wrong pair, a busy port and an address that is not local;
* the journal is on the disk before the first file changes, so that whoever is killed in between
  leaves behind what is needed to undo it;
* Dovecot goes first and must answer again before Postfix is told: an smtpd that starts while
  Dovecot's auth socket is missing gives up;
* one good handshake proves nothing: for a moment old processes still accept connections.

Host and probe are arguments, so that each order of failures is a unit test.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from mailadmin.agent.deadline import Clock
from mailadmin.agent.drift import Note, make_note
from mailadmin.agent.faults import as_problem, attempt, not_proven, reason_of, recovery_pending
from mailadmin.agent.host import Host
from mailadmin.agent.host.store import Journal
from mailadmin.agent.instances import Instances
from mailadmin.agent.planner import Plan, make_plan, refuse_if_forbidden
from mailadmin.agent.protocol import AgentError, ApplyReport, Outcome
from mailadmin.agent.proving import Prover, find_halted
from mailadmin.agent.steps import Steps, Tell, are_files_back, joined
from mailadmin.agent.trials import Trials
from mailadmin.mailconf import material, proof
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.services import Daemon, TlsMode
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.keys import KeyAlgorithm
from mailadmin.pki.problems import Problem

Probe = Callable[[Sequence[Expectation], bool], list[Seen]]

# Dovecot unlinks and makes anew its sockets at a reload; it took 60 ms here, 420 at the worst.
_DOVECOT_WAIT = 10.0
# An idle smtpd that accepts in the first 5 ms after a reload shows the old certificate, and is
# busy with it for a second: asking a moment later is sooner done.
_POSTFIX_SETTLES = 0.05


@dataclass(slots=True)
class Applier:
    """Applies one state to one host. Not to be used by two threads at once."""

    host: Host
    probe: Probe
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    deadline_clock: Clock = field(default_factory=Clock)

    @property
    def trials(self) -> Trials:
        """Return what is known of a deployment that waits to be confirmed."""
        return Trials(self.host, self.deadline_clock, self.undo)

    def apply(
        self,
        state: DesiredState,
        *,
        digest: str,
        deployment_id: str,
        tell: Tell,
        confirm_within: int | None = None,
    ) -> ApplyReport:
        """Make the host what the state says, proven; or leave it as it was, proven.

        Never raises: how it ended is in the report. With ``confirm_within`` (seconds) it is on
        trial from the proof on: what is needed to take it back is on the disk before we say so.
        """
        started = self.clock()
        steps = Steps(tell)
        try:
            self._end_interrupted(steps)
            self.trials.make_way(steps)
            plan = self._plan(state, digest, steps)
            journal = self._prepare(plan, deployment_id, steps)
        except Exception as error:
            # Nothing of the daemons has been touched; what was staged holds keys and goes.
            self._drop_staged()
            return ApplyReport(Outcome.REFUSED, tuple(steps.events), problem=as_problem(error))
        try:
            seen, proof_ms = self._change(plan, journal, steps, started)
            report = ApplyReport(
                Outcome.SUCCEEDED,
                tuple(steps.events),
                tuple(seen),
                proof_ms=proof_ms,
                generation=journal.generation,
            )
            if confirm_within:
                report = self._begin_trial(journal, report, confirm_within)
            else:
                self._note_success(journal, report)
        except Exception as error:
            # A mistake of our own, too: half a change must not stand until the next start.
            return self._take_back(journal, as_problem(error), steps)
        return report

    def recover(self, tell: Tell, *, is_told: bool = False) -> ApplyReport | None:
        """Undo the apply that a dead agent left half done; None when there is none.

        ``is_told``: the daemons took their old files already, and need not be told once more.
        Raises :class:`AgentError` when the journal cannot be read: then nothing is guessed.
        """
        return self._recover(Steps(tell), is_told=is_told)

    # Before anything changes

    def _end_interrupted(self, steps: Steps) -> None:
        """Finish an earlier rollback that could not be proven: its journal must not be lost."""
        if self.host.store.open_journal() is None:
            return
        with steps.run("recovered"):
            # Its steps are those of the earlier deployment, but this one's reader sees them pass.
            earlier = Steps(steps.tell, first=len(steps.events))
            report = self._recover(earlier)
            steps.events += earlier.events
            if report is not None and report.outcome is Outcome.FAILED:
                raise AgentError(recovery_pending(report))

    def _recover(self, steps: Steps, *, is_told: bool = False) -> ApplyReport | None:
        journal = self.host.store.open_journal()
        if journal is None:
            return None
        known = self.host.store.read_result(journal.deployment_id)
        if known is not None and known.outcome is Outcome.SUCCEEDED:
            attempt(lambda: self.host.store.drop_way_back(journal))
            self.host.store.end()
            return known
        reason = reason_of(known.problem if known else None)
        return self._take_back(told(journal) if is_told else journal, reason, steps)

    def _plan(self, state: DesiredState, digest: str, steps: Steps) -> Plan:
        with steps.run("planned") as evidence:
            plan = make_plan(state, self.host)
            evidence["files"] = [item["name"] for item in plan.report().files]
            refuse_if_forbidden(plan)
            if plan.digest != digest:
                raise AgentError.because("plan.stale", reviewed=digest, now=plan.digest)
        return plan

    def _prepare(self, plan: Plan, deployment_id: str, steps: Steps) -> Journal:
        for problem in find_halted(self.host):
            raise AgentError(problem)
        generation = self.host.store.next_generation()
        with steps.run("staged", str(generation)) as evidence:
            self._stage(plan, generation)
            evidence["generation"] = generation
            evidence["certificates"] = sorted(set(plan.pem_files) - {material.MANIFEST})
        self._check(plan, generation, steps)
        self.host.store.drop_staging()
        journal = Journal(
            deployment_id=deployment_id,
            generation=generation,
            files=plan.found.files,
            live_before=self.host.store.live_before(),
            daemons=tuple(str(daemon) for daemon in plan.changed_daemons),
            is_dovecot_reloaded=plan.needs_dovecot_reload,
            are_instances_changed=plan.are_instances_changed,
            expected_before=(expected := self._expected_before(plan)),
            seen_before=tuple(self._prover(False, steps).look_before(expected, steps)),
        )
        self.host.refuse_if_edited(plan.found)
        self.host.store.begin(journal)
        return journal

    def _stage(self, plan: Plan, generation: int) -> None:
        for public_key_id, key_pem in plan.host_keys.items():
            self.host.store.keep_host_key(public_key_id, key_pem)
        folder = self.host.store.generation_folder(generation)
        sni_source = material.sni_map(plan.postfix_part, str(folder))
        self.host.write_generation(generation, plan.pem_files, sni_source, plan.found.map_type)
        self.host.store.write_note(generation, self._note(plan, generation).as_dict())

    def _note(self, plan: Plan, generation: int) -> Note:
        """Return what this apply leaves on the host, for whoever compares later."""
        return make_note(
            generation,
            plan.postfix_part,
            plan.found.versions,
            plan.rendered.postfix,
            plan.rendered_for_dovecot,
            self.host.store.generation_files(generation),
            plan.manifest,
        )

    def _check(self, plan: Plan, generation: int, steps: Steps) -> None:
        staging = self.host.store.fresh_staging()
        if plan.is_dropin_changed or Daemon.DOVECOT in plan.changed_daemons:
            live, staged = str(self.host.store.live), self.host.store.generation_folder(generation)
            with steps.run("checked", "dovecot"):
                # The parser opens the files; those of this generation are not live yet.
                texts = plan.rendered.dovecot
                dropin = texts.dropin.replace(f"{live}/", f"{staged}/")
                self.host.check_dovecot(replace(texts, dropin=dropin), staging)
        if plan.is_postfix_changed:
            with steps.run("checked", "postfix"):
                self.host.check_postfix(plan.rendered.postfix, staging)
        elif Daemon.POSTFIX in plan.changed_daemons:
            # Somebody may have broken them by hand since the last reload, and then neither ours
            # nor the one that takes it back would work.
            with steps.run("checked", "postfix"):
                self.host.check_postfix_as_it_is()

    def _expected_before(self, plan: Plan) -> tuple[Expectation, ...]:
        """Return where to look before and after a rollback: the ports of both states.

        What is shown to one kind of client, or to those that ask for one host name, says nothing
        about the others. So where pairs come in or go each is asked for, and each name of both
        states, as the proof of an apply does it.
        """
        listeners = (*plan.state.listeners, *plan.open_before)
        ports = [
            Expectation(item.service, item.address, item.port, item.is_enabled, item.tls_mode)
            for item in listeners
        ]
        # Of two that mean one port, what is open now decides how it is spoken to.
        wanted = {item.target: item for item in ports}
        kinds = tuple(map(str, KeyAlgorithm)) if plan.has_pairs else ("",)
        questions = tuple(itertools.product(("", *plan.host_names), kinds))
        return proof.on_fewer_ports(
            [
                replace(item, sni_name=name, key_algorithm=kind)
                for item in wanted.values()
                for name, kind in (questions if item.tls_mode is not TlsMode.NONE else (("", ""),))
            ]
        )

    # The change itself

    def _change(
        self, plan: Plan, journal: Journal, steps: Steps, started: float
    ) -> tuple[list[Seen], int]:
        store = self.host.store
        with steps.run("swapped") as evidence:
            store.keep_way_back(journal)
            # Certificates first: the files about to be put in place name them.
            store.switch_live(store.live_target(journal.generation))
            self.host.put_files(plan.found, plan.rendered)
            evidence["generation"] = journal.generation
        is_reread = False
        if Daemon.DOVECOT in plan.changed_daemons:
            is_reread = self._put_dovecot_into_effect(plan, journal, steps)
        if Daemon.POSTFIX in plan.changed_daemons:
            with steps.run("reloaded", "postfix"):
                self.host.postfix.reload()
                self.sleep(_POSTFIX_SETTLES)
        return self._prover(is_reread, steps).prove(plan.expected, steps, started)

    def _prover(self, is_reread: bool, steps: Steps) -> Prover:
        """Return who looks at the ports; a re-read that shows nothing becomes a reload."""
        fall_back = (lambda: self._reload_dovecot(steps)) if is_reread else None
        return Prover(self.host, self.probe, self.sleep, self.clock, fall_back)

    def _put_dovecot_into_effect(self, plan: Plan, journal: Journal, steps: Steps) -> bool:
        """Tell Dovecot of its new files, or start it where the old ones kept it from starting."""
        if plan.are_instances_changed:
            self.instances(steps).arrange(journal.expected_before)
            return False
        is_running = self.host.running_daemons()[Daemon.DOVECOT]
        can_be_started = plan.found.is_dropin_refused or plan.found.is_front_dead
        if is_running or not can_be_started:
            return self._tell_dovecot(plan.needs_dovecot_reload, steps)
        self._start_again(Daemon.DOVECOT, steps)
        return False

    def instances(self, steps: Steps) -> Instances:
        """Return who makes two instances of Dovecot out of one, and one of two."""
        return Instances(self.host, steps, self.sleep, self.clock, self._wait_for_dovecot)

    def _tell_dovecot(self, is_reload_needed: bool, steps: Steps) -> bool:
        """Put Dovecot's part into effect; returns whether it was by a re-read."""
        if not is_reload_needed and self._reread(steps):
            return True
        self._reload_dovecot(steps)
        return False

    def _reload_dovecot(self, steps: Steps) -> None:
        serving = "dovecot-front" if self.host.dovecot.is_split else "dovecot"
        with steps.run("reloaded", serving) as evidence:
            self.host.dovecot.reload()
            evidence["waited_ms"] = self._wait_for_dovecot()

    def _reread(self, steps: Steps) -> bool:
        try:
            with steps.run("reread", "dovecot"):
                self.host.dovecot.reread()
        except AgentError as error:
            if error.problem.code == "dovecot.reread_refused":
                raise
            return False
        return True

    def _wait_for_dovecot(self) -> int:
        started = self.clock()
        while self.clock() - started < _DOVECOT_WAIT:
            if self.host.dovecot.is_answering():
                return round((self.clock() - started) * 1000)
            self.sleep(0.02)
        raise AgentError.because("dovecot.not_answering", seconds=int(_DOVECOT_WAIT))

    # Taking it back

    def _take_back(self, journal: Journal, reason: Problem, steps: Steps) -> ApplyReport:
        """Undo it, and write down how that ended."""
        # A report of success may be there though keeping it failed; whoever starts after us would
        # believe it, and leave half of what was undone. One of a way back is what is known so far.
        known = self.host.store.read_result(journal.deployment_id)
        if known is None or known.outcome is Outcome.SUCCEEDED:
            attempt(lambda: self.host.store.drop_result(journal.deployment_id))
        report = self.undo(journal, reason, steps)
        if known is not None and known.outcome is Outcome.FAILED:
            report = joined(known, report)
        self._note_failure(journal, report)
        return report

    def undo(self, journal: Journal, reason: Problem, steps: Steps) -> ApplyReport:
        """Put back every file, tell the daemons, and prove that all is as it was.

        Never raises; what is written down stays as it is.
        """
        try:
            with steps.run("restored"):
                self.host.store.undo_files(journal)
            is_reread = self._tell_again(journal, steps)
            seen = self._prover(is_reread, steps).prove_as_before(journal, steps)
        except Exception as error:
            problem = as_problem(error)
            failed = not_proven(reason, problem, is_restored=are_files_back(steps.events))
            return ApplyReport(Outcome.FAILED, tuple(steps.events), problem=failed)
        return ApplyReport(Outcome.ROLLED_BACK, tuple(steps.events), tuple(seen), problem=reason)

    def _tell_again(self, journal: Journal, steps: Steps) -> bool:
        """Tell the daemons about their old files, and start whichever died, touched or not.

        Returns whether Dovecot's part was a re-read. Raises :class:`AgentError` with the first
        fault, after each was told: what one does not take must not keep the other from it.
        """
        is_reread, faults = False, list[AgentError]()
        for daemon in (Daemon.DOVECOT, Daemon.POSTFIX):
            try:
                is_reread |= self._tell_one_again(daemon, journal, steps)
            except AgentError as error:
                faults.append(error)
        if faults:
            raise faults[0]
        return is_reread

    def _tell_one_again(self, daemon: Daemon, journal: Journal, steps: Steps) -> bool:
        is_rearranged = daemon is Daemon.DOVECOT and journal.are_instances_changed
        if not is_rearranged and not self.host.running_daemons()[daemon]:
            self._start_again(daemon, steps)
            return False
        if not is_rearranged and str(daemon) not in journal.daemons:
            return False
        # One that is halted would take nothing, and its own tools wait for it.
        for problem in find_halted(self.host):
            if problem.subject == str(daemon):
                raise AgentError(problem)
        if is_rearranged:
            self.instances(steps).arrange(journal.expected_before)
        elif daemon is Daemon.DOVECOT:
            return self._tell_dovecot(journal.is_dovecot_reloaded, steps)
        else:
            with steps.run("reloaded", "postfix"):
                self.host.postfix.reload()
        return False

    def _start_again(self, daemon: Daemon, steps: Steps) -> None:
        with steps.run("reloaded", str(daemon)) as evidence:
            evidence["started"] = self.host.start_if_dead(daemon)
            if daemon is Daemon.DOVECOT:
                self._wait_for_dovecot()

    # Writing down how it ended

    def _note_success(self, journal: Journal, report: ApplyReport) -> None:
        """Keep the report and forget the journal. Raises :class:`AgentError` if neither works.

        Either alone is enough for the next start to leave the proven state alone. The report goes
        first: whoever is killed in between finds a proven state.
        """
        store = self.host.store
        unsaved = attempt(lambda: store.save_result(journal.deployment_id, report))
        if unsaved is None:
            # While the journal still tells whose it is.
            attempt(lambda: store.drop_way_back(journal))
        unended = attempt(store.end)
        if unsaved and unended:
            raise AgentError(unsaved)
        attempt(lambda: store.drop_way_back(journal))
        attempt(store.prune)

    def _begin_trial(self, journal: Journal, report: ApplyReport, seconds: int) -> ApplyReport:
        """Write down how to take it back, then that it is proven. Raises :class:`AgentError`.

        In this order whoever is killed finds one of: a journal without a report, which is undone;
        or all of the trial. The journal that is left beside a report is merely forgotten.
        """
        deadline = self.trials.begin(journal, seconds)
        report = replace(report, confirm_by=deadline.shown)
        self.host.store.save_result(journal.deployment_id, report)
        attempt(lambda: self.host.store.drop_way_back(journal))
        attempt(self.host.store.end)
        attempt(self.host.store.prune)
        return report

    def _note_failure(self, journal: Journal, report: ApplyReport) -> None:
        """Keep the report; an unproven rollback keeps its journal for the next try as well."""
        store = self.host.store
        attempt(lambda: store.save_result(journal.deployment_id, report))
        if report.outcome is Outcome.ROLLED_BACK:
            attempt(self.host.trial.drop)
            attempt(store.end)
            attempt(lambda: store.drop_generation(journal.generation))

    def _drop_staged(self) -> None:
        attempt(self.host.store.drop_staging)
        attempt(self.host.store.drop_unused)


def told(journal: Journal) -> Journal:
    """Return a journal by which only a daemon that died is started, and none reloaded."""
    return replace(journal, daemons=(), are_instances_changed=False)
