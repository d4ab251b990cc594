"""The certificate authority of the demo and the tests is a real one, and leaves nothing behind."""

from __future__ import annotations

import json
import socket
import ssl
import urllib.request
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rcode
import psutil
import pytest

from mailadmin.demo.authority import PEBBLE, ChallengeDns, Options, Pebble, running
from mailadmin.demo.authority.ports import is_listening
from mailadmin.demo.errors import DemoError
from mailadmin.demo.logbook import Logbook
from mailadmin.demo.programs import list_session
from tests.authorities import RunningAuthority, find_newer_pebble, run_authority

pytestmark = pytest.mark.integration


def read_directory(pebble: Pebble) -> dict[str, Any]:
    trust = ssl.create_default_context(cadata=pebble.root_pem)
    address = pebble.directory_url
    with urllib.request.urlopen(address, timeout=60, context=trust) as answer:  # noqa: S310 - https
        found: dict[str, Any] = json.load(answer)
        return found


def listening_addresses(authority: RunningAuthority) -> set[str]:
    sessions = [authority.pebble.program.pid, authority.dns.program.pid]
    found = set()
    for session in sessions:
        assert session is not None
        for process in list_session(session):
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM:
                    found.add(connection.laddr.ip)
    return found


@pytest.mark.parametrize("executable", [PEBBLE, find_newer_pebble()], ids=["installed", "newer"])
def test_it_answers_on_loopback_alone(executable: Path) -> None:
    with run_authority(executable=executable) as authority:
        directory = read_directory(authority.pebble)
        assert directory["newOrder"].startswith("https://127.0.0.1:")
        assert directory["meta"]["externalAccountRequired"] is False
        assert listening_addresses(authority) == {"127.0.0.1"}


def test_only_the_newer_one_has_renewal_information() -> None:
    with run_authority(executable=find_newer_pebble()) as authority:
        assert "renewalInfo" in read_directory(authority.pebble)


def test_external_account_binding_can_be_asked_for() -> None:
    keys = {"kid-1": "c2VjcmV0LWtleS1vZi0zMi1ieXRlcy0uLi4uLi4u"}
    with run_authority(Options(eab_keys=keys)) as one:
        assert read_directory(one.pebble)["meta"]["externalAccountRequired"] is True


def test_nothing_is_left_when_it_ends() -> None:
    with run_authority() as authority:
        programs = [authority.pebble.program, authority.dns.program]
    assert all(program.has_ended() for program in programs)
    assert not is_listening(authority.dns.port)


def test_it_comes_back_at_its_address_with_another_issuing_root() -> None:
    with run_authority() as authority:
        before = authority.pebble.directory_url, authority.pebble.root_pem
        issued_from = authority.pebble.issuing_root_pem()
        authority.restart()
        assert (authority.pebble.directory_url, authority.pebble.root_pem) == before
        assert authority.pebble.issuing_root_pem() != issued_from


def test_alternate_roots_are_told() -> None:
    with run_authority(Options(alternate_roots=1)) as authority:
        assert authority.pebble.issuing_root_pem(0) != authority.pebble.issuing_root_pem(1)


def test_its_dns_answers_what_it_is_told(tmp_path: Path) -> None:
    logbook = Logbook(tmp_path / "log")
    told = ChallengeDns(tmp_path / "dns", logbook)

    def ask(name: str, kind: str) -> tuple[str, list[str]]:
        question = dns.message.make_query(name, kind)
        answer = dns.query.udp(question, "127.0.0.1", port=told.port, timeout=60)
        found = [record.to_text() for rrset in answer.answer for record in rrset]
        return dns.rcode.to_text(answer.rcode()), found

    with running(told.program):
        told.add_txt("_acme-challenge.a.test", "one")
        told.set_addresses("a.test", "127.0.0.2", "127.0.0.3")
        told.add_caa("a.test", "issue", "ca.example")
        told.set_cname("alias.test", "a.test")
        assert ask("_acme-challenge.a.test", "TXT") == ("NOERROR", ['"one"'])
        assert sorted(ask("a.test", "A")[1]) == ["127.0.0.2", "127.0.0.3"]
        assert ask("a.test", "CAA")[1] == ['0 issue "ca.example"']
        assert "a.test." in ask("alias.test", "A")[1]
        assert ask("other.test", "A")[1] == ["127.0.0.1"]
        assert ask("other.test", "AAAA")[1] == []
        told.break_name("a.test")
        assert ask("a.test", "A") == ("SERVFAIL", [])
        told.mend_name("a.test")
        told.remove_txt("_acme-challenge.a.test")
        assert ask("a.test", "A")[0] == "NOERROR"
        assert ask("_acme-challenge.a.test", "TXT")[1] == []
    logbook.close()


def test_what_keeps_it_from_starting_is_told(tmp_path: Path) -> None:
    logbook = Logbook(tmp_path / "log")
    dns = ChallengeDns(tmp_path / "dns", logbook)
    pebble = Pebble(tmp_path / "pebble", logbook, dns.address)
    (tmp_path / "pebble" / "pebble.json").write_text("{")
    with pytest.raises(DemoError, match="pebble did not start"), running(pebble.program):
        pass
    assert pebble.program.has_ended()
    logbook.close()
