"""DNS for challenges against real servers: Knot, which is written to, and Unbound, which looks up
and validates."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable

import pytest
from pytest_django import Settings

from mailadmin.acme.dns import delegation, resolving, waiting
from mailadmin.acme.dns.answers import Answer, CaaValue, TlsaValue
from mailadmin.acme.dns.dane import Tlsa, look_for_tlsa
from mailadmin.acme.dns.failures import DnsFailure
from mailadmin.acme.dns.resolving import Resolver
from mailadmin.acme.dns.updating import DynamicUpdates
from mailadmin.acme.dns.waiting import Sight
from mailadmin.acme.dns.wire import Server
from mailadmin.issuance.preflight import Dnssec
from mailadmin.pki.problems import Problem
from tests.nameservers import (
    IPV6,
    LOOKING_UP,
    NOBODY,
    PRIMARY,
    SECONDARY,
    NameServers,
    draw_key,
)

pytestmark = pytest.mark.integration


def refused(work: Callable[[], object], *secrets: str) -> Problem:
    """Return the problem, having looked for the secrets in everything that a log would show."""
    with pytest.raises(DnsFailure) as error:
        work()
    shown = "".join(traceback.format_exception(error.value)) + repr(error.value.problem)
    assert not any(secret in shown for secret in secrets)
    return error.value.problem


# Looking up


def test_addresses_of_both_families_and_through_an_alias(name_servers: NameServers) -> None:
    answer = name_servers.resolver.ask("alias.example.test", "A")
    assert (answer.rcode, answer.addresses) == ("NOERROR", ("127.0.0.1",))
    assert answer.aliases == ("alias.example.test",)
    assert name_servers.resolver.ask("mail.example.test", "AAAA").addresses == (IPV6,)


def test_a_name_that_is_not_there_and_one_without_such_records(name_servers: NameServers) -> None:
    absent = name_servers.resolver.ask("absent.example.test", "A")
    assert (absent.rcode, absent.addresses, absent.zone) == ("NXDOMAIN", (), "example.test")
    without = name_servers.resolver.ask("web.example.test", "AAAA")
    assert (without.rcode, without.addresses, without.zone) == ("NOERROR", (), "example.test")


def test_caa_tlsa_and_the_zone(name_servers: NameServers) -> None:
    ask = name_servers.resolver.ask
    assert set(ask("example.test", "CAA").caa) == {
        CaaValue(0, "issue", "pebble.test; accounturi=https://pebble.test/account/1"),
        CaaValue(128, "issuewild", ";"),
    }
    assert ask("_25._tcp.mail.example.test", "TLSA").tlsa == (TlsaValue(3, 1, 1, "ab" * 32),)
    assert ask("example.test", "SOA").primary == "ns1.example.test"
    assert sorted(ask("example.test", "NS").targets) == ["ns1.example.test", "ns2.example.test"]


def test_signed_unsigned_and_bogus_are_told_apart(name_servers: NameServers) -> None:
    ask = name_servers.resolver.ask
    assert ask("mail.signed.test", "A").dnssec is Dnssec.SECURE
    assert ask("absent.signed.test", "A").dnssec is Dnssec.SECURE
    assert ask("mail.example.test", "A").dnssec is Dnssec.INSECURE
    bogus = ask("mail.expired.test", "A")
    assert (bogus.rcode, bogus.dnssec, bogus.addresses) == ("SERVFAIL", Dnssec.BOGUS, ())
    assert bogus.explanation
    # No answer either way: what is wrong is not the signature.
    broken = ask("mail.example.org", "A")
    assert (broken.rcode, broken.dnssec) == ("SERVFAIL", Dnssec.UNKNOWN)


def test_an_answer_too_large_for_a_datagram_comes_whole(name_servers: NameServers) -> None:
    texts = name_servers.resolver.ask("large.example.test", "TXT").texts
    assert {text[0] + text[-1] for text in texts} == {"ab", "cd", "ef", "gh"}
    assert {len(text) for text in texts} == {500}


def test_nobody_there_is_told_in_time_and_the_next_one_is_asked(name_servers: NameServers) -> None:
    nobody, somebody = Server(NOBODY, name_servers.port), Server(LOOKING_UP, name_servers.port)
    started = time.monotonic()
    answer = Resolver((nobody,)).ask("mail.example.test", "A")
    assert answer.is_silent
    assert answer.dnssec is Dnssec.UNKNOWN
    assert Resolver((nobody, somebody)).ask("mail.example.test", "A").addresses == ("127.0.0.1",)
    # Sooner than it would be given up.
    assert time.monotonic() - started < 2 * resolving._TRY_LIMIT


def test_tlsa_is_ruled_out_only_by_an_answer(name_servers: NameServers) -> None:
    nobody = Resolver((Server(NOBODY, name_servers.port),))
    assert look_for_tlsa("mail.example.test", 25, name_servers.resolver).finding is Tlsa.PRESENT
    assert look_for_tlsa("web.example.test", 25, name_servers.resolver).finding is Tlsa.ABSENT
    silent = look_for_tlsa("web.example.test", 25, nobody)
    assert (silent.finding, silent.rcode, silent.may_name_key) == (Tlsa.UNKNOWN, "", True)


@pytest.mark.parametrize(("host", "finding"), [("mail", Tlsa.PRESENT), ("web", Tlsa.ABSENT)])
def test_a_resolver_that_knows_no_tlsa_is_passed_by(
    host: str, finding: Tlsa, name_servers: NameServers, settings: Settings
) -> None:
    settings.DNS_AUTHORITY_PORT = name_servers.port
    resolver = KnowsNoTlsa(name_servers.resolver.servers)
    found = look_for_tlsa(f"{host}.example.test", 25, resolver)
    assert (found.finding, found.rcode) == (finding, "NOTIMP")


class KnowsNoTlsa(Resolver):
    """A forwarder that passes on all but TLSA."""

    def ask(self, name: str, kind: str) -> Answer:
        if kind == "TLSA":
            return Answer(name, kind, "NOTIMP")
        return super().ask(name, kind)


# Where a record is


def test_a_delegated_record_is_found_in_its_own_zone(name_servers: NameServers) -> None:
    place = delegation.find_record("_acme-challenge.lent.example.test", name_servers.resolver)
    assert place.record_name == "lent.delegated.test"
    assert place.aliases == ("_acme-challenge.lent.example.test",)
    assert place.zone.name == "delegated.test"
    assert [server.name for server in place.zone.servers] == ["ns1.example.test"]


def test_a_record_that_is_not_there_yet_has_a_zone_with_all_its_servers(
    name_servers: NameServers,
) -> None:
    place = delegation.find_record("_acme-challenge.new.example.test", name_servers.resolver)
    assert place.aliases == ()
    assert {server.name: server.addresses for server in place.zone.servers} == {
        "ns1.example.test": (PRIMARY, IPV6),
        "ns2.example.test": (SECONDARY,),
    }


def test_aliases_that_end_nowhere(name_servers: NameServers) -> None:
    find = delegation.find_record
    # Unbound gives up on the loop itself; asked hop by hop it answers.
    loop = refused(lambda: find("_acme-challenge.round.example.test", name_servers.resolver))
    assert loop.code == "dns.alias_loop"
    assert str(loop.params["chain"]).endswith(
        "one.example.test → two.example.test → one.example.test"
    )
    long = refused(lambda: find("hop0.example.test", name_servers.resolver))
    assert long.code == "dns.alias_too_long"
    bogus = refused(lambda: find("_acme-challenge.expired.test", name_servers.resolver))
    assert (bogus.code, bogus.params["rcode"]) == ("dns.bogus", "SERVFAIL")
    unknown = refused(lambda: find("_acme-challenge.example.org", name_servers.resolver))
    assert unknown.code == "dns.lookup_failed"
    nobody = Resolver((Server(NOBODY, name_servers.port),))
    assert refused(lambda: find("mail.example.test", nobody)).code == "dns.no_answer"


# Writing


def test_two_values_stand_side_by_side_and_one_goes_alone(name_servers: NameServers) -> None:
    updates, name = name_servers.updates(), "_acme-challenge.both.example.test"
    updates.add_txt(name, "of the name")
    updates.add_txt(name, "of the wildcard")
    updates.add_txt(name, "of the wildcard")
    assert name_servers.texts(name) == ["of the name", "of the wildcard"]
    updates.remove_txt(name, "of the name")
    updates.remove_txt(name, "of nobody")
    assert name_servers.texts(name) == ["of the wildcard"]


def test_a_long_value_is_one_record(name_servers: NameServers) -> None:
    value = "pebble.test; accounturi=https://pebble.test/" + "x" * 300
    name_servers.updates(zone="delegated.test").add_txt("_validation-persist.delegated.test", value)
    assert name_servers.texts("_validation-persist.delegated.test") == [value]


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "hmac-sha384", "hmac-sha512"])
def test_a_wrong_key_changes_nothing_and_is_not_shown(
    name_servers: NameServers, algorithm: str
) -> None:
    key = draw_key(name_servers.key.name, algorithm)
    name = f"_acme-challenge.{algorithm}.example.test"
    problem = refused(lambda: name_servers.updates(key=key).add_txt(name, "value"), key.secret)
    # Another algorithm than the server has for it makes it another key.
    is_same = algorithm == name_servers.key.algorithm
    assert problem.code == ("dns.tsig_secret_wrong" if is_same else "dns.tsig_key_unknown")
    assert name_servers.texts(name) == []
    assert key.secret not in repr(name_servers.updates(key=key))


@pytest.mark.parametrize("is_known", [True, False])
def test_a_key_the_server_does_not_know_or_does_not_allow(
    name_servers: NameServers, is_known: bool
) -> None:
    key = name_servers.idle_key if is_known else draw_key("stranger.example.test")
    updates = name_servers.updates(key=key)
    problem = refused(lambda: updates.add_txt("x.example.test", "value"), key.secret)
    assert (problem.code, problem.params["rcode"]) == ("dns.tsig_key_unknown", "NOTAUTH")


@pytest.mark.parametrize(
    ("offset", "code"), [(3600, "dns.tsig_clock_ahead"), (-3600, "dns.tsig_clock_behind")]
)
def test_a_wrong_clock_is_told_with_the_difference(
    name_servers: NameServers, monkeypatch: pytest.MonkeyPatch, offset: int, code: str
) -> None:
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + offset)
    problem = refused(
        lambda: name_servers.updates().add_txt("_acme-challenge.time.example.test", "value"),
        name_servers.key.secret,
    )
    assert problem.code == code
    assert abs(int(problem.params["seconds"]) - 3600) <= 1


def test_zones_that_the_server_does_not_have(name_servers: NameServers) -> None:
    def add(name: str, zone: str = "", address: str = PRIMARY) -> Problem:
        updates = name_servers.updates(zone=zone, address=address)
        return refused(lambda: updates.add_txt(name, "value"), name_servers.key.secret)

    assert add("x.foreign.test").code == "dns.update_no_zone"
    assert add("x.foreign.test", zone="foreign.test").code == "dns.update_not_its_zone"
    assert add("x.example.test", zone="delegated.test").code == "dns.update_outside_zone"
    assert add("x.example.test", address=NOBODY).code == "dns.update_unreachable"
    assert add("x.example.test", "example.test", NOBODY).code == "dns.update_unreachable"


def test_the_server_may_be_given_by_its_name(name_servers: NameServers) -> None:
    key, resolver, port = name_servers.key, name_servers.resolver, name_servers.port
    name = "_acme-challenge.named.example.test"
    DynamicUpdates("ns1.example.test", key, resolver, port).add_txt(name, "value")
    assert name_servers.texts(name) == ["value"]
    unknown = DynamicUpdates("absent.example.test", key, resolver, port)
    assert refused(lambda: unknown.add_txt(name, "x")).code == "dns.update_host_unknown"


# Waiting until all servers show it


def test_a_server_that_lags_holds_it_up(name_servers: NameServers, settings: Settings) -> None:
    settings.DNS_AUTHORITY_PORT = name_servers.port
    name = "_acme-challenge.lag.example.test"

    def sights(value: str) -> dict[str, Sight]:
        seen = waiting.look(name, value, name_servers.resolver)
        assert seen.is_everywhere == (set(found(seen).values()) == {Sight.SEEN})
        return found(seen)

    name_servers.updates().add_txt(name, "value")
    assert sights("value") == {"ns1.example.test": Sight.SEEN, "ns2.example.test": Sight.NOT_YET}
    name_servers.updates(address=SECONDARY).add_txt(name, "value")
    assert sights("value") == {"ns1.example.test": Sight.SEEN, "ns2.example.test": Sight.SEEN}
    assert set(sights("another value").values()) == {Sight.NOT_YET}


def test_servers_astray_and_out_of_reach_are_named(
    name_servers: NameServers, settings: Settings
) -> None:
    settings.DNS_AUTHORITY_PORT = name_servers.port
    name_servers.updates().add_txt("_acme-challenge.lame.test", "value")
    seen = waiting.look("_acme-challenge.lame.test", "value", name_servers.resolver)
    assert found(seen) == {
        "ns1.example.test": Sight.SEEN,
        "ns2.example.test": Sight.ASTRAY,
        "down.lame.test": Sight.UNREACHABLE,
    }
    assert not seen.is_everywhere
    servers = seen.as_dict()["servers"]
    assert isinstance(servers, list)
    assert {"name": "down.lame.test", "sight": "unreachable"}.items() <= servers[0].items()
    assert [item["address"] for item in servers[1]["addresses"]] == [PRIMARY, IPV6]


def found(seen: waiting.Look) -> dict[str, Sight]:
    return {server.name: server.sight for server in seen.servers}
