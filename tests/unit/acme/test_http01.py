"""Which way answers an authority, asked over the agent's real socket where that is the way."""

from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailadmin.acme.http01 import (
    AgentWay,
    ChallengeFailure,
    PanelWay,
    find_key_authorization,
    find_way,
)
from mailadmin.acme.models import AcmeCertificate
from mailadmin.agent.config import Http01Config
from mailadmin.agent.protocol import ChallengeWay
from mailadmin.agent.server import Agent, AgentServer
from mailadmin.deployments import runner
from mailadmin.servers.models import MailServer
from tests.acme_factories import make_acme_certificate, make_authorization, make_order
from tests.server_factories import make_server
from tests.unit.agent.machine import Machine

pytestmark = pytest.mark.django_db

ADDRESS = "127.77.0.6"
TOKEN = "token-1"
PROOF = f"{TOKEN}.nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ"
FILE = Path(".well-known") / "acme-challenge" / TOKEN


class Site:
    """A mail server with a real agent that may listen on a port and write into a web root."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as trial:
            trial.bind((ADDRESS, 0))
            self.port = int(trial.getsockname()[1])
        self.web_root = folder / "www"
        self.web_root.mkdir()
        machine = Machine(folder / "machine")
        http01 = Http01Config((ADDRESS,), self.port, self.web_root)
        self.agent = Agent(replace(machine.config, http01=http01))
        self.agent.host = machine.host
        self.agent.prepare()
        self._server = AgentServer(self.agent)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.row = make_server()
        self.row.agent_socket = str(machine.config.socket)
        self.row.save()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def ask(self) -> bytes:
        url = f"http://{ADDRESS}:{self.port}/{FILE}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bytes(answer.read())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "machine").mkdir()
    one = Site(tmp_path)
    yield one
    one.stop()


def wanted(server: MailServer | None, http_way: str) -> AcmeCertificate:
    return make_acme_certificate(server=server, http_way=http_way)


def test_the_agent_answers(site: Site) -> None:
    way = find_way(wanted(site.row, "agent"))
    way.present(TOKEN, PROOF, 60)
    assert site.ask() == PROOF.encode()
    way.withdraw(TOKEN)
    with pytest.raises(OSError, match="refused"):
        site.ask()


def test_the_agent_writes_where_a_web_server_is_meant(site: Site) -> None:
    way = find_way(wanted(site.row, "web_root"))
    way.present(TOKEN, PROOF, 60)
    assert (site.web_root / FILE).read_text() == PROOF
    way.withdraw(TOKEN)
    assert list(site.web_root.iterdir()) == []


def test_the_panel_answers_from_its_rows() -> None:
    order = make_order(wanted(None, "panel"))
    make_authorization(order, TOKEN)
    way = find_way(order.acme_certificate)
    assert way == PanelWay()
    way.present(TOKEN, PROOF, 60)
    assert find_key_authorization(TOKEN) == PROOF
    way.withdraw(TOKEN)
    assert find_key_authorization(TOKEN) is None


def test_what_the_agent_refuses_is_told(site: Site) -> None:
    way = find_way(wanted(site.row, "agent"))
    with pytest.raises(ChallengeFailure) as raised:
        way.present(TOKEN, "something else", 60)
    assert raised.value.problem.code == "http01.answer_refused"
    with pytest.raises(ChallengeFailure) as raised:
        way.withdraw("../x")
    assert raised.value.problem.code == "http01.answer_refused"


def test_an_agent_that_is_away_is_told(tmp_path: Path) -> None:
    server = make_server()
    server.agent_socket = str(tmp_path / "nowhere.sock")
    with pytest.raises(ChallengeFailure) as raised:
        AgentWay(server).present(TOKEN, PROOF, 60)
    assert raised.value.problem.code == "agent.unreachable"


@pytest.mark.parametrize(
    "deed", [lambda way: way.present(TOKEN, PROOF, 60), lambda way: way.withdraw(TOKEN)]
)
def test_without_a_server_nobody_can_answer(deed: Callable[[AgentWay], None]) -> None:
    with pytest.raises(ChallengeFailure) as raised:
        deed(AgentWay(None))
    assert raised.value.problem.code == "http01.no_server"


def test_the_way_of_a_host_is_told(site: Site) -> None:
    found = runner.find_host_way(site.row)
    assert (found.way, found.problem) == (ChallengeWay.LISTENER, None)
    with socket.socket() as holder:
        holder.bind((ADDRESS, site.port))
        holder.listen()
        found = runner.find_host_way(site.row)
    assert found.way is ChallengeWay.WEB_ROOT
    assert found.problem is not None
    assert found.problem.code == "http01.port_taken"
