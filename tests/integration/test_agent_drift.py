"""Edits by hand and swapped certificates on real daemons: noticed by one check, and restored."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailadmin.agent.protocol import AgentError, CheckReport, Outcome, PieceStatus
from mailadmin.mailconf.state import DesiredState
from tests.integration.mail_host import MailHost
from tests.states import make_material, with_name

pytestmark = pytest.mark.integration

NAME = "named.example.test"
# A check is two programs that print their version, and a few files: seconds would be a fault.
_MOST_SECONDS = 2.0


@pytest.fixture
def state(host: MailHost) -> Iterator[DesiredState]:
    """Return an applied state with a certificate for a host name."""
    state = with_name(host.base, NAME, make_material("named", (NAME,)).certificate)
    host.apply(state)
    yield state
    host.apply(host.base)


def drifted(host: MailHost) -> dict[str, PieceStatus]:
    return {item.name: item.status for item in host.client.check().drifted}


def live(host: MailHost, name: str) -> Path:
    return host.config.state_dir / "live" / name


def edit(host: MailHost, path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    host.edit(path, text.replace(old, new))


def restore(host: MailHost, state: DesiredState) -> set[str]:
    """Apply what was applied; returns which edits the plan said it would overwrite."""
    shown = {item.subject for item in host.plan(state).problems if item.code == "drift.overwritten"}
    host.apply(state)
    assert drifted(host) == {}
    return shown


def test_a_check_costs_little_and_tells_no_daemon(host: MailHost, state: DesiredState) -> None:
    reloads, masters, moments = host.count_reloads(), host.masters(), host.moments()
    spent = []
    for _ in range(5):
        started = time.monotonic()
        report = host.client.check()
        spent.append(time.monotonic() - started)
        assert isinstance(report, CheckReport)
        assert report.is_noted
        assert not report.drifted
    assert report.versions == report.versions_applied
    assert set(report.versions) == {"postfix", "dovecot"}
    assert (host.count_reloads(), host.masters(), host.moments()) == (reloads, masters, moments)
    print(f"a check takes {statistics.median(spent) * 1000:.0f} ms")  # noqa: T201
    assert statistics.median(spent) < _MOST_SECONDS


def test_our_parameter_in_main_cf_is_noticed_and_put_back_to_the_byte(
    host: MailHost, state: DesiredState
) -> None:
    before = host.main_cf.read_bytes()
    edit(host, host.main_cf, "smtpd_tls_auth_only = yes", "smtpd_tls_auth_only = no")
    assert drifted(host) == {"main.cf": PieceStatus.CHANGED}
    assert restore(host, state) == {"main.cf"}
    assert host.main_cf.read_bytes() == before


def test_a_foreign_parameter_is_no_drift_and_stays(host: MailHost, state: DesiredState) -> None:
    host.edit(host.main_cf, f"message_size_limit = 20480000\n{host.main_cf.read_text()}")
    assert drifted(host) == {}
    assert restore(host, state) == set()
    assert "message_size_limit = 20480000" in host.main_cf.read_text()


def test_a_main_cf_that_postfix_cannot_read_is_noticed_all_the_same(
    host: MailHost, state: DesiredState
) -> None:
    before = host.main_cf.read_text()
    host.edit(host.main_cf, f"{before}smtpd_tls_auth_only = no\n= nonsense\n  $(\n")
    try:
        assert drifted(host) == {"main.cf": PieceStatus.CHANGED}
    finally:
        host.edit(host.main_cf, before)


def test_a_certificate_swapped_by_rename_is_noticed_and_the_old_one_served_again(
    host: MailHost, state: DesiredState
) -> None:
    path, before = live(host, "default.pem"), live(host, "default.pem").read_bytes()
    other = make_material("other")
    fresh = path.with_name("renewed")
    fresh.write_text(other.bundle)
    fresh.chmod(0o600)
    fresh.rename(path)
    host.agent.host.postfix.reload()
    host.agent.host.dovecot.reload()
    (piece,) = host.client.check().drifted
    assert piece.name == "default.pem"
    assert f"-  leaf SHA-256  {state.default_certificate}" in piece.lines
    assert f"+  leaf SHA-256  {other.certificate.fingerprint}" in piece.lines
    assert restore(host, state) == {"default.pem"}
    assert set(host.leaves().values()) == {state.default_certificate}
    assert live(host, "default.pem").read_bytes() == before


def test_a_deleted_drop_in_is_noticed_and_written_again(
    host: MailHost, state: DesiredState
) -> None:
    before = host.dropin.read_bytes()
    host.dropin.unlink()
    assert drifted(host) == {host.dropin.name: PieceStatus.MISSING}
    assert restore(host, state) == {host.dropin.name}
    assert host.dropin.read_bytes() == before


def test_an_edited_sni_map_is_noticed_and_written_again(
    host: MailHost, state: DesiredState
) -> None:
    path = live(host, "sni.map")
    path.write_text("")
    live(host, "sni.map.db").write_bytes(b"")
    assert drifted(host) == {
        "sni.map": PieceStatus.CHANGED,
        "sni.map.db": PieceStatus.CHANGED,
    }
    assert restore(host, state) == {"sni.map", "sni.map.db"}
    assert live(host, "sni.map").read_text().startswith(f"{NAME} ")
    assert host.leaf("smtp", NAME) == state.sni_bindings[0].certificate


def test_an_edit_after_the_review_is_never_overwritten(host: MailHost, state: DesiredState) -> None:
    digest = host.plan(state).digest
    other = make_material("other")
    live(host, "default.pem").write_text(other.bundle)
    files = host.files()
    report = host.client.apply(
        state, digest=digest, deployment_id="unseen", on_step=lambda step: None
    )
    assert report.outcome is Outcome.REFUSED
    assert report.problem is not None
    assert report.problem.code == "plan.stale"
    assert host.files() == files
    assert live(host, "default.pem").read_text() == other.bundle


def test_while_an_apply_is_under_way_nothing_is_called_drift(
    host: MailHost, state: DesiredState
) -> None:
    with host.agent._applying, pytest.raises(AgentError) as caught:
        host.client.check()
    assert caught.value.problem.code == "drift.apply_under_way"
