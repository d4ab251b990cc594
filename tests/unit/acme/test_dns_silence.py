"""Name servers that misbehave: silent, old, forged, or talking of something else."""

from __future__ import annotations

import time
from collections.abc import Callable

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsig
import pytest
from pytest_django import Settings

from mailadmin.acme.dns import resolving
from mailadmin.acme.dns.dane import Tlsa, look_for_tlsa
from mailadmin.acme.dns.failures import DnsFailure
from mailadmin.acme.dns.resolving import Resolver, ask_server
from mailadmin.acme.dns.signing import TsigKey
from mailadmin.acme.dns.updating import DynamicUpdates, read_access
from mailadmin.acme.dns.wire import Server, parse_server
from mailadmin.issuance.preflight import Dnssec
from tests.loopback_dns import Reply, answering, in_zone

KEY = TsigKey("panel.test", "hmac-sha256", "c2VjcmV0LW9mLXRoZS1wYW5lbA==")


def refuse(rcode: dns.rcode.Rcode) -> Reply:
    def reply(question: dns.message.Message) -> list[bytes]:
        question.tsig = None
        answer = dns.message.make_response(question)
        answer.set_rcode(rcode)
        return [answer.to_wire()]

    return reply


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(DnsFailure) as error:
        work()
    assert KEY.secret not in repr(error.value.problem)
    return error.value.problem.code


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give one server all the time of a lookup, so that a busy machine is not taken for silence."""
    monkeypatch.setattr(resolving, "_TRY_LIMIT", 100)


def test_silence_ends_at_the_limit() -> None:
    with answering(lambda _question: []) as server:
        started = time.monotonic()
        answer = Resolver((server,), limit=0.3).ask("mail.example.org", "A")
        assert 0.25 < time.monotonic() - started < 60
    assert answer.is_silent
    assert answer.dnssec is Dnssec.UNKNOWN


def test_a_dns_that_knows_neither_tlsa_nor_zones_holds_no_tlsa() -> None:
    """So answers challtestsrv, the DNS of the demo."""
    with answering(refuse(dns.rcode.NOTIMP)) as server:
        found = look_for_tlsa("mail.example.org", 25, Resolver((server,), limit=100))
    assert (found.finding, found.rcode) == (Tlsa.UNKNOWN_TYPE, "NOTIMP")
    assert not found.may_name_key


def test_a_refusal_to_look_up_tlsa_tells_nothing_of_it() -> None:
    def reply(question: dns.message.Message) -> list[bytes]:
        is_tlsa = question.question[0].rdtype == dns.rdatatype.TLSA
        return refuse(dns.rcode.NOTIMP if is_tlsa else dns.rcode.SERVFAIL)(question)

    for behaviour, rcode in ((refuse(dns.rcode.SERVFAIL), "SERVFAIL"), (reply, "NOTIMP")):
        with answering(behaviour) as server:
            found = look_for_tlsa("mail.example.org", 25, Resolver((server,), limit=100))
        assert (found.finding, found.rcode) == (Tlsa.UNKNOWN, rcode)
        assert found.may_name_key


def test_rubbish_and_answers_to_other_questions_are_passed_over() -> None:
    def reply(question: dns.message.Message) -> list[bytes]:
        other = dns.message.make_query("other.example.org", "A")
        true = dns.message.make_response(question)
        return [b"rubbish", dns.message.make_response(other).to_wire(), true.to_wire()]

    with answering(reply) as server:
        assert Resolver((server,), limit=100).ask("mail.example.org", "A").rcode == "NOERROR"


def test_a_server_without_edns_is_asked_again_without() -> None:
    seen = []

    def reply(question: dns.message.Message) -> list[bytes]:
        seen.append(question.edns)
        answer = dns.message.make_response(question)
        answer.use_edns(False)
        answer.set_rcode(dns.rcode.FORMERR if question.edns == 0 else dns.rcode.NXDOMAIN)
        return [answer.to_wire()]

    with answering(reply) as server:
        assert Resolver((server,), limit=100).ask("mail.example.org", "A").rcode == "NXDOMAIN"
    assert seen == [0, -1]


def test_servfail_is_bogus_only_if_checking_disabled_helps() -> None:
    def reply(question: dns.message.Message) -> list[bytes]:
        answer = dns.message.make_response(question)
        if not question.flags & dns.flags.CD:
            answer.set_rcode(dns.rcode.SERVFAIL)
        return [answer.to_wire()]

    with answering(reply) as server:
        assert Resolver((server,), limit=100).ask("x.org", "A").dnssec is Dnssec.BOGUS
    with answering(refuse(dns.rcode.SERVFAIL)) as server:
        assert Resolver((server,), limit=100).ask("x.org", "A").dnssec is Dnssec.UNKNOWN


def test_a_name_that_dns_cannot_hold() -> None:
    resolver = Resolver((Server("127.0.0.1", 9),))
    for name in ("a" * 64 + ".org", "a..org", ".".join(["a" * 60] * 5)):
        assert code_of(lambda name=name: resolver.ask(name, "A")) == "dns.name_invalid"  # type: ignore[misc]


# Updates


def updates(server: Server, key: TsigKey = KEY) -> DynamicUpdates:
    return DynamicUpdates(server.address, key, Resolver((server,), limit=100), server.port, "x.org")


@pytest.mark.parametrize(
    ("rcode", "code"),
    [
        (dns.rcode.REFUSED, "dns.update_refused"),
        (dns.rcode.NOTAUTH, "dns.update_not_its_zone"),
        (dns.rcode.NOTZONE, "dns.update_outside_zone"),
        (dns.rcode.NOTIMP, "dns.update_not_offered"),
        (dns.rcode.SERVFAIL, "dns.update_failed"),
        # Anybody could say so.
        (dns.rcode.NOERROR, "dns.tsig_answer_wrong"),
    ],
)
def test_a_refusal_counts_without_a_signature_and_a_success_does_not(
    rcode: dns.rcode.Rcode, code: str
) -> None:
    with answering(refuse(rcode)) as server:
        assert code_of(lambda: updates(server).add_txt("a.x.org", "value")) == code


@pytest.mark.parametrize(
    ("served", "code"),
    [("x.org", "dns.tsig_key_unknown"), ("org", "dns.update_not_its_zone")],
)
def test_a_refusal_of_its_own_zone_without_a_signature_is_one_of_the_key(
    served: str, code: str
) -> None:
    def reply(question: dns.message.Message) -> list[bytes]:
        if question.opcode() == dns.opcode.UPDATE:
            return refuse(dns.rcode.NOTAUTH)(question)
        answer = dns.message.from_wire(in_zone(served)(question)[0])
        answer.flags |= dns.flags.AA
        return [answer.to_wire()]

    with answering(reply) as server:
        assert code_of(lambda: updates(server).add_txt("a.x.org", "value")) == code


def test_a_success_signed_with_another_key_does_not_count() -> None:
    def reply(question: dns.message.Message) -> list[bytes]:
        answer = dns.message.make_response(question)
        answer.use_tsig(dns.tsig.Key("panel.test.", b"another secret", dns.tsig.HMAC_SHA256))
        answer.request_mac = question.tsig[0].mac if question.tsig else b""
        return [answer.to_wire()]

    with answering(reply) as server:
        wrong = code_of(lambda: updates(server).add_txt("a.x.org", "value"))
    assert wrong == "dns.tsig_answer_wrong"


def test_what_a_key_must_be() -> None:
    given = {"server": "192.0.2.1", "key_name": "k", "algorithm": "hmac-sha256"}
    resolver = Resolver(())
    read = read_access(given, KEY.secret, resolver)
    assert (read.host, read.port, read.zone, read.key.name) == ("192.0.2.1", 53, "", "k")

    def refused(secret: str = KEY.secret, **other: object) -> str:
        return code_of(lambda: read_access(given | other, secret, resolver))

    for weak in ("hmac-md5", "hmac-sha1", "", "HMAC-SHA256"):
        assert refused(algorithm=weak) == "dns.tsig_algorithm"
    for secret in ("", "not base64!", "YQ", "é"):
        assert refused(secret) == "dns.tsig_secret_invalid"
    for port in ("0", "65536", "-1", "domain", "٣"):
        assert refused(port=port) == "dns.port_invalid"
    assert refused(key_name="a" * 64) == "dns.name_invalid"


# Whom to ask


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.53", Server("192.0.2.53")),
        ("192.0.2.53:5353", Server("192.0.2.53", 5353)),
        ("2001:db8::53", Server("2001:db8::53")),
        ("[2001:db8::53]:5353", Server("2001:db8::53", 5353)),
        ("[2001:db8::53]", Server("2001:db8::53")),
    ],
)
def test_servers_as_they_are_written(text: str, server: Server) -> None:
    assert parse_server(text) == server
    assert parse_server(str(server)) == server


@pytest.mark.parametrize(
    "text", ["", "dns.example.org", "192.0.2.53:0", "192.0.2.53:65536", "192.0.2.53:x", "[::1]53x"]
)
def test_what_is_no_server(text: str) -> None:
    assert code_of(lambda: parse_server(text)) == "dns.server_invalid"


def test_the_settings_name_whom_to_ask(settings: Settings) -> None:
    settings.DNS_RESOLVERS = ["127.0.0.1:8053", "[::1]:53"]
    assert Resolver.from_settings().servers == (Server("127.0.0.1", 8053), Server("::1"))
    settings.DNS_RESOLVERS = ["somewhere"]
    assert code_of(Resolver.from_settings) == "dns.server_invalid"


def test_only_the_kind_that_was_asked_for_is_read() -> None:
    def reply(question: dns.message.Message) -> list[bytes]:
        answer = dns.message.make_response(question)
        name = question.question[0].name
        answer.answer = [
            dns.rrset.from_text(name, 60, "IN", "TXT", '"one" "two"', '"caf\\195\\169"'),
            dns.rrset.from_text("else.org.", 60, "IN", "TXT", '"of another name"'),
        ]
        return [answer.to_wire()]

    with answering(reply) as server:
        deadline = time.monotonic() + 60
        answer = ask_server("x.org", "TXT", server, deadline)
    assert set(answer.texts) == {"onetwo", "café"}
    assert (answer.addresses, answer.targets, answer.caa, answer.tlsa) == ((), (), (), ())
