"""What of an applied host is no longer as it was applied, and what a plan makes of that."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from mailadmin.agent.drift import check
from mailadmin.agent.planner import Plan, make_plan
from mailadmin.agent.protocol import CheckReport, Outcome, Piece, PieceStatus
from mailadmin.mailconf.services import Daemon
from mailadmin.mailconf.state import DesiredState
from tests.states import make_material, with_default, with_listener, with_name, with_open
from tests.unit.agent.machine import ADDRESS, Machine

NAME = "imap.example.test"
DROPIN = "99-mailadmin.conf"
FILES = {"default.pem", f"sni-{NAME}.pem", "sni.map", "sni.map.db"}


@pytest.fixture
def state(machine: Machine) -> DesiredState:
    """An applied state with every service open and a certificate for a host name."""
    wanted = with_default(machine.state_now(), make_material("first").certificate)
    wanted = with_name(wanted, NAME, make_material("named", (NAME,)).certificate)
    wanted = with_open(wanted, *(item.service for item in wanted.listeners))
    assert machine.apply(wanted, "first").outcome is Outcome.SUCCEEDED
    return wanted


def drifted(machine: Machine) -> dict[str, Piece]:
    return {item.name: item for item in check(machine.host).drifted}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def swap(path: Path, content: str) -> None:
    """Put another file in its place by rename, as a program that renews certificates does."""
    fresh = path.with_name("fresh")
    fresh.write_text(content)
    fresh.chmod(0o600)
    fresh.rename(path)


def live(machine: Machine, name: str) -> Path:
    return machine.host.store.live / name


def overwritten(plan: Plan) -> set[str]:
    return {item.subject for item in plan.problems if item.code == "drift.overwritten"}


def test_nothing_is_known_before_the_first_apply(machine: Machine) -> None:
    report = check(machine.host)
    assert (report.is_noted, report.pieces, report.versions_applied) == (False, (), {})
    assert report.versions == {"postfix": "3.7.11", "dovecot": "2.3.19.1"}


def test_everything_is_as_applied_right_after_an_apply(
    machine: Machine, state: DesiredState
) -> None:
    report = check(machine.host)
    assert report.is_noted
    assert {item.name for item in report.pieces} == {"main.cf", "master.cf", DROPIN, *FILES}
    assert {item.status for item in report.pieces} == {PieceStatus.AS_APPLIED}
    assert report.versions == report.versions_applied
    assert not report.listeners
    assert CheckReport.from_dict(json.loads(json.dumps(report.as_dict()))) == report


def test_a_foreign_parameter_a_comment_and_a_foreign_service_are_no_drift(
    machine: Machine, state: DesiredState
) -> None:
    edit(machine.main_cf, "# written by hand\n", "# another comment\nmessage_size_limit = 1\n")
    edit(machine.master_cf, "cleanup unix", "2525 inet n - n - - smtpd\ncleanup unix")
    assert drifted(machine) == {}
    assert overwritten(make_plan(state, machine.host)) == set()


@pytest.mark.parametrize("is_behind", [False, True])
def test_a_parameter_of_ours_is_drift_wherever_it_stands(
    machine: Machine, state: DesiredState, is_behind: bool
) -> None:
    line = "smtpd_tls_auth_only = no\n"
    text = machine.main_cf.read_text()
    machine.main_cf.write_text(text + line if is_behind else line + text)
    piece = drifted(machine)["main.cf"]
    assert piece.status is PieceStatus.CHANGED
    assert "+smtpd_tls_auth_only = no" in piece.lines
    assert piece.lines[:2] == ("--- main.cf\tas applied", "+++ main.cf\tnow")
    assert piece.uid == os.getuid()
    assert piece.modified_at


def test_a_port_moved_by_hand_is_shown_and_told_as_a_listener(
    machine: Machine, state: DesiredState
) -> None:
    edit(machine.master_cf, f"{ADDRESS}:587 inet", f"{ADDRESS}:1587 inet")
    report = check(machine.host)
    (piece,) = report.drifted
    assert f"-{ADDRESS}:587 inet n - n - - smtpd" in piece.lines
    assert f"+{ADDRESS}:1587 inet n - n - - smtpd" in piece.lines
    ports = {item["service"]: item["port"] for item in report.listeners}
    assert ports == {"smtp": 25, "submission": 1587, "submissions": 465}


def test_a_drop_in_that_is_gone_is_missing_and_an_edited_one_tells_its_listeners(
    machine: Machine, state: DesiredState
) -> None:
    edit(machine.dropin, "port = 4190", "port = 0")
    report = check(machine.host)
    assert [item.name for item in report.drifted] == [DROPIN]
    sieve = next(item for item in report.listeners if item["service"] == "sieve")
    assert not sieve["is_enabled"]
    assert sum(bool(item["is_enabled"]) for item in report.listeners) == 4
    machine.dropin.unlink()
    report = check(machine.host)
    assert report.drifted[0].status is PieceStatus.MISSING
    assert not report.listeners
    assert overwritten(make_plan(state, machine.host)) == {DROPIN}


def test_a_missing_main_cf_is_told_and_asks_for_no_listener(
    machine: Machine, state: DesiredState
) -> None:
    machine.main_cf.unlink()
    report = check(machine.host)
    assert [(item.name, item.status) for item in report.drifted] == [
        ("main.cf", PieceStatus.MISSING)
    ]
    assert not report.listeners


def test_a_swapped_certificate_is_told_by_fingerprints_and_no_key_is_shown(
    machine: Machine, state: DesiredState
) -> None:
    other = make_material("other")
    swap(live(machine, "default.pem"), other.bundle)
    piece = drifted(machine)["default.pem"]
    assert f"-  leaf SHA-256  {state.default_certificate}" in piece.lines
    assert f"+  leaf SHA-256  {other.certificate.fingerprint}" in piece.lines
    assert "+  key           fits" in piece.lines
    assert piece.certificate is not None
    assert piece.certificate["fingerprint"] == other.certificate.fingerprint
    assert piece.certificate["chain_pem"]
    assert "PRIVATE" not in json.dumps(check(machine.host).as_dict())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda one, two: one.certificate.leaf_pem, "+  key           missing"),
        (
            lambda one, two: one.certificate.leaf_pem + two.certificate.key_pem,
            "+  key           of another certificate",
        ),
        (lambda one, two: "no certificate at all", "+  leaf          none"),
    ],
)
def test_a_file_that_cannot_be_served_is_described_and_offers_no_certificate(
    machine: Machine, state: DesiredState, make: object, said: str
) -> None:
    assert callable(make)
    swap(live(machine, "default.pem"), make(make_material("one"), make_material("two")))
    piece = drifted(machine)["default.pem"]
    assert said in piece.lines
    assert piece.certificate is None


def test_a_file_that_is_gone_and_one_that_is_a_folder_are_missing(
    machine: Machine, state: DesiredState
) -> None:
    live(machine, "default.pem").unlink()
    live(machine, "sni.map").unlink()
    live(machine, "sni.map").mkdir()
    found = drifted(machine)
    assert {name: item.status for name, item in found.items()} == {
        "default.pem": PieceStatus.MISSING,
        "sni.map": PieceStatus.MISSING,
    }
    assert overwritten(make_plan(state, machine.host)) == set(found)


def test_without_the_live_link_every_file_is_missing(machine: Machine, state: DesiredState) -> None:
    machine.host.store.live.unlink()
    assert set(drifted(machine)) == FILES


def test_an_edited_sni_map_is_drift_of_postfix(machine: Machine, state: DesiredState) -> None:
    live(machine, "sni.map").write_text("another.example.test /nowhere\n")
    assert set(drifted(machine)) == {"sni.map"}
    plan = make_plan(state, machine.host)
    assert plan.changed_daemons == (Daemon.POSTFIX,)
    assert overwritten(plan) == {"sni.map"}


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"state": 1}'])
def test_a_note_that_cannot_be_read_says_nothing(
    machine: Machine, state: DesiredState, note: str
) -> None:
    live(machine, "applied.json").write_text(note)
    assert not check(machine.host).is_noted
    assert make_plan(state, machine.host).report().files == ()


def test_the_note_holds_no_key_and_is_for_root_alone(machine: Machine, state: DesiredState) -> None:
    note = live(machine, "applied.json")
    assert note.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in note.read_text()


def test_a_failed_apply_leaves_the_note_of_the_one_before(
    machine: Machine, state: DesiredState
) -> None:
    machine.faults.fail("postfix.reload")
    closed = with_open(state, "submission", is_open=False)
    assert machine.apply(closed, "second").outcome is Outcome.ROLLED_BACK
    assert drifted(machine) == {}


def test_other_versions_than_those_applied_for_are_told(
    machine: Machine, state: DesiredState
) -> None:
    machine.versions["dovecot"] = "2.4.1"
    report = check(machine.host)
    assert report.versions["dovecot"] == "2.4.1"
    assert report.versions_applied["dovecot"] == "2.3.19.1"
    assert not report.drifted
    plan = make_plan(state, machine.host)
    assert [item["name"] for item in plan.report().files] == [DROPIN]
    assert overwritten(plan) == set()


# What a plan and an apply make of it


def test_restoring_puts_an_edit_inside_our_block_back_to_the_byte(
    machine: Machine, state: DesiredState
) -> None:
    before = machine.main_cf.read_bytes(), machine.master_cf.read_bytes()
    edit(machine.main_cf, "smtpd_tls_auth_only = yes", "smtpd_tls_auth_only = no")
    edit(machine.master_cf, f"{ADDRESS}:587 inet", f"{ADDRESS}:1587 inet")
    plan = make_plan(state, machine.host)
    assert overwritten(plan) == {"main.cf", "master.cf"}
    assert machine.apply(state, "restoring", plan.digest).outcome is Outcome.SUCCEEDED
    assert (machine.main_cf.read_bytes(), machine.master_cf.read_bytes()) == before
    assert drifted(machine) == {}


def test_restoring_a_swapped_certificate_tells_both_daemons(
    machine: Machine, state: DesiredState
) -> None:
    before = live(machine, "default.pem").read_bytes()
    other = make_material("other")
    swap(live(machine, "default.pem"), other.bundle)
    for daemon in Daemon:
        machine.load(daemon)
    assert set(machine.served.values()) == {other.certificate.fingerprint}
    plan = make_plan(state, machine.host)
    (shown,) = plan.report().files
    assert shown["name"] == "certificates"
    assert f"-  leaf SHA-256  {other.certificate.fingerprint}" in shown["lines"]
    assert overwritten(plan) == {"default.pem"}
    assert machine.apply(state, "restoring", plan.digest).outcome is Outcome.SUCCEEDED
    assert set(machine.served.values()) == {state.default_certificate}
    assert live(machine, "default.pem").read_bytes() == before


def test_a_certificate_taken_over_needs_no_key_from_the_panel_and_overwrites_nothing(
    machine: Machine, state: DesiredState
) -> None:
    other = make_material("other")
    swap(live(machine, "default.pem"), other.bundle)
    wanted = with_default(state, replace(other.certificate, key_pem=""))
    plan = make_plan(wanted, machine.host)
    assert overwritten(plan) == set()
    # The daemons may still show what they read before the swap.
    assert plan.changed_daemons == (Daemon.DOVECOT, Daemon.POSTFIX)
    assert machine.apply(wanted, "taking", plan.digest).outcome is Outcome.SUCCEEDED
    assert set(machine.served.values()) == {other.certificate.fingerprint}
    assert drifted(machine) == {}


def test_a_port_taken_over_overwrites_nothing_and_postfix_is_told(
    machine: Machine, state: DesiredState
) -> None:
    edit(machine.master_cf, f"{ADDRESS}:587 inet", f"{ADDRESS}:1587 inet")
    by_hand = machine.master_cf.read_bytes()
    wanted = with_listener(state, "submission", port=1587)
    plan = make_plan(wanted, machine.host)
    assert plan.report().files == ()
    assert overwritten(plan) == set()
    assert plan.changed_daemons == (Daemon.POSTFIX,)
    assert machine.apply(wanted, "taking", plan.digest).outcome is Outcome.SUCCEEDED
    assert machine.master_cf.read_bytes() == by_hand
    assert (ADDRESS, 1587) in machine.served
    assert drifted(machine) == {}


def test_an_edited_drop_in_is_reloaded_even_where_it_is_kept(
    machine: Machine, state: DesiredState
) -> None:
    edit(machine.dropin, "port = 4190", "port = 5190")
    wanted = with_listener(state, "sieve", port=5190)
    plan = make_plan(wanted, machine.host)
    assert not plan.is_dropin_changed
    assert plan.changed_daemons == (Daemon.DOVECOT,)
    assert plan.needs_dovecot_reload


@pytest.mark.parametrize("name", ["main.cf", "default.pem", "sni.map"])
def test_an_apply_whose_plan_did_not_show_the_edit_is_refused(
    machine: Machine, state: DesiredState, name: str
) -> None:
    reviewed = make_plan(state, machine.host).digest
    if name == "main.cf":
        edit(machine.main_cf, "smtpd_tls_auth_only = yes", "smtpd_tls_auth_only = no")
    elif name == "default.pem":
        swap(live(machine, name), make_material("other").bundle)
    else:
        live(machine, name).write_text("")
    before = machine.snapshot(), live(machine, name).exists()
    report = machine.apply(state, "second", reviewed)
    assert report.outcome is Outcome.REFUSED
    assert report.problem is not None
    assert report.problem.code == "plan.stale"
    assert (machine.snapshot(), live(machine, name).exists()) == before
