"""The client against real authorities: Debian's Pebble, and the newer one with renewal information.

What Pebble cannot be made to do is in tests/unit/acme.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import PolicyBuilder, Store

from mailadmin.acme.client import AcmeFailure
from mailadmin.demo.authority import PEBBLE, Options
from mailadmin.issuance.renewal_info import renewal_id
from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.keys import KeyKind
from tests.acme_clients import (
    connect,
    decided_authorization,
    decided_order,
    draw_key_pem,
    issue,
    make_csr,
    names_of,
    present,
    prove,
    registered,
)
from tests.authorities import RunningAuthority, find_newer_pebble, run_authority

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

NAMES = ["mail.example.org", "imap.example.org"]
# As long as the digest of HS256: a shorter one is refused (RFC 7518, section 3.2).
EAB_KEY = "c2VjcmV0LWtleS1vZi0zMi1ieXRlcy0uLi4uLi4uLi4"


@pytest.fixture(autouse=True)
def _private_authorities(settings: Any) -> None:
    settings.IS_PRIVATE_ACME_ALLOWED = True


@pytest.fixture(scope="module", params=[PEBBLE, find_newer_pebble()], ids=["installed", "newer"])
def either(request: pytest.FixtureRequest) -> Iterator[RunningAuthority]:
    """Yield an authority of each kind, one after the other."""
    executable: Path = request.param
    with run_authority(executable=executable) as running:
        yield running


@pytest.fixture(scope="module")
def usual() -> Iterator[RunningAuthority]:
    """Yield Debian's own, as mild as it can be."""
    with run_authority() as running:
        yield running


@pytest.fixture(scope="module")
def newer() -> Iterator[RunningAuthority]:
    """Yield one that has renewal information."""
    with run_authority(executable=find_newer_pebble()) as running:
        yield running


def issuer_name(certificate: x509.Certificate) -> str:
    return str(certificate.issuer.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)


def renewal_id_of(certificate: x509.Certificate) -> str:
    return renewal_id(read_certificate(certificate.public_bytes(Encoding.PEM)))


# Issuing


def test_a_certificate_is_issued_after_real_validation(either: RunningAuthority) -> None:
    with registered(either) as client:
        leaf, *chain = issue(either, client, NAMES)
    assert names_of(leaf) == sorted(NAMES)
    assert set(NAMES) <= set(either.web.asked)
    root = x509.load_pem_x509_certificate(either.pebble.issuing_root_pem().encode())
    policy = PolicyBuilder().store(Store([root]))
    assert chain[-1].issuer == root.subject
    for name in NAMES:
        policy.build_server_verifier(x509.DNSName(name)).verify(leaf, chain)


@pytest.mark.parametrize("kind", [KeyKind.ECDSA_P256, KeyKind.ECDSA_P384, KeyKind.RSA_2048])
def test_the_account_may_have_any_key_the_panel_makes(
    usual: RunningAuthority, kind: KeyKind
) -> None:
    with registered(usual, draw_key_pem(kind)) as client:
        assert names_of(issue(usual, client, NAMES[:1])[0]) == NAMES[:1]


def test_a_wildcard_is_issued_by_dns(either: RunningAuthority) -> None:
    names = ["*.wild.example.org", "wild.example.org"]
    with registered(either) as client:
        order = client.new_order(names)
        seen = [client.read_authorization(url) for url in order.authorization_urls]
        assert {(state.name, state.is_wildcard) for state in seen} == {
            ("wild.example.org", True),
            ("wild.example.org", False),
        }
        assert {offer.kind for state in seen if state.is_wildcard for offer in state.offers} == {
            "dns-01"
        }
        prove(either, client, order, "dns-01")
        client.finalize(order.url, make_csr(names))
        done = decided_order(client, order.url)
        chain = client.download(done.certificate_url)
    assert names_of(x509.load_pem_x509_certificate(chain.encode())) == names


def test_strict_mode_finds_nothing_to_object_to() -> None:
    with run_authority(Options(is_strict=True)) as running, registered(running) as client:
        assert len(issue(running, client, NAMES)) == 2


