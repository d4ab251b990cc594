"""What an authority's problem document says, whatever is in it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.issuance.problem_documents import PREFIX, explain, read_kind
from mailadmin.pki.problems import Severity

UNPAUSE = "https://portal.letsencrypt.org/sfe/v1/unpause?jwt=eyJhbGciOiJIUzI1NiJ9.e30.c2ln"
LIMITS = "https://letsencrypt.org/docs/rate-limits/#new-certificates-per-exact-set-of-hostnames"


def document(kind: str, detail: str = "no", **more: object) -> dict[str, object]:
    return {"type": PREFIX + kind, "detail": detail, "status": 403, **more}


def about(name: str, kind: str = "caa", detail: str = "no") -> dict[str, object]:
    return document(kind, detail, identifier={"type": "dns", "value": name})


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("accountDoesNotExist", "acme.account_gone"),
        ("alreadyReplaced", "acme.already_replaced"),
        ("alreadyRevoked", "acme.already_revoked"),
        ("badCSR", "acme.request_refused"),
        ("badNonce", "acme.nonce_refused"),
        ("badPublicKey", "acme.key_refused"),
        ("badRevocationReason", "acme.revocation_reason_refused"),
        ("badSignatureAlgorithm", "acme.signature_refused"),
        ("caa", "acme.refused_by_caa"),
        ("compound", "acme.refused"),
        ("connection", "acme.host_not_reached"),
        ("dns", "acme.dns_not_answered"),
        ("externalAccountRequired", "acme.external_account_required"),
        ("incorrectResponse", "acme.proof_wrong"),
        ("invalidContact", "acme.contact_refused"),
        ("invalidProfile", "acme.profile_refused"),
        ("malformed", "acme.malformed"),
        ("orderNotReady", "acme.order_not_ready"),
        ("rateLimited", "acme.rate_limited"),
        ("rejectedIdentifier", "acme.name_rejected"),
        ("serverInternal", "acme.authority_broken"),
        ("tls", "acme.tls_failed"),
        ("unauthorized", "acme.unauthorized"),
        ("unsupportedContact", "acme.contact_refused"),
        ("unsupportedIdentifier", "acme.identifier_unsupported"),
        ("userActionRequired", "acme.user_action_required"),
        ("somethingNew", "acme.refused"),
    ],
)
def test_each_type_has_its_code(kind: str, code: str) -> None:
    problem = explain(document(kind, "the words"))
    assert problem.code == code
    assert problem.severity is Severity.ERROR
    assert problem.params["words"] == "the words"
    assert problem.params["kind"] == kind


def test_a_type_of_another_kind_is_kept_as_it_is() -> None:
    assert explain({"type": "about:blank", "detail": "Not Found"}).params["kind"] == "about:blank"
    assert read_kind({}) == ""


def test_the_name_is_that_of_the_document_or_the_one_that_was_asked_about() -> None:
    assert explain(about("mail.example.org")).subject == "mail.example.org"
    assert explain(document("caa"), name="mail.example.org").subject == "mail.example.org"
    assert explain(about("a.example.org"), name="b.example.org").subject == "a.example.org"
    assert explain(document("caa", identifier="mail.example.org")).subject == ""


def test_a_limit_says_until_when_in_the_words_of_lets_encrypt() -> None:
    detail = f"too many certificates (5), retry after 2026-11-25 04:05:06 UTC: see {LIMITS}"
    problem = explain(document("rateLimited", detail))
    assert problem.code == "acme.rate_limited_until"
    assert problem.params["retry_at"] == "2026-11-25T04:05:06+00:00"
    assert problem.params["url"] == LIMITS


def test_a_limit_takes_the_moment_of_the_header_where_the_words_have_none() -> None:
    moment = datetime(2026, 11, 25, tzinfo=UTC)
    problem = explain(document("rateLimited", "slow down"), retry_at=moment)
    assert problem.code == "acme.rate_limited_until"
    assert problem.params["retry_at"] == moment.isoformat()
    assert problem.params["url"] == ""


@pytest.mark.parametrize("when", ["2026-13-45 04:05:06 UTC", "tomorrow", "2026-11-25 04:05:06 CET"])
def test_a_moment_that_is_none_is_not_made_up(when: str) -> None:
    problem = explain(document("rateLimited", f"retry after {when}"))
    assert problem.code == "acme.rate_limited"


def test_a_paused_name_comes_with_the_address_that_ends_the_pause() -> None:
    problem = explain(document("rateLimited", f"Your account is paused. Please visit: {UNPAUSE}"))
    assert problem.code == "acme.paused"
    assert problem.params["url"] == UNPAUSE


def test_the_page_of_new_terms_is_shown() -> None:
    page = "https://ca.example/terms/2"
    problem = explain(document("userActionRequired", instance=page))
    assert problem.params["url"] == page


@pytest.mark.parametrize(
    "instance",
    ["javascript:alert(1)", "https://ca.example/<b>", "/relative", 7, "https://" + "a" * 2000],
)
def test_an_address_that_no_browser_should_open_is_left_out(instance: object) -> None:
    assert explain(document("userActionRequired", instance=instance)).params["url"] == ""


def test_one_subproblem_stands_for_the_whole() -> None:
    compound = document("compound", subproblems=[about("www.example.org", "dns", "NXDOMAIN")])
    problem = explain(compound)
    assert (problem.code, problem.subject) == ("acme.dns_not_answered", "www.example.org")
    assert problem.params["words"] == "NXDOMAIN"


def test_one_subproblem_below_a_type_that_says_enough_does_not() -> None:
    whole = document("userActionRequired", subproblems=[about("www.example.org", "dns")])
    assert explain(whole).code == "acme.user_action_required"


def test_several_subproblems_name_all_that_are_to_blame() -> None:
    inner = [about("a.example.org", "caa", "first"), about("b.example.org", "dns", "second")]
    problem = explain(document("malformed", "several", subproblems=inner))
    assert problem.code == "acme.several_refused"
    assert problem.params["names"] == "a.example.org, b.example.org"
    assert problem.params["count"] == 2
    assert problem.params["words"] == "first second"


def test_several_rejected_names_are_told_apart_from_other_trouble() -> None:
    inner = [about(f"n{i}.example.org", "rejectedIdentifier") for i in range(9)]
    problem = explain(document("rejectedIdentifier", subproblems=inner))
    assert problem.code == "acme.names_rejected"
    assert problem.params["count"] == 9
    assert str(problem.params["names"]).count(",") == 4


def test_subproblems_without_names_and_words_leave_those_of_the_whole() -> None:
    problem = explain(document("compound", "the whole", subproblems=[{}, {}]))
    assert problem.params["words"] == "the whole"
    assert problem.params["count"] == 2


@pytest.mark.parametrize("inner", ["text", None, 3, {"a": 1}, ["text", 3]])
def test_subproblems_of_another_shape_are_passed_over(inner: object) -> None:
    assert explain(document("caa", subproblems=inner)).code == "acme.refused_by_caa"


def test_words_are_cut_and_made_printable() -> None:
    problem = explain(document("caa", "a\x00b\n" + "c" * 900))
    words = str(problem.params["words"])
    assert words.startswith("a\ufffdb c")
    assert len(words) == 500
    assert explain({"type": 5, "detail": ["x"]}).params["words"] == ""


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
_keys = st.sampled_from(["type", "detail", "subproblems", "identifier", "instance", "value"])


@given(st.dictionaries(_keys, _json, max_size=6))
def test_any_content_is_explained(content: dict[str, object]) -> None:
    problem = explain(content)
    assert problem.code.startswith("acme.")
    assert len(str(problem.params["words"])) <= 500
    assert str(problem.params["words"]).isprintable()
    assert problem.subject.isprintable()
