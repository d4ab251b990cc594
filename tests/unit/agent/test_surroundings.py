"""The agent asks nft, iptables and fail2ban; whatever cannot be found out is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mailadmin.agent.host import surroundings
from mailadmin.agent.protocol import AgentError, Request, Verb
from mailadmin.agent.server import Agent
from mailadmin.mailconf.proof import Expectation
from mailadmin.mailconf.services import TlsMode
from mailadmin.pki.problems import Problem
from tests.unit.agent.machine import Machine

GOLDEN = Path(__file__).parents[2] / "golden" / "guards"
Install = Callable[[str, str], None]


def wanted(port: int, address: str = "*") -> Expectation:
    return Expectation("submissions", address, port, True, TlsMode.IMPLICIT)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put programs of a script each onto the machine; there are no others."""

    def find(name: str, *_: Path) -> Path:
        if not (tmp_path / name).exists():
            raise AgentError.because("program.missing", name)
        return tmp_path / name

    def put(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    monkeypatch.setattr(surroundings, "find_program", find)
    return put


def told(problems: list[Problem]) -> list[tuple[str, object]]:
    return [
        (item.code, item.params.get("port") or item.params.get("ports", "")) for item in problems
    ]


def test_without_any_tool_that_is_what_is_said(install: Install) -> None:
    assert told(surroundings.look_around([wanted(465)])) == [
        ("firewall.no_tool", ""),
        ("fail2ban.missing", ""),
    ]


def test_a_port_on_this_machine_alone_needs_none_of_it(install: Install) -> None:
    assert told(surroundings.look_around([wanted(465, "127.0.0.2")])) == [
        ("firewall.not_asked", "465")
    ]
    assert surroundings.look_around([]) == []


def test_what_the_rules_of_nft_let_through_and_what_not(install: Install) -> None:
    install("nft", f"cat {GOLDEN}/nft-1.0.6.json")
    found = surroundings.look_around([wanted(465), wanted(110), wanted(4190)])
    assert told(found)[:4] == [
        ("firewall.closed", 110),
        # Some by IPv4, nobody by IPv6.
        ("firewall.closed", 4190),
        ("firewall.some", 4190),
        ("firewall.open", "465"),
    ]
    assert [item.params["families"] for item in found[:3]] == ["IPv4, IPv6", "IPv6", "IPv4"]
    only_one = surroundings.look_around([wanted(110, "192.0.2.1"), wanted(110, "2001:db8::1")])
    assert [item.params["families"] for item in only_one[:2]] == ["IPv4", "IPv6"]


def test_iptables_is_asked_for_what_nft_cannot_say(install: Install) -> None:
    install("iptables-save", f"cat {GOLDEN}/iptables-save-1.8.9.txt")
    install("ip6tables-save", "exit 0")
    install("nft", f"cat {GOLDEN}/nft-1.0.6-iptables.json")
    assert told(surroundings.look_around([wanted(465, "192.0.2.1"), wanted(110)]))[:2] == [
        ("firewall.closed", 110),
        ("firewall.open", "465"),
    ]


@pytest.mark.parametrize("script", ["echo Permission denied; exit 1", "echo no JSON"])
def test_rules_that_cannot_be_read_are_not_taken_for_none(install: Install, script: str) -> None:
    install("nft", script)
    (problem, _) = surroundings.look_around([wanted(465)])
    assert problem.code == "firewall.unreadable"
    assert problem.params["detail"]


def test_rules_of_iptables_that_nobody_can_read_are_not_taken_for_none(install: Install) -> None:
    install("iptables-save", "printf '*filter\\n-A INPUT -j \"x\\n'")
    assert surroundings.look_around([wanted(465)])[0].code == "firewall.unreadable"


FAIL2BAN = "case $1 in -d) {dump};; ping) {ping};; esac"


@pytest.mark.parametrize(
    ("dump", "ping", "codes"),
    [
        (f"cat {GOLDEN}/fail2ban-1.0.2.txt", "exit 0", ["fail2ban.uncovered", "fail2ban.covers"]),
        (f"cat {GOLDEN}/fail2ban-1.0.2.txt", "exit 255", ["fail2ban.off"]),
        ("echo broken; exit 255", "exit 0", ["fail2ban.unreadable"]),
        ("kill -9 $$", "exit 0", ["fail2ban.unreadable"]),
    ],
)
def test_the_jails_are_compared_with_what_opens(
    install: Install, dump: str, ping: str, codes: list[str]
) -> None:
    install("fail2ban-client", FAIL2BAN.format(dump=dump, ping=ping))
    found = surroundings.look_around([wanted(465), wanted(10465)])[1:]
    assert [item.code for item in found] == codes
    if len(found) > 1:
        assert told(found) == [("fail2ban.uncovered", "10465"), ("fail2ban.covers", "465")]
        assert found[0].params["jails"] == "postfix, dovecot"


def test_a_client_of_fail2ban_that_cannot_be_started_is_told(
    install: Install, tmp_path: Path
) -> None:
    install("fail2ban-client", "")
    (tmp_path / "fail2ban-client").write_bytes(b"\x7fELF not really")
    assert surroundings.look_around([wanted(465)])[-1].code == "fail2ban.unreadable"


def test_the_agent_answers_the_panel(machine: Machine, install: Install) -> None:
    agent = Agent(machine.config)
    agent.host = machine.host
    params = {"expected": [wanted(465).as_dict()]}
    answer = agent.answer(Request(Verb.LOOK_AROUND, params), lambda _: None)
    assert [item["code"] for item in answer["problems"]] == ["firewall.no_tool", "fail2ban.missing"]
    with pytest.raises(AgentError):
        agent.answer(Request(Verb.LOOK_AROUND, {"expected": 7}), lambda _: None)
