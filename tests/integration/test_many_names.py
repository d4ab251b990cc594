"""Many host names on real daemons that take only a few connections at once, or few in a minute."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from mailadmin.agent.protocol import Outcome
from mailadmin.mailconf.state import DesiredState
from tests.integration import wire
from tests.integration.mail_host import SERVICES, MailHost
from tests.states import make_material, with_name

pytestmark = pytest.mark.integration

NAMES = [f"mail{number}.example.test" for number in range(60)]
_LIMITS = """
service imap-login {
  process_limit = 2
}
service pop3-login {
  process_limit = 2
}
"""


@pytest.fixture(scope="module")
def narrow_host(make_mail_host: Callable[..., MailHost], quick_watch: None) -> Iterator[MailHost]:
    """Yield a mail server whose limits are below what is asked of it at once."""
    host = make_mail_host()
    host.start_agent()
    host.base = host.full_state()
    host.apply(host.base)
    host.edit(host.dropin.parent / "20-limits.conf", _LIMITS)
    limit_postfix(host, "smtpd_client_connection_count_limit = 2")
    host.agent.host.dovecot.reload()
    yield host
    host.stop_agent()


def limit_postfix(host: MailHost, line: str) -> None:
    """Set one of its limits, which spare nobody here: the sandbox trusts no network."""
    kept = [old for old in host.main_cf.read_text().splitlines() if not old.startswith("smtpd_cl")]
    host.edit(host.main_cf, "\n".join([line, *kept]) + "\n")
    host.reload_postfix()


def with_names(state: DesiredState) -> DesiredState:
    """Return the state with all the names, shared out among three certificates."""
    for number in range(3):
        names = tuple(NAMES[number::3])
        certificate = make_material(f"many {number}", names).certificate
        for name in names:
            state = with_name(state, name, certificate)
    return state


def test_every_name_is_proven_on_every_port_and_is_told_on_the_way(narrow_host: MailHost) -> None:
    state = with_names(narrow_host.base)
    report = narrow_host.apply(state)
    wanted = {binding.host_name: binding.certificate for binding in state.sni_bindings}
    shown = {(item.service, item.sni_name): item.fingerprint for item in report.evidence}
    assert len(shown) == len(SERVICES) * (len(NAMES) + 1)
    assert all(shown[service, name] == wanted[name] for service in SERVICES for name in NAMES)
    for code in ("looked", "proved"):
        told = [
            (event.evidence["names"], event.evidence["of"])
            for event in narrow_host.told
            if event.code == code and "names" in event.evidence
        ]
        assert told[-1] == (60, 60)
        assert told == sorted(told)
        assert len(told) > 2
    assert wire.shown_leaf(
        narrow_host.address, narrow_host.settings.ports["imaps"], "imaps"
    ) == narrow_host.base.default_certificate  # fmt: skip


def test_a_server_that_turns_us_away_is_left_alone_and_quoted(narrow_host: MailHost) -> None:
    state = with_names(narrow_host.base)
    if not narrow_host.plan(state).files:
        narrow_host.apply(narrow_host.base)
    limit_postfix(narrow_host, "smtpd_client_connection_rate_limit = 20")
    files = narrow_host.files()
    digest = narrow_host.plan(state).digest
    report = narrow_host.client.apply(
        state, digest=digest, deployment_id="narrow", on_step=lambda _: None
    )
    assert report.outcome is Outcome.REFUSED
    assert report.problem is not None
    assert report.problem.code == "probe.too_many"
    assert "too many" in str(report.problem.params["detail"])
    assert narrow_host.files() == files
