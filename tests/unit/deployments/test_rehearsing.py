"""What the runner tells the agent of a certificate that is to be rehearsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from mailadmin.agent.protocol import AgentError
from mailadmin.deployments.runner import rehearse_certificate, rehearsing
from mailadmin.mailconf.proof import Seen
from mailadmin.mailconf.state import DesiredState
from mailadmin.servers.models import MailServer
from tests.server_factories import make_server
from tests.states import make_material

pytestmark = pytest.mark.django_db
SEEN = [Seen("imaps", "127.0.0.1", 40993, is_open=True)]


@dataclass
class RehearsingAgent:
    """Remembers what it was asked."""

    asked: list[tuple[DesiredState, Sequence[str]]] = field(default_factory=list)

    def rehearse(self, state: DesiredState, names: Sequence[str]) -> list[Seen]:
        self.asked.append((state, names))
        return SEEN


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> RehearsingAgent:
    one = RehearsingAgent()
    monkeypatch.setattr(rehearsing, "agent_of", lambda server: one)
    return one


@pytest.fixture
def server() -> MailServer:
    server = make_server()
    server.tls_profile = "modern"
    return server


def test_the_agent_is_told_the_certificate_and_the_profile(
    server: MailServer, agent: RehearsingAgent
) -> None:
    names = ("mail.example.test", "*.example.test")
    wanted = make_material("new", names).certificate
    seen = rehearse_certificate(server, wanted.leaf_pem, wanted.chain_pem, wanted.key_pem)
    assert seen == SEEN
    ((state, asked_names),) = agent.asked
    told = state.certificate(state.default_certificate)
    assert told is not None
    assert (told.leaf_pem, told.chain_pem, told.key_pem) == (
        wanted.leaf_pem, wanted.chain_pem, wanted.key_pem,
    )  # fmt: skip
    assert state.tls_profile == "modern"
    assert asked_names == [*names]
    # What the agent reads is the same, and neither form shows the key to a reader.
    crossed = state.as_dict(with_pem=True, with_key=True)
    assert DesiredState.from_dict(crossed).default_certificate == wanted.fingerprint
    assert "PRIVATE" not in repr(state)


def test_the_names_that_clients_will_use_go_first(
    server: MailServer, agent: RehearsingAgent
) -> None:
    wanted = make_material("new").certificate
    rehearse_certificate(
        server, wanted.leaf_pem, wanted.chain_pem, wanted.key_pem, names=("imap.example.test",)
    )
    assert agent.asked[0][1] == ("imap.example.test",)


def test_names_that_nobody_can_ask_for_are_left_out(
    server: MailServer, agent: RehearsingAgent
) -> None:
    wanted = make_material("odd", ("intranet", "mail.example.test")).certificate
    rehearse_certificate(server, wanted.leaf_pem, "", wanted.key_pem)
    assert agent.asked[0][1] == ["mail.example.test"]


def test_what_is_no_certificate_asks_nobody(server: MailServer, agent: RehearsingAgent) -> None:
    with pytest.raises(AgentError) as caught:
        rehearse_certificate(server, "nothing", "", "nothing")
    assert caught.value.problem.code == "rehearsal.leaf_unreadable"
    assert agent.asked == []