def test_another_worker_goes_on_with_an_order_from_its_url(usual: RunningAuthority) -> None:
    key = draw_key_pem()
    csr = make_csr(NAMES)
    with registered(usual, key) as first:
        account_url = first.account_url
        order = first.new_order(NAMES)
        prove(usual, first, order)
    with connect(usual, key, account_url) as second:
        seen = second.read_order(order.url)
        assert (seen.status, seen.url) == ("ready", order.url)
        assert set(seen.authorization_urls) == set(order.authorization_urls)
        second.finalize(order.url, csr)
    with connect(usual, key, account_url) as third:
        done = decided_order(third, order.url)
        # Handed in a second time it changes nothing, whether or not this worker knew of it.
        again = third.finalize(order.url, csr)
        assert (again.status, again.certificate_url) == ("valid", done.certificate_url)
        assert "BEGIN CERTIFICATE" in third.download(done.certificate_url)
    with connect(usual, key, account_url) as fourth:
        assert fourth.finalize(order.url, csr).certificate_url == done.certificate_url


def test_an_order_that_is_not_ready_stays_as_it_is(usual: RunningAuthority) -> None:
    with registered(usual) as client:
        order = client.new_order(NAMES)
        assert client.finalize(order.url, make_csr(NAMES)).status == "pending"


def test_a_request_for_other_names_is_refused(usual: RunningAuthority) -> None:
    with registered(usual) as client:
        order = client.new_order(NAMES)
        prove(usual, client, order)
        with pytest.raises(AcmeFailure) as refused:
            client.finalize(order.url, make_csr(["other.example.org"]))
    assert refused.value.kind == "unauthorized"
    assert refused.value.status == 403


def test_one_name_that_cannot_be_proven_spoils_the_order_and_is_named(
    usual: RunningAuthority,
) -> None:
    with registered(usual) as client:
        order = client.new_order([*NAMES, "bad.example.org"])
        for url in order.authorization_urls:
            state = client.read_authorization(url)
            challenge_url = present(usual, client, state)
            if state.name == "bad.example.org":
                token = next(offer.token for offer in state.offers if offer.kind == "http-01")
                del usual.web.answers[token]
            client.answer(challenge_url)
        ended = [decided_authorization(client, url) for url in order.authorization_urls]
        assert {state.name: state.status for state in ended} == {
            **dict.fromkeys(NAMES, "valid"),
            "bad.example.org": "invalid",
        }
        bad = next(state for state in ended if state.status == "invalid")
        assert bad.problem is not None
        assert bad.problem.subject == "bad.example.org"
        assert bad.problem.params["kind"] == "unauthorized"
        assert "404" in str(bad.problem.params["words"])
        assert decided_order(client, order.url).status == "invalid"


def test_a_server_that_does_not_answer_is_a_connection_problem(usual: RunningAuthority) -> None:
    usual.dns.set_addresses("dark.example.org", "127.0.0.77")
    with registered(usual) as client:
        [ended] = prove(usual, client, client.new_order(["dark.example.org"]))
    assert ended.status == "invalid"
    assert ended.problem is not None
    assert ended.problem.code == "acme.host_not_reached"


def test_a_proof_that_is_still_valid_is_used_again() -> None:
    with (
        run_authority(Options(reused_authorizations=100)) as running,
        registered(running) as client,
    ):
        issue(running, client, NAMES)
        asked = len(running.web.asked)
        order = client.new_order(NAMES)
        assert order.status == "ready"
        assert {client.read_authorization(url).status for url in order.authorization_urls} == {
            "valid"
        }
        assert names_of(issue(running, client, NAMES)[0]) == sorted(NAMES)
        assert len(running.web.asked) == asked


def test_a_proof_that_is_given_up_is_not_pending_any_more(usual: RunningAuthority) -> None:
    with registered(usual) as client:
        order = client.new_order(NAMES)
        client.deactivate_authorization(order.authorization_urls[0])
        assert client.read_authorization(order.authorization_urls[0]).status == "deactivated"


def test_a_name_the_authority_will_not_have_is_refused() -> None:
    with (
        run_authority(Options(blocked_names=("blocked.example.org",))) as running,
        registered(running) as client,
        pytest.raises(AcmeFailure) as refused,
    ):
        client.new_order(["blocked.example.org"])
    assert refused.value.kind == "rejectedIdentifier"


# Nonces


def test_half_of_all_nonces_refused_is_no_hindrance() -> None:
    with run_authority(Options(rejected_nonces=50)) as running, registered(running) as client:
        assert names_of(issue(running, client, NAMES)[0]) == sorted(NAMES)


