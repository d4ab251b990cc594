"""What the client sends and how it reads what comes back, where no Pebble of Debian goes along."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from josepy.b64 import b64decode
from josepy.jwk import JWK

from mailadmin import __version__
from mailadmin.acme.client import AcmeFailure, Authority, poll
from mailadmin.acme.client.chains import alternate_urls
from mailadmin.acme.client.transport import Answer
from mailadmin.pki.keys import KeyKind, generate_key, private_key_to_pem
from mailadmin.sandbox import paths
from tests.acme_clients import make_csr
from tests.scripted_authorities import (
    Reply,
    ScriptedAuthority,
    as_json,
    problem,
    scripted,
)
from tests.throwaway_pki import ThrowawayCa

KEY = private_key_to_pem(generate_key(KeyKind.ECDSA_P256)).decode()
META = {
    "termsOfService": "https://ca.example/terms",
    "website": "https://ca.example/",
    "caaIdentities": ["ca.example"],
    "externalAccountRequired": True,
    "profiles": {"classic": "https://ca.example/classic", "odd": 7},
}
ORDER = {
    "status": "pending",
    "expires": "2026-12-01T10:00:00.123456789Z",
    "identifiers": [{"type": "dns", "value": "a.example.org"}],
    "authorizations": ["https://ca.example/authz/1"],
    "finalize": "https://ca.example/finalize/1",
}


@pytest.fixture(autouse=True)
def _private_authorities(settings: Any) -> None:
    settings.IS_PRIVATE_ACME_ALLOWED = True


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[ScriptedAuthority]:
    with scripted(tmp_path, **META) as running:
        running.replies["/orders"] = as_json(ORDER, 201, Location=running.url("/orders/1"))
        yield running


@pytest.fixture
def client(authority: ScriptedAuthority) -> Iterator[Authority]:
    with Authority(
        authority.directory_url,
        key_pem=KEY,
        account_url=authority.url("/account/1"),
        ca_bundle=authority.root_pem,
    ) as connected:
        yield connected


def is_refused(client: Authority, authority: ScriptedAuthority, path: str, content: object) -> bool:
    """Tell whether an object is recognised as none of ACME."""
    authority.replies[path] = as_json(content)
    read = client.read_order if path.startswith("/order") else client.read_authorization
    with pytest.raises(AcmeFailure) as refused:
        read(authority.url(path))
    return refused.value.problem.code == "ca.not_acme"


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((paths.project_dir() / "pyproject.toml").read_text())
    assert project["project"]["version"] == __version__


def test_the_directory_tells_of_itself(client: Authority, authority: ScriptedAuthority) -> None:
    assert client.directory().as_dict() == {
        "terms_url": "https://ca.example/terms",
        "website": "https://ca.example/",
        "caa_identities": ["ca.example"],
        "needs_eab": True,
        "profiles": {"classic": "https://ca.example/classic"},
        "has_renewal_info": True,
    }
    assert client.directory() is client.directory()
    [asked] = authority.asked
    assert asked.headers["User-Agent"] == f"mailadmin/{__version__}"


def test_a_directory_that_tells_nothing_is_enough(tmp_path: Path) -> None:
    with scripted(tmp_path) as running:
        running.replies["/dir"] = as_json(
            {name: running.url(f"/{name}") for name in ("newNonce", "newAccount", "newOrder")}
            | {"meta": ["odd"]}
        )
        with Authority(running.directory_url, key_pem=KEY, ca_bundle=running.root_pem) as connected:
            found = connected.directory()
            assert not any(found.as_dict().values())
            assert connected.renewal_info("a.b") is None
            with pytest.raises(AcmeFailure) as refused:
                connected.roll_key(KEY)
    assert refused.value.problem.code == "ca.not_offered"
    assert refused.value.problem.params == {"what": "keyChange"}


# Orders


def test_an_order_names_profile_and_predecessor(
    client: Authority, authority: ScriptedAuthority
) -> None:
    state = client.new_order(
        ["a.example.org", "*.b.example.org", "192.0.2.1", "2001:db8::1"],
        profile="shortlived",
        replaces="aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE",
    )
    [asked] = authority.requests("/orders")
    assert asked.payload == {
        "identifiers": [
            {"type": "dns", "value": "a.example.org"},
            {"type": "dns", "value": "*.b.example.org"},
            {"type": "ip", "value": "192.0.2.1"},
            {"type": "ip", "value": "2001:db8::1"},
        ],
        "profile": "shortlived",
        "replaces": "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE",
    }
    assert state.url == authority.url("/orders/1")
    assert state.expires_at == datetime(2026, 12, 1, 10, 0, 0, 123456, UTC)
    assert state.authorization_urls == ("https://ca.example/authz/1",)
    assert not state.is_replacement_refused


def test_no_profile_and_no_predecessor_are_not_mentioned(
    client: Authority, authority: ScriptedAuthority
) -> None:
    client.new_order(["a.example.org"])
    [asked] = authority.requests("/orders")
    assert asked.payload is not None
    assert asked.payload.keys() == {"identifiers"}


def test_a_predecessor_is_named_only_where_there_is_renewal_information(
    client: Authority, authority: ScriptedAuthority
) -> None:
    urls = {name: authority.url(f"/{name}") for name in ("newAccount", "newOrder")}
    authority.replies["/dir"] = as_json({**urls, "newNonce": authority.url("/nonce")})
    authority.replies["/newOrder"] = authority.replies["/orders"]
    client.new_order(["a.example.org"], replaces="a.b")
    [asked] = authority.requests("/newOrder")
    assert asked.payload is not None
    assert "replaces" not in asked.payload


def test_one_that_was_replaced_already_is_ordered_without_saying_so(
    client: Authority, authority: ScriptedAuthority
) -> None:
    usual = authority.answer("/orders")
    authority.replies["/orders"] = [problem("alreadyReplaced", 409), usual]
    state = client.new_order(["a.example.org"], profile="classic", replaces="a.b")
    first, second = [asked.payload or {} for asked in authority.requests("/orders")]
    assert first["replaces"] == "a.b"
    assert second == {name: value for name, value in first.items() if name != "replaces"}
    assert state.is_replacement_refused


def test_any_other_refusal_of_an_order_is_not_tried_again(
    client: Authority, authority: ScriptedAuthority
) -> None:
    authority.replies["/orders"] = problem("rejectedIdentifier", 403)
    with pytest.raises(AcmeFailure):
        client.new_order(["a.example.org"], replaces="a.b")
    assert len(authority.requests("/orders")) == 1


def test_an_order_without_a_url_is_none(client: Authority, authority: ScriptedAuthority) -> None:
    authority.replies["/orders"] = as_json(ORDER, 201)
    with pytest.raises(AcmeFailure) as refused:
        client.new_order(["a.example.org"])
    assert refused.value.problem.code == "ca.not_acme"


@pytest.mark.parametrize(
    "change",
    [
        {"status": "lost"}, {"status": None}, {"finalize": 1}, {"finalize": ""},
        {"expires": "tomorrow"}, {"expires": "0001-01-01T00:00:00+23:59"},
    ],
)  # fmt: skip
def test_an_order_of_another_shape_is_refused(
    client: Authority, authority: ScriptedAuthority, change: dict[str, Any]
) -> None:
    assert is_refused(client, authority, "/order/1", {**ORDER, **change})


def test_why_an_order_is_invalid_is_explained(
    client: Authority, authority: ScriptedAuthority
) -> None:
    document = {"type": "urn:ietf:params:acme:error:caa", "detail": "CAA forbids it"}
    authority.replies["/order/1"] = as_json(
        {"status": "invalid", "finalize": "https://ca.example/f", "error": document}
    )
    state = client.read_order(authority.url("/order/1"))
    assert state.problem is not None
    assert "CAA forbids it" in state.problem.params.values()
    assert (state.authorization_urls, state.expires_at) == ((), None)


def test_a_request_that_is_none_is_not_sent(
    client: Authority, authority: ScriptedAuthority
) -> None:
    for csr in ("", "nonsense", "\u00e4"):
        with pytest.raises(AcmeFailure) as refused:
            client.finalize(authority.url("/orders/1"), csr)
        assert refused.value.problem.code == "ca.csr_unreadable"
    assert not authority.asked


def test_a_request_is_handed_in_at_once_if_the_order_is_known(
    client: Authority, authority: ScriptedAuthority
) -> None:
    mine = {**ORDER, "finalize": authority.url("/finalize/1")}
    authority.replies["/orders"] = as_json(mine, 201, Location=authority.url("/orders/1"))
    authority.replies["/finalize/1"] = as_json({**mine, "status": "processing"}, Retry_After="3")
    order = client.new_order(["a.example.org"])
    state = client.finalize(order.url, make_csr(["a.example.org"]))
    assert (state.status, state.retry_after, state.url) == ("processing", 3, order.url)
    assert not authority.requests("/orders/1")


def test_another_worker_looks_where_the_request_goes(
    client: Authority, authority: ScriptedAuthority
) -> None:
    ready = {**ORDER, "status": "ready", "finalize": authority.url("/finalize/1")}
    authority.replies["/orders/1"] = as_json(ready)
    authority.replies["/finalize/1"] = as_json({**ready, "status": "processing"})
    state = client.finalize(authority.url("/orders/1"), make_csr(["a.example.org"]))
    assert state.status == "processing"
    [asked] = authority.requests("/finalize/1")
    assert asked.payload is not None
    assert asked.payload.keys() == {"csr"}


def test_only_one_who_is_not_known_has_no_account(
    client: Authority, authority: ScriptedAuthority
) -> None:
    authority.replies["/account"] = problem("accountDoesNotExist")
    assert client.find_account() == ""
    authority.replies["/account"] = problem("serverInternal", 500)
    with pytest.raises(AcmeFailure) as refused:
        client.find_account()
    assert not refused.value.is_account_lost


# Authorizations

OFFER = {"type": "http-01", "url": "https://ca.example/c/1", "token": "abc_-9", "status": "pending"}
AUTHORIZATION = {
    "status": "pending",
    "identifier": {"type": "dns", "value": "a.example.org"},
    "challenges": [OFFER],
}


def test_the_ways_to_prove_a_name_are_read(client: Authority, authority: ScriptedAuthority) -> None:
    persistent = {
        "type": "dns-persist-01",
        "url": "https://ca.example/c/2",
        "issuer-domain-names": ["ca.example", "authority.example"],
    }
    unknown = {"type": "tls-alpn-01", "url": "https://ca.example/c/3", "token": "t"}
    listed = [OFFER, persistent, unknown, "odd", {"type": 5}]
    authority.replies["/authz/1"] = as_json(
        {**AUTHORIZATION, "challenges": listed}, Retry_After="7"
    )
    state = client.read_authorization(authority.url("/authz/1"))
    assert [(offer.kind, offer.token) for offer in state.offers] == [
        ("http-01", "abc_-9"),
        ("dns-persist-01", ""),
    ]
    assert state.offers[1].issuer_names == ("ca.example", "authority.example")
    assert (state.name, state.is_wildcard, state.retry_after) == ("a.example.org", False, 7)


@pytest.mark.parametrize(
    "change",
    [
        {"challenges": None}, {"status": "fine"}, {"identifier": None}, {"identifier": {}},
        {"challenges": [{**OFFER, "token": "../../etc/passwd"}]},
        {"challenges": [{**OFFER, "token": "a" * 129}]},
        {"challenges": [{**OFFER, "token": ""}]},
        {"challenges": [{**OFFER, "url": None}]},
    ],
)  # fmt: skip
def test_an_authorization_of_another_shape_is_refused(
    client: Authority, authority: ScriptedAuthority, change: dict[str, Any]
) -> None:
    assert is_refused(client, authority, "/authz/1", {**AUTHORIZATION, **change})


# Renewal information


def test_a_renewal_window_is_read_as_it_is(client: Authority, authority: ScriptedAuthority) -> None:
    authority.replies["/renewal-info/a.b"] = as_json(
        {
            "suggestedWindow": {
                "start": "2026-12-02T04:00:00Z",
                "end": "2026-12-01T06:00:00+02:00",
            },
            "explanationURL": "https://ca.example/why",
        },
        Retry_After="21600",
    )
    answer = client.renewal_info("a.b")
    assert answer is not None
    assert answer.start == datetime(2026, 12, 2, 4, tzinfo=UTC)
    assert answer.end == datetime(2026, 12, 1, 4, tzinfo=UTC)
    assert (answer.explanation_url, answer.retry_after) == ("https://ca.example/why", 21600)
    assert [asked.method for asked in authority.asked] == ["GET", "GET"]


@pytest.mark.parametrize(
    "content", [{}, {"suggestedWindow": {}}, {"suggestedWindow": {"start": "2026-12-02T04:00:00Z"}}]
)
def test_a_window_without_ends_is_refused(
    client: Authority, authority: ScriptedAuthority, content: dict[str, Any]
) -> None:
    authority.replies["/renewal-info/a.b"] = as_json(content)
    with pytest.raises(AcmeFailure) as refused:
        client.renewal_info("a.b")
    assert refused.value.problem.code == "ca.not_acme"


# Signatures


def test_requests_are_signed_for_their_url_with_a_fresh_nonce(
    client: Authority, authority: ScriptedAuthority
) -> None:
    authority.replies["/orders/1"] = as_json(ORDER)
    client.read_order(authority.url("/orders/1"))
    [asked] = authority.requests("/orders/1")
    assert asked.protected == {
        "alg": "ES256",
        "nonce": "bm9uY2U",
        "kid": authority.url("/account/1"),
        "url": authority.url("/orders/1"),
    }
    assert asked.payload is None
    assert asked.headers["Content-Type"] == "application/jose+json"


def test_another_key_is_put_in_place_by_both(
    client: Authority, authority: ScriptedAuthority
) -> None:
    authority.replies["/account"] = problem("accountDoesNotExist")
    authority.replies["/key"] = as_json({})
    successor = private_key_to_pem(generate_key(KeyKind.ECDSA_P384)).decode()
    client.roll_key(successor)
    [asked] = authority.requests("/key")
    assert asked.protected["kid"] == authority.url("/account/1")
    assert asked.payload is not None
    inner = b64decode(asked.payload["protected"]).decode()
    assert '"nonce"' not in inner
    assert '"ES384"' in inner
    assert authority.url("/key") in inner
    claimed = b64decode(asked.payload["payload"]).decode()
    assert authority.url("/account/1") in claimed
    assert "oldKey" in claimed
    assert JWK.load(successor.encode()).public_key().to_json()["x"] in inner


def test_a_key_of_another_account_is_not_handed_in(
    client: Authority, authority: ScriptedAuthority
) -> None:
    authority.replies["/account"] = as_json({}, Location=authority.url("/account/2"))
    successor = private_key_to_pem(generate_key(KeyKind.ECDSA_P384)).decode()
    with pytest.raises(AcmeFailure) as refused:
        client.roll_key(successor)
    assert refused.value.problem.code == "ca.key_taken"
    assert not authority.requests("/key")
    [asked] = authority.requests("/account")
    assert asked.protected["alg"] == "ES384"
    assert asked.payload == {"onlyReturnExisting": True}
    assert client.account_url == authority.url("/account/1")
    authority.replies["/account/1"] = as_json({})
    client.update_contact("")
    assert authority.requests("/account/1")[0].protected["alg"] == "ES256"


def test_a_key_that_is_in_force_already_is_not_handed_in_again(
    client: Authority, authority: ScriptedAuthority
) -> None:
    authority.replies["/account"] = as_json({}, Location=authority.url("/account/1"))
    authority.replies["/account/1"] = as_json({})
    client.roll_key(private_key_to_pem(generate_key(KeyKind.ECDSA_P384)).decode())
    client.update_contact("")
    assert not authority.requests("/key")
    assert authority.requests("/account/1")[0].protected["alg"] == "ES384"


def test_a_nonce_that_is_none_is_not_used(client: Authority, authority: ScriptedAuthority) -> None:
    authority.replies["/nonce"] = Reply(headers={"Replay-Nonce": "not base64!"})
    with pytest.raises(AcmeFailure) as refused:
        client.update_contact("")
    assert refused.value.problem.code == "ca.not_acme"


# Chains


def answer_with(*links: str) -> Answer:
    headers = Message()
    for link in links:
        headers["Link"] = link
    return Answer("https://ca.example/cert/1", 200, headers, b"")


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ([], []),
        (['<https://ca.example/2>;rel="alternate"'], ["https://ca.example/2"]),
        (['<https://ca.example/dir>;rel="index"', "<https://ca.example/3>; rel=alternate"],
         ["https://ca.example/3"]),
        (['<https://ca.example/a,b>; title="x, y;z"; rel="alternate", <https://ca.example/4>'],
         ["https://ca.example/a,b"]),
        ([";;;<<>", '<x>;rel="up"'], []),
    ],
)  # fmt: skip
def test_other_chains_are_found_among_the_links(links: list[str], expected: list[str]) -> None:
    assert list(alternate_urls(answer_with(*links))) == expected


@pytest.mark.parametrize("body", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_no_chain_is_refused(
    client: Authority, authority: ScriptedAuthority, body: bytes
) -> None:
    authority.replies["/cert/1"] = Reply(body)
    with pytest.raises(AcmeFailure) as refused:
        client.download(authority.url("/cert/1"))
    assert refused.value.problem.code == "ca.not_acme"


def test_a_chain_without_end_is_refused(client: Authority, authority: ScriptedAuthority) -> None:
    authority.replies["/cert/1"] = Reply(ThrowawayCa(intermediates=0).root_pem * 11)
    with pytest.raises(AcmeFailure):
        client.download(authority.url("/cert/1"))


# Looking again


class Seen:
    def __init__(self, retry_after: float | None) -> None:
        self.retry_after = retry_after


def looks_until_decided(
    monkeypatch: pytest.MonkeyPatch, retry_after: float | None, *, looks: int, at_most: float
) -> list[float]:
    """Poll with a clock of our own; returns how long it slept between the looks."""
    clock, slept, seen = [0.0], [], []

    def sleep(seconds: float) -> None:
        slept.append(round(seconds, 3))
        clock[0] += seconds

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("time.monotonic", lambda: clock[0])

    def read() -> Seen:
        seen.append(1)
        return Seen(retry_after)

    poll(read, lambda _state: len(seen) >= looks, at_most=at_most)
    return slept


def test_it_looks_soon_and_then_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = looks_until_decided(monkeypatch, None, looks=12, at_most=60)
    assert slept[:4] == [0.1, 0.15, 0.225, 0.338]
    assert slept[-1] == 2.0
    assert slept == sorted(slept)


def test_after_a_moment_the_authoritys_word_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = looks_until_decided(monkeypatch, 5.0, looks=8, at_most=60)
    assert sum(slept[:5]) > 1
    assert set(slept[5:]) == {5.0}


def test_one_who_wants_to_be_left_alone_for_long_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept = looks_until_decided(monkeypatch, 600.0, looks=99, at_most=10)
    assert sum(slept) < 2


def test_it_is_over_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sum(looks_until_decided(monkeypatch, None, looks=99, at_most=3)) <= 3
