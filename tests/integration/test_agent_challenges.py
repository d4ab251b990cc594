"""An authority's question on port 80, answered by the agent's own process while mail goes on."""

from __future__ import annotations

import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailadmin.agent.protocol import AgentError, ChallengeWay
from tests.integration import wire
from tests.integration.mail_host import MailHost

pytestmark = pytest.mark.integration

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
PROOF = f"{TOKEN}.nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ"
_WEB_ROOT = ChallengeWay.WEB_ROOT


@pytest.fixture(scope="module")
def web_root(make_open_folder: Callable[[], Path]) -> Path:
    return make_open_folder()


@pytest.fixture(scope="module")
def shared_host(make_mail_host: Callable[..., MailHost], web_root: Path) -> MailHost:
    host = make_mail_host()
    http01 = {"addresses": [host.address], "port": 5080, "web_root": str(web_root)}
    host.configure(http01=http01)
    return host


@pytest.fixture
def host(shared_host: MailHost) -> Iterator[MailHost]:
    """Yield the mail server with its agent as a process of its own."""
    shared_host.start_agent_process()
    yield shared_host
    if shared_host.process is not None:
        shared_host.end_agent_process()


def ask(host: MailHost, path: str = f"/.well-known/acme-challenge/{TOKEN}") -> bytes | int:
    """Return what is answered, or the status if it is an error."""
    url = f"http://{host.address}:{host.config.http01.port}{path}"
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        return error.code


def is_closed(host: MailHost) -> bool:
    try:
        return wire.is_refused(host.address, host.config.http01.port)
    except ConnectionError:
        # It is being closed.
        return False


def hold_port(host: MailHost) -> socket.socket:
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((host.address, host.config.http01.port))
    holder.listen()
    return holder


def test_the_port_is_open_while_it_is_needed(host: MailHost) -> None:
    assert host.client.observe()["http01"]["way"] == "listener"
    assert is_closed(host)
    assert host.client.present_challenge(TOKEN, PROOF, seconds=60) is ChallengeWay.LISTENER
    assert ask(host) == PROOF.encode()
    assert ask(host, "/") == 404
    host.client.withdraw_challenge(TOKEN)
    assert is_closed(host)


def test_it_closes_although_the_panel_never_comes_back(host: MailHost) -> None:
    host.client.present_challenge(TOKEN, PROOF, seconds=1)
    wire.wait_until(lambda: is_closed(host), 10, "the port is closed")


def test_a_web_server_answers_where_it_has_the_port(host: MailHost, web_root: Path) -> None:
    with hold_port(host):
        described = host.client.observe()["http01"]
        assert (described["way"], described["problem"]["code"]) == ("web_root", "http01.port_taken")
        assert host.client.present_challenge(TOKEN, PROOF, seconds=60) is ChallengeWay.WEB_ROOT
        file = web_root / ".well-known" / "acme-challenge" / TOKEN
        assert file.read_text() == PROOF
        host.client.withdraw_challenge(TOKEN)
    assert list(web_root.iterdir()) == []


def test_the_end_of_the_agent_takes_everything_back(host: MailHost, web_root: Path) -> None:
    host.client.present_challenge(TOKEN, PROOF, seconds=60)
    host.client.present_challenge("other", f"other.{PROOF[-43:]}", seconds=60, way=_WEB_ROOT)
    assert host.end_agent_process() == 0
    assert is_closed(host)
    assert list(web_root.iterdir()) == []


def test_a_killed_agent_leaves_nothing_that_the_next_does_not_clean(
    host: MailHost, web_root: Path
) -> None:
    host.client.present_challenge(TOKEN, PROOF, seconds=60)
    host.client.present_challenge("other", f"other.{PROOF[-43:]}", seconds=60, way=_WEB_ROOT)
    assert host.end_agent_process(signal.SIGKILL) == -signal.SIGKILL
    assert is_closed(host)
    assert list(web_root.iterdir()) != []
    host.start_agent_process()
    assert list(web_root.iterdir()) == []
    assert not (host.config.state_dir / "challenges.json").exists()
    assert host.client.present_challenge(TOKEN, PROOF, seconds=60) is ChallengeWay.LISTENER


def test_what_is_no_answer_is_refused(host: MailHost) -> None:
    with pytest.raises(AgentError) as raised:
        host.client.present_challenge(TOKEN, "<h1>hello</h1>", seconds=60)
    assert raised.value.problem.code == "http01.answer_refused"
    assert is_closed(host)


def test_tokens_are_in_no_log(host: MailHost) -> None:
    host.client.present_challenge(TOKEN, PROOF, seconds=60)
    ask(host)
    host.client.withdraw_challenge(TOKEN)
    assert TOKEN not in host.agent_log.read_text()