def test_an_authority_that_refuses_every_nonce_is_given_up() -> None:
    with (
        run_authority(Options(rejected_nonces=100)) as running,
        connect(running) as client,
        pytest.raises(AcmeFailure) as refused,
    ):
        client.register(contact="", agrees_to_terms=True)
    assert refused.value.problem.code == "ca.nonces_refused"
    assert refused.value.problem.params["times"] == 20


# The account


def test_an_account_is_found_by_its_key(usual: RunningAuthority) -> None:
    key = draw_key_pem()
    with connect(usual, key) as client:
        assert client.find_account() == ""
        url = client.register(contact="postmaster@example.org", agrees_to_terms=True)
    with connect(usual, key) as client:
        assert client.find_account() == url
        assert client.account_url == url
        assert client.register(contact="", agrees_to_terms=True) == url


def test_terms_that_were_not_agreed_to_are_no_account(usual: RunningAuthority) -> None:
    with connect(usual) as client, pytest.raises(AcmeFailure) as refused:
        client.register(contact="", agrees_to_terms=False)
    assert refused.value.kind == "agreementRequired"


def test_the_contact_is_replaced_and_removed(usual: RunningAuthority) -> None:
    with registered(usual) as client:
        client.update_contact("hostmaster@example.org")
        client.update_contact("")
        with pytest.raises(AcmeFailure) as refused:
            client.update_contact("nobody")
    assert refused.value.kind in {"invalidContact", "unsupportedContact"}


def test_the_account_goes_over_to_another_key(usual: RunningAuthority) -> None:
    old, new = draw_key_pem(), draw_key_pem(KeyKind.RSA_2048)
    with registered(usual, old) as client:
        account_url, thumbprint = client.account_url, client.thumbprint
        client.roll_key(new)
        assert client.thumbprint != thumbprint
        issue(usual, client, NAMES)
    with connect(usual, old) as before, connect(usual, new) as after:
        assert before.find_account() == ""
        assert after.find_account() == account_url


def test_a_key_that_has_an_account_takes_over_no_other(usual: RunningAuthority) -> None:
    taken = draw_key_pem()
    registered(usual, taken).close()
    with registered(usual) as client:
        with pytest.raises(AcmeFailure) as refused:
            client.roll_key(taken)
        # It still signs with its own.
        client.update_contact("hostmaster@example.org")
    assert refused.value.is_key_taken


def test_a_key_that_has_the_account_already_is_no_trouble(usual: RunningAuthority) -> None:
    old, new = draw_key_pem(), draw_key_pem()
    with registered(usual, old) as client, connect(usual, old) as late:
        late.find_account()
        client.roll_key(new)
        # The answer was lost, and another worker asks again with the key from before.
        late.roll_key(new)
        late.update_contact("hostmaster@example.org")


def test_an_account_that_is_given_up_orders_nothing(usual: RunningAuthority) -> None:
    with registered(usual) as client:
        client.deactivate()
        with pytest.raises(AcmeFailure) as refused:
            client.new_order(NAMES)
    assert refused.value.kind == "unauthorized"
    assert not refused.value.is_account_lost


def test_an_account_that_the_authority_forgot_is_noticed_and_made_anew() -> None:
    with run_authority() as running, registered(running) as client:
        order = client.new_order(NAMES)
        before = client.account_url
        running.restart()
        with pytest.raises(AcmeFailure) as lost:
            client.new_order(NAMES)
        assert lost.value.is_account_lost
        assert client.register(contact="", agrees_to_terms=True) != before
        with pytest.raises(AcmeFailure) as gone:
            client.read_order(order.url)
        assert gone.value.is_gone
        assert names_of(issue(running, client, NAMES)[0]) == sorted(NAMES)


def test_an_authority_that_is_down_is_reached_again_later() -> None:
    with run_authority() as running, registered(running) as client:
        running.pebble.program.kill()
        with pytest.raises(AcmeFailure) as down:
            client.new_order(NAMES)
        assert down.value.problem.code == "ca.unreachable"
        assert down.value.problem.params["detail"] == "Connection refused"
        running.start_again()
        client.register(contact="", agrees_to_terms=True)
        assert client.new_order(NAMES).status == "pending"


