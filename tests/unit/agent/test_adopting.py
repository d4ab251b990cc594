"""Hosts as people leave them: what is understood, what is not, and that nothing would change."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailadmin.agent.observing import observe_as_left
from mailadmin.agent.planner import Plan, make_plan
from mailadmin.mailconf.adopting.taking_over import Adopted
from mailadmin.mailconf.state import DesiredState
from tests.host_fixtures import NAMES, HostFixture, set_up_host
from tests.states import make_material, with_default, with_open

HOST_NAME = "mail.example.test"


@pytest.fixture(params=NAMES)
def found(request: pytest.FixtureRequest, tmp_path: Path) -> HostFixture:
    return set_up_host(request.param, tmp_path)


def adopt(found: HostFixture) -> Adopted:
    return observe_as_left(found.host, HOST_NAME)[1]


def plan(found: HostFixture, state: DesiredState) -> Plan:
    return make_plan(state, found.host)


def test_listeners_and_their_certificates_are_understood(found: HostFixture) -> None:
    state = adopt(found).state
    shown = {
        item.service: f"{item.address}:{item.port} {item.tls_mode}"
        f" {found.labels.get(state.certificate_for(item), '-')}"
        for item in state.enabled_listeners
    }
    assert shown == found.about["listeners"]


def test_host_names_and_pairs_are_understood(found: HostFixture) -> None:
    state = adopt(found).state
    names = {item.host_name: found.labels[item.certificate] for item in state.sni_bindings}
    assert names == found.about.get("names", {})
    pairs = {
        found.labels[item.fingerprint]: found.labels[item.companion]
        for item in state.certificates
        if item.companion and item.key_algorithm == "rsa"
    }
    assert pairs == found.about.get("pairs", {})


def test_what_is_not_understood_is_told_with_file_and_line(found: HostFixture) -> None:
    told = [f"{item.code} {item.subject}" for item in adopt(found).findings]
    assert sorted(told) == sorted(found.about["findings"])


def test_nothing_would_change(found: HostFixture) -> None:
    same = plan(found, adopt(found).state)
    assert same.report().files == ()
    assert same.changed_daemons == ()


def test_putting_that_plan_in_place_changes_no_byte(found: HostFixture) -> None:
    before = found.snapshot()
    same = plan(found, adopt(found).state)
    found.host.put_files(same.found, same.rendered)
    assert found.snapshot() == before


def put_in_place(found: HostFixture, state: DesiredState) -> Plan:
    """Do to the files what an apply does."""
    planned = plan(found, state)
    found.host.put_files(planned.found, planned.rendered)
    return planned


def test_closing_a_port_touches_its_daemon_alone_and_going_back_restores_every_byte(
    found: HostFixture,
) -> None:
    before = found.snapshot()
    state = adopt(found).state
    put_in_place(found, with_open(state, "imaps", is_open=False))
    changed = {name for name in found.snapshot() if found.snapshot()[name] != before.get(name)}
    assert changed == {"dovecot/conf.d/99-mailadmin.conf"}
    put_in_place(found, state)
    assert found.snapshot() == before


def test_another_certificate_for_all_and_back_restores_every_byte(found: HostFixture) -> None:
    before = found.snapshot()
    state = adopt(found).state
    other = with_default(state, make_material("other").certificate)
    planned = put_in_place(found, other)
    assert {"main.cf", "99-mailadmin.conf", "certificates"} <= {
        item["name"] for item in planned.report().files
    }
    assert plan(found, other).report().files[0]["name"] == "certificates"
    put_in_place(found, state)
    assert found.snapshot() == before
