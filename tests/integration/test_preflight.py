"""A look at the names before ordering: real name servers, real connections over both families."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pytest_django import Settings

from mailadmin.acme import preflight
from mailadmin.acme.http01 import ChallengeFailure
from mailadmin.acme.models import AcmeAccount, AcmeCertificate, DnsAccess
from mailadmin.acme.sealing import seal_secret
from mailadmin.demo.authority.ports import find_free_port
from mailadmin.pki.problems import Problem
from tests.nameservers import IPV6, LOOKING_UP, PRIMARY, NameServers

pytestmark = [pytest.mark.integration, pytest.mark.django_db]
FOLDER = "/.well-known/acme-challenge/"


@dataclass
class Web:
    """What answers on the challenge port of both loopback addresses, and how it is presented."""

    port: int
    answers: dict[str, str] = field(default_factory=dict)
    # By family: what is answered instead.
    wrong: dict[str, str] = field(default_factory=dict)
    hosts: list[str] = field(default_factory=list)
    cannot: Problem | None = None

    def present(self, token: str, key_authorization: str, seconds: int) -> None:
        if self.cannot:
            raise ChallengeFailure(self.cannot)
        self.answers[token] = key_authorization

    def withdraw(self, token: str) -> None:
        del self.answers[token]


@pytest.fixture
def web(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name_servers: NameServers
) -> Iterator[Web]:
    served = Web(find_free_port())
    settings.ACME_HTTP_PORT = served.port
    settings.IS_PRIVATE_ACME_ALLOWED = True
    settings.DNS_RESOLVERS = [f"{LOOKING_UP}:{name_servers.port}"]
    settings.DNS_AUTHORITY_PORT = name_servers.port
    monkeypatch.setattr(preflight, "find_way", lambda _wanted: served)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_listening(served, "127.0.0.1"))
        stack.enter_context(_listening(served, IPV6))
        yield served


@contextlib.contextmanager
def _listening(served: Web, address: str) -> Iterator[None]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.hosts.append(str(self.headers["Host"]))
            found = served.answers.get(self.path.removeprefix(FOLDER), "")
            content = served.wrong.get(address, found)
            self.send_response(200 if content else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

    with Server((address, served.port), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


@dataclass
class Told:
    """What was told of the names, in the order it was."""

    codes: dict[str, list[str]] = field(default_factory=dict)
    problems: dict[str, list[Problem]] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __call__(self, name: str, problems: list[Problem], facts: dict[str, Any]) -> None:
        assert name not in self.codes
        self.codes[name] = [problem.code for problem in problems]
        self.problems[name], self.facts[name] = problems, facts


def look(*names: str, challenge: str = "http-01", access: DnsAccess | None = None) -> Told:
    told = Told()
    assert preflight.run(make_wanted(*names, challenge=challenge, access=access), tell=told) == []
    assert set(told.codes) == set(names)
    return told


def make_wanted(
    *names: str, challenge: str = "http-01", access: DnsAccess | None = None
) -> AcmeCertificate:
    account = AcmeAccount.objects.create(
        title="Pebble",
        directory_url="https://pebble.test/dir",
        account_url="https://pebble.test/account/1",
        about={"caa_identities": ["pebble.test"]},
        created_by="ada",
    )
    return AcmeCertificate.objects.create(
        names=list(names),
        account=account,
        challenge=challenge,
        dns_access=access,
        key_kind="ecdsa-p256",
        created_by="ada",
    )


def make_access(name_servers: NameServers, secret: str = "") -> DnsAccess:
    return DnsAccess.objects.create(
        title="ns1",
        kind=DnsAccess.Kind.RFC2136,
        settings={
            "server": PRIMARY,
            "port": name_servers.port,
            "zone": "",
            "key_name": name_servers.key.name,
            "algorithm": name_servers.key.algorithm,
        },
        secret=seal_secret(secret or name_servers.key.secret),
        created_by="ada",
    )


# Over port 80


def test_our_path_is_found_over_both_families(web: Web) -> None:
    told = look("mail.example.test")
    assert told.codes == {"mail.example.test": []}
    paths = told.facts["mail.example.test"]["paths"]
    assert [(path["address"], path["answer"]) for path in paths] == [
        (IPV6, "ours"),
        ("127.0.0.1", "ours"),
    ]
    assert set(web.hosts) == {f"mail.example.test:{web.port}"}
    # The probe is gone again.
    assert web.answers == {}


def test_a_wrong_answer_over_one_family_is_found(web: Web) -> None:
    web.wrong[IPV6] = "another site"
    told = look("mail.example.test", "web.example.test")
    assert told.codes["mail.example.test"] == ["acme.path_answers_other"]
    assert told.problems["mail.example.test"][0].params["address"] == IPV6
    # This one has no address of that family.
    assert told.codes["web.example.test"] == []


def test_each_bad_name_is_told_and_keeps_none_of_the_others_back(web: Web) -> None:
    told = look(
        "mail.example.test", "absent.example.test", "mail.expired.test", "open.example.test"
    )
    assert told.codes["mail.example.test"] == []
    assert "acme.name_unknown" in told.codes["absent.example.test"]
    assert "acme.dns_bogus" in told.codes["mail.expired.test"]
    assert "acme.caa_bogus" in told.codes["mail.expired.test"]
    assert "acme.caa_other_issuer" in told.codes["open.example.test"]
    caa = told.facts["mail.example.test"]["caa"]
    assert [each["at"] for each in caa] == ["mail.example.test", "example.test"]


def test_addresses_an_authority_cannot_reach_are_said_and_not_called(
    web: Web, settings: Settings
) -> None:
    settings.IS_PRIVATE_ACME_ALLOWED = False
    told = look("mail.example.test", "127.0.0.1")
    assert told.codes["mail.example.test"] == ["acme.address_not_public"] * 2
    assert told.codes["127.0.0.1"] == ["acme.address_not_public"]
    assert web.hosts == []


def test_when_nothing_can_be_put_there_that_is_what_is_wrong(web: Web) -> None:
    web.cannot = Problem("challenge.port_taken")
    told = Told()
    assert preflight.run(make_wanted("mail.example.test"), tell=told) == [web.cannot]
    assert told.codes == {}


def test_a_look_that_takes_too_long_is_ended(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_WHOLE_LIMIT", 0.0)
    told = look("mail.example.test")
    assert told.codes == {"mail.example.test": ["acme.preflight_out_of_time"]}


# By DNS


def test_a_delegated_record_is_written_where_it_is(web: Web, name_servers: NameServers) -> None:
    told = look(
        "lent.example.test",
        challenge="dns-01",
        access=make_access(name_servers),
    )
    assert told.codes["lent.example.test"] == ["acme.record_aliased"]
    assert told.facts["lent.example.test"]["record"] == {
        "name": "_acme-challenge.lent.example.test",
        "target": "lent.delegated.test",
        "zone": "delegated.test",
        "servers": ["ns1.example.test"],
        "is_writable": True,
    }
    assert name_servers.texts("lent.delegated.test") == []
    assert web.hosts == []


def test_what_keeps_a_record_from_being_written(web: Web, name_servers: NameServers) -> None:
    told = look(
        "*.mail.example.test",
        "round.example.test",
        "expired.test",
        challenge="dns-01",
        access=make_access(name_servers, "d3Jvbmcgc2VjcmV0"),
    )
    # CAA of the zone lets nobody issue for wildcards.
    assert told.codes["*.mail.example.test"] == ["dns.tsig_secret_wrong", "acme.caa_other_issuer"]
    assert told.codes["round.example.test"] == ["dns.alias_loop"]
    assert "acme.dns_bogus" in told.codes["expired.test"]


def test_by_hand_only_looks(web: Web, name_servers: NameServers) -> None:
    told = look("mail.example.test", challenge="dns-01")
    assert told.codes["mail.example.test"] == []
    record = told.facts["mail.example.test"]["record"]
    assert record["servers"] == ["ns1.example.test", "ns2.example.test"]
    assert record["is_writable"] is None


def test_a_resolver_that_is_none_is_wrong_with_all(web: Web, settings: Settings) -> None:
    settings.DNS_RESOLVERS = ["nowhere"]
    (problem,) = preflight.run(make_wanted("mail.example.test"), tell=Told())
    assert problem.code == "dns.server_invalid"
