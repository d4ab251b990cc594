"""How a name is proven, and what is written where."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mailadmin.issuance.challenges import (
    DNS_01,
    DNS_PERSIST_01,
    HTTP_01,
    TLS_ALPN_NOT_OFFERED,
    allowed_challenges,
    challenge_path,
    is_token,
    persist_value,
    persistent_record_name,
    record_name,
    txt_value,
)

ACCOUNT = "https://ca.example/acct/123"


@pytest.mark.parametrize("token", ["a", "A-_9" * 32, "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"])
def test_base64url_is_a_token(token: str) -> None:
    assert is_token(token)
    assert challenge_path(token) == f"/.well-known/acme-challenge/{token}"


@pytest.mark.parametrize("token", ["", "a" * 129, "../x", "a/b", "a.b", "a=", "a\n", "ä", "a b"])
def test_anything_else_is_no_token(token: str) -> None:
    assert not is_token(token)
    with pytest.raises(ValueError, match="token"):
        challenge_path(token)


def test_the_txt_record_holds_the_digest_of_the_key_authorization() -> None:
    # SHA-256 of "abc", FIPS 180-2 appendix B.1, in base64url.
    assert txt_value("abc") == "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"


def test_records_of_a_wildcard_are_those_of_the_name_below_which_it_stands() -> None:
    assert record_name("mail.example.org") == "_acme-challenge.mail.example.org"
    assert record_name("*.example.org") == "_acme-challenge.example.org"
    assert persistent_record_name("*.example.org") == "_validation-persist.example.org"


def test_a_lasting_record_names_the_issuer_and_the_account() -> None:
    assert persist_value("CA.example.", ACCOUNT) == f"ca.example; accounturi={ACCOUNT}"


def test_a_lasting_record_can_cover_what_is_below_and_end() -> None:
    until = datetime(2026, 1, 1, tzinfo=UTC)
    assert persist_value("ca.example", ACCOUNT, is_wildcard=True, until=until) == (
        f"ca.example; accounturi={ACCOUNT}; policy=wildcard; persistUntil=1767225600"
    )


@pytest.mark.parametrize(
    "account", ["", "https://ca.example/a b", "https://ca.example/a;policy=x", "ä"]
)
def test_an_account_cannot_write_parameters_of_its_own(account: str) -> None:
    with pytest.raises(ValueError, match="account"):
        persist_value("ca.example", account)


def test_an_issuer_is_a_host_name() -> None:
    with pytest.raises(ValueError, match="issuer"):
        persist_value("ca.example; policy=wildcard", ACCOUNT)


@pytest.mark.parametrize(
    ("names", "allowed"),
    [
        (["mail.example.org"], (HTTP_01, DNS_01, DNS_PERSIST_01)),
        (["mail.example.org", "*.example.org"], (DNS_01, DNS_PERSIST_01)),
        (["192.0.2.1", "mail.example.org"], (HTTP_01,)),
        (["2001:db8::1"], (HTTP_01,)),
        (["192.0.2.1", "*.example.org"], ()),
    ],
)
def test_names_decide_how_they_can_be_proven(names: list[str], allowed: tuple[str, ...]) -> None:
    assert allowed_challenges(names) == allowed


def test_tls_alpn_is_not_offered_and_that_has_a_reason() -> None:
    assert TLS_ALPN_NOT_OFFERED.code == "acme.tls_alpn_not_offered"