# External accounts


@pytest.fixture(scope="module")
def closed() -> Iterator[RunningAuthority]:
    """Yield an authority that takes only those who have a key of it."""
    with run_authority(Options(eab_keys={"kid-1": EAB_KEY})) as running:
        yield running


def test_an_external_account_is_bound(closed: RunningAuthority) -> None:
    with connect(closed) as client:
        assert client.directory().needs_eab
        client.register(contact="", agrees_to_terms=True, eab=("kid-1", EAB_KEY))
        assert names_of(issue(closed, client, NAMES)[0]) == sorted(NAMES)


def test_without_an_external_account_nobody_gets_in(closed: RunningAuthority) -> None:
    with connect(closed) as client, pytest.raises(AcmeFailure) as refused:
        client.register(contact="", agrees_to_terms=True)
    assert refused.value.kind == "externalAccountRequired"


@pytest.mark.parametrize("eab", [("kid-2", EAB_KEY), ("kid-1", EAB_KEY[::-1])])
def test_a_wrong_external_key_is_refused_and_not_shown(
    closed: RunningAuthority, eab: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with connect(closed) as client, pytest.raises(AcmeFailure) as refused:
        client.register(contact="", agrees_to_terms=True, eab=eab)
    assert refused.value.kind
    shown = f"{refused.value!r} {refused.value.problem.as_dict()} {caplog.text}"
    assert eab[1] not in shown


# Chains


def test_the_chain_to_another_root_is_taken_if_asked_for() -> None:
    with run_authority(Options(alternate_roots=2)) as running, registered(running) as client:
        roots = [
            issuer_name(x509.load_pem_x509_certificate(running.pebble.issuing_root_pem(n).encode()))
            for n in range(3)
        ]
        assert len(set(roots)) == 3
        for root in roots:
            assert issuer_name(issue(running, client, NAMES, root=root)[-1]) == root
        usual_root = issuer_name(issue(running, client, NAMES)[-1])
        unknown = issue(running, client, NAMES, root="Root that nobody has")
        assert issuer_name(unknown[-1]) == usual_root


def test_a_longer_chain_is_whole() -> None:
    with run_authority(Options(chain_length=3)) as running, registered(running) as client:
        chain = issue(running, client, NAMES)
    assert len(chain) == 4
    for lower, upper in itertools.pairwise(chain):
        assert lower.issuer == upper.subject


def test_a_certificate_is_revoked_once(usual: RunningAuthority) -> None:
    with registered(usual) as client:
        pem = issue(usual, client, NAMES)[0].public_bytes(Encoding.PEM).decode()
        client.revoke(pem, 4)
        client.revoke(pem, 4)
        pem = issue(usual, client, NAMES)[0].public_bytes(Encoding.PEM).decode()
    with registered(usual) as other, pytest.raises(AcmeFailure) as refused:
        other.revoke(pem, 4)
    assert refused.value.kind == "unauthorized"


# Renewal information


def test_renewal_information_is_read_where_there_is_some(newer: RunningAuthority) -> None:
    with registered(newer) as client:
        leaf = issue(newer, client, NAMES)[0]
        assert client.directory().has_renewal_info
        answer = client.renewal_info(renewal_id_of(leaf))
    assert answer is not None
    assert leaf.not_valid_before_utc < answer.start < answer.end < leaf.not_valid_after_utc
    assert answer.retry_after is not None
    assert answer.retry_after >= 1


def test_renewal_information_of_an_unknown_certificate_is_a_failure(
    newer: RunningAuthority,
) -> None:
    with registered(newer) as client, pytest.raises(AcmeFailure) as refused:
        client.renewal_info("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE")
    assert refused.value.status in {400, 404}


def test_an_order_says_which_certificate_it_replaces(newer: RunningAuthority) -> None:
    with registered(newer) as client:
        before = renewal_id_of(issue(newer, client, NAMES)[0])
        assert names_of(issue(newer, client, NAMES, replaces=before)[0]) == sorted(NAMES)


def test_without_renewal_information_there_is_no_answer(either: RunningAuthority) -> None:
    with registered(either) as client:
        leaf = issue(either, client, NAMES)[0]
        is_answered = client.renewal_info(renewal_id_of(leaf)) is not None
        assert is_answered is client.directory().has_renewal_info
