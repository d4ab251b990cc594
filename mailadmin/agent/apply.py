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

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mailadmin.agent.host import Host
from mailadmin.agent.host.store import Journal
from mailadmin.agent.planner import Plan, make_plan, refuse_if_forbidden
from mailadmin.agent.protocol import AgentError, ApplyReport, Outcome
from mailadmin.agent.proving import Prover
from mailadmin.agent.steps import Steps, Tell
from mailadmin.mailconf import material, proof
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.services import Daemon
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Problem, Severity

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

    def apply(
        self, state: DesiredState, *, digest: str, deployment_id: str, tell: Tell
    ) -> ApplyReport:
        """Make the host what the state says, proven; or leave it as it was, proven.

        Never raises :class:`AgentError`: how it ended is in the report.
        """
        started = self.clock()
        steps = Steps(tell)
        try:
            self._end_interrupted(steps)
            plan = self._plan(state, digest, steps)
            journal = self._prepare(plan, deployment_id, steps)
        except AgentError as error:
            # Nothing of the daemons has been touched; what was staged holds keys and goes.
            self.host.store.drop_unused()
            return ApplyReport(Outcome.REFUSED, tuple(steps.events), problem=error.problem)
        try:
            seen, proof_ms = self._change(plan, journal.generation, steps, started)
        except AgentError as error:
            return self._take_back(journal, error.problem, steps)
        report = ApplyReport(
            Outcome.SUCCEEDED,
            tuple(steps.events),
            tuple(seen),
            proof_ms=proof_ms,
            generation=journal.generation,
        )
        # The result first: whoever is killed between the two lines finds a proven state.
        self.host.store.save_result(deployment_id, report)
        self.host.store.end()
        self.host.store.prune()
        return report

    def recover(self, tell: Tell) -> ApplyReport | None:
        """Undo the apply that a dead agent left half done; None when there is none.

        Raises :class:`AgentError` when the journal cannot be read: then nothing is guessed.
        """
        journal = self.host.store.open_journal()
        if journal is None:
            return None
        known = self.host.store.read_result(journal.deployment_id)
        if known is not None and known.outcome is Outcome.SUCCEEDED:
            self.host.store.end()
            return known
        problem = Problem("agent.interrupted", Severity.ERROR)
        return self._take_back(journal, problem, Steps(tell))

    # Before anything changes

    def _end_interrupted(self, steps: Steps) -> None:
        """Finish an earlier rollback that could not be proven: its journal must not be lost."""
        if self.host.store.open_journal() is None:
            return
        with steps.run("recovered"):
            report = self.recover(steps.tell)
            if report is not None and report.outcome is Outcome.FAILED:
                raise AgentError.because("agent.recovery_pending")

    def _plan(self, state: DesiredState, digest: str, steps: Steps) -> Plan:
        with steps.run("planned") as evidence:
            plan = make_plan(state, self.host)
            evidence["files"] = [item["name"] for item in plan.report().files]
            refuse_if_forbidden(plan)
            if plan.digest != digest:
                raise AgentError.because("plan.stale", reviewed=digest, now=plan.digest)
        return plan

    def _prepare(self, plan: Plan, deployment_id: str, steps: Steps) -> Journal:
        generation = self.host.store.next_generation()
        with steps.run("staged", str(generation)) as evidence:
            self._stage(plan, generation)
            evidence["generation"] = generation
            evidence["certificates"] = sorted(set(plan.pem_files) - {material.MANIFEST})
        self._check(plan, generation, steps)
        journal = Journal(
            deployment_id=deployment_id,
            generation=generation,
            files=(plan.found.dropin, plan.found.main_cf, plan.found.master_cf),
            live_before=self.host.store.live_before(),
            daemons=tuple(str(daemon) for daemon in plan.changed_daemons),
            expected_before=(expected := self._expected_before(plan)),
            seen_before=tuple(self.probe(expected, False)),
        )
        self.host.store.begin(journal)
        return journal

    def _stage(self, plan: Plan, generation: int) -> None:
        for public_key_id, key_pem in plan.host_keys.items():
            self.host.store.keep_host_key(public_key_id, key_pem)
        folder = self.host.store.generation_folder(generation)
        sni_source = material.sni_map(plan.state, str(folder))
        self.host.write_generation(generation, plan.pem_files, sni_source, plan.found.map_type)

    def _check(self, plan: Plan, generation: int, steps: Steps) -> None:
        staging = self.host.store.fresh_staging()
        if plan.is_dropin_changed or Daemon.DOVECOT in plan.changed_daemons:
            live, staged = str(self.host.store.live), self.host.store.generation_folder(generation)
            with steps.run("checked", "dovecot"):
                # The parser opens the files; those of this generation are not live yet.
                dropin = plan.rendered.dropin.replace(f"{live}/", f"{staged}/")
                self.host.check_dovecot(dropin, staging)
        if plan.is_postfix_changed:
            with steps.run("checked", "postfix"):
                self.host.check_postfix(plan.rendered.postfix, staging)

    def _expected_before(self, plan: Plan) -> tuple[Expectation, ...]:
        """Return where to look before and after a rollback: the ports of both states."""
        wanted = {item.target: item for item in proof.expectations(plan.state)}
        now = [item for item in self.host.read_listeners(plan.found) if item.is_enabled]
        for item in now:
            looked_at = Expectation(item.service, item.address, item.port, True, item.tls_mode)
            wanted[looked_at.target] = looked_at
        return tuple(wanted.values())

    # The change itself

    def _change(
        self, plan: Plan, generation: int, steps: Steps, started: float
    ) -> tuple[list[Seen], int]:
        store = self.host.store
        with steps.run("swapped") as evidence:
            # Certificates first: the files about to be put in place name them.
            store.switch_live(store.live_target(generation))
            self.host.put_files(plan.found, plan.rendered)
            evidence["generation"] = generation
        is_reread = False
        if Daemon.DOVECOT in plan.changed_daemons:
            is_reread = self._tell_dovecot(plan, steps)
        if Daemon.POSTFIX in plan.changed_daemons:
            with steps.run("reloaded", "postfix"):
                self.host.postfix.reload()
                self.sleep(_POSTFIX_SETTLES)
        prover = Prover(self.host, self.probe, self.sleep, self.clock)
        expected = proof.expectations(plan.state)
        return prover.prove(
            expected, steps, started, fall_back=self.host.dovecot.reload if is_reread else None
        )

    def _tell_dovecot(self, plan: Plan, steps: Steps) -> bool:
        """Put Dovecot's part into effect; returns whether it was by a re-read."""
        if not plan.needs_dovecot_reload and self._reread(steps):
            return True
        with steps.run("reloaded", "dovecot") as evidence:
            self.host.dovecot.reload()
            evidence["waited_ms"] = self._wait_for_dovecot()
        return False

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
            if self.host.dovecot.is_running() and self.host.dovecot.is_answering():
                return round((self.clock() - started) * 1000)
            self.sleep(0.02)
        raise AgentError.because("dovecot.not_answering", seconds=int(_DOVECOT_WAIT))

    # Taking it back

    def _take_back(self, journal: Journal, reason: Problem, steps: Steps) -> ApplyReport:
        """Put back every file, tell the daemons, and prove that all is as it was."""
        try:
            with steps.run("restored"):
                self.host.store.undo_files(journal)
            self._tell_again(journal, steps)
            prover = Prover(self.host, self.probe, self.sleep, self.clock)
            seen = prover.prove_as_before(journal, steps)
        except AgentError as error:
            about = {"reason": reason.code, "problem": error.problem.code}
            failed = Problem("rollback.not_proven", Severity.ERROR, error.problem.subject, about)
            report = ApplyReport(Outcome.FAILED, tuple(steps.events), problem=failed)
        else:
            report = ApplyReport(
                Outcome.ROLLED_BACK, tuple(steps.events), tuple(seen), problem=reason
            )
        self.host.store.save_result(journal.deployment_id, report)
        if report.outcome is Outcome.ROLLED_BACK:
            # An unproven rollback keeps its journal: the next start of the agent tries again.
            self.host.store.end()
            self.host.store.drop_generation(journal.generation)
        return report

    def _tell_again(self, journal: Journal, steps: Steps) -> None:
        for daemon in (Daemon.DOVECOT, Daemon.POSTFIX):
            if str(daemon) not in journal.daemons:
                continue
            with steps.run("reloaded", str(daemon)) as evidence:
                if self.host.start_if_dead(daemon):
                    evidence["started"] = True
                elif daemon is Daemon.DOVECOT:
                    self.host.dovecot.reload()
                else:
                    self.host.postfix.reload()
                if daemon is Daemon.DOVECOT:
                    self._wait_for_dovecot()
