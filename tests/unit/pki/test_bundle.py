"""The upload doctor: leaf, key and chain put together, and the verdict."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import permutations, product

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.pki.bundle import Found, KeySource, Roots, Verdict, judge_bundle, read_parts
from mailadmin.pki.certificate import make_self_signed, read_certificate
from mailadmin.pki.csr import CsrSubject, build_csr
from mailadmin.pki.keys import KeyKind, private_key_to_pem, public_key_id
from mailadmin.pki.problems import Severity
from tests.throwaway_pki import (
    CLIENT_AUTH,
    SERVER_AUTH,
    ThrowawayCa,
    common_name,
    draw_key,
    sign_certificate,
    small_rsa_key,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CA = ThrowawayCa(intermediates=2, now=NOW)
OTHER = ThrowawayCa("Other Root", now=NOW)
KEY = draw_key()
ISSUED = CA.issue(["mail.example.org"], key=KEY)
ROOT = read_certificate(CA.root_pem)
LEAF = read_certificate(ISSUED.cert_pem)
WHOLE = [ISSUED.cert_pem, ISSUED.chain_pem, ISSUED.key_pem]


def judge(*inputs: bytes, password: str | None = None, **known: object) -> Verdict:
    known = {"roots": Roots((ROOT,)), **known}
    return judge_bundle(read_parts(inputs, password), now=NOW, **known)  # type: ignore[arg-type]


def codes(verdict: Verdict, severity: Severity | None = None) -> list[str]:
    return [found.code for found in verdict.problems if severity in (None, found.severity)]


# Accepted


def test_a_whole_upload_is_accepted_without_a_word() -> None:
    verdict = judge(*WHOLE)
    assert verdict.problems == ()
    assert verdict.is_accepted
    assert not verdict.needs_confirmation
    assert verdict.leaf == LEAF
    assert verdict.chain_pem.encode() == ISSUED.chain_pem
    assert verdict.key_source is KeySource.UPLOADED
    assert verdict.key_matches
    assert verdict.private_key is not None
    assert public_key_id(verdict.private_key) == LEAF.public_key_id
    assert verdict.found == Found(leaves=1, intermediates=2, keys=1)


def test_the_order_of_the_parts_does_not_matter() -> None:
    inputs = [*WHOLE, CA.root_pem, OTHER.root_pem]
    expected = judge(*inputs)
    for seed in range(10):
        random.Random(seed).shuffle(inputs)  # noqa: S311 - order, not secrets
        for attempt in (judge(*inputs), judge(b"".join(inputs))):
            assert attempt.problems == expected.problems
            assert (attempt.leaf, attempt.chain) == (expected.leaf, expected.chain)


def test_a_chain_is_found_in_every_order_of_its_parts() -> None:
    lower, upper = CA.intermediate_pems
    for order in permutations([ISSUED.cert_pem, lower, upper, ISSUED.key_pem, CA.root_pem]):
        verdict = judge(b"\n".join(order))
        assert verdict.is_accepted
        assert verdict.chain_pem.encode() == lower + upper


def test_the_answer_to_a_request_finds_its_key() -> None:
    csr = build_csr(KEY, CsrSubject(), ["mail.example.org"])
    issued = CA.issue(csr_pem=csr)
    verdict = judge(issued.fullchain_pem, known_key_ids={public_key_id(KEY)})
    assert verdict.problems == ()
    assert verdict.leaf is not None
    assert verdict.leaf.names == ("mail.example.org",)
    assert verdict.key_source is KeySource.PENDING
    assert verdict.key_matches
    assert verdict.private_key is None


def test_a_self_signed_certificate_is_accepted_with_a_warning() -> None:
    verdict = judge(make_self_signed(KEY, ["mail.example.org"], NOW), ISSUED.key_pem)
    assert codes(verdict) == ["certificate.self_signed"]
    assert verdict.is_accepted
    assert not verdict.needs_confirmation


def test_a_missing_intermediate_must_be_confirmed() -> None:
    verdict = judge(ISSUED.cert_pem, ISSUED.key_pem)
    assert codes(verdict, Severity.WARNING) == ["chain.missing_intermediate"]
    assert verdict.is_accepted
    assert verdict.needs_confirmation


def test_a_refused_upload_needs_no_confirmation() -> None:
    verdict = judge(ISSUED.cert_pem)
    assert set(codes(verdict)) == {"key.missing", "chain.missing_intermediate"}
    assert not verdict.is_accepted
    assert not verdict.needs_confirmation


def test_known_intermediates_fill_a_gap_while_they_are_valid() -> None:
    known = [read_certificate(pem) for pem in CA.intermediate_pems]
    verdict = judge(ISSUED.cert_pem, ISSUED.key_pem, known_intermediates=known)
    assert verdict.chain == tuple(known)
    assert codes(verdict) == ["chain.completed", "chain.completed"]
    expired = ThrowawayCa("Past Root", intermediates=0, now=NOW)
    past = expired.add_authority("Past", expired.root, not_after=NOW - timedelta(1))
    expired.intermediates.append(past)
    issued = expired.issue()
    verdict = judge(
        issued.cert_pem, issued.key_pem, known_intermediates=[read_certificate(past.pem)]
    )
    assert codes(verdict) == ["chain.missing_intermediate"]


def test_a_private_root_is_pointed_out_but_needs_no_confirmation() -> None:
    issued = OTHER.issue()
    verdict = judge(issued.fullchain_pem, issued.key_pem)
    assert codes(verdict, Severity.WARNING) == ["chain.root_unknown"]
    assert not verdict.needs_confirmation
    verdict = judge(issued.fullchain_pem, issued.key_pem, roots=Roots())
    assert codes(verdict, Severity.INFO) == ["chain.root_unknown"]


def test_a_known_root_that_expired_ends_no_chain() -> None:
    past = ThrowawayCa("Past Root", intermediates=0, now=NOW - timedelta(days=3650))
    above = past.add_authority("Above", past.root, not_after=NOW + timedelta(1))
    past.intermediates.append(above)
    issued = past.issue(not_before=NOW, not_after=NOW + timedelta(90))
    roots = [read_certificate(past.root_pem)]
    verdict = judge(issued.fullchain_pem, issued.key_pem, roots=Roots(tuple(roots)))
    assert codes(verdict) == ["chain.root_unknown"]


def test_strangers_and_duplicates_are_named_and_left_aside() -> None:
    verdict = judge(*WHOLE, ISSUED.cert_pem, CA.root_pem, OTHER.root_pem, b"readme")
    assert codes(verdict, Severity.ERROR) == []
    assert codes(verdict, Severity.WARNING) == ["bundle.garbage", "chain.stranger"]
    assert codes(verdict, Severity.INFO) == ["chain.root_left_out", "chain.duplicates"]
    assert len(verdict.chain) == 2
    assert verdict.found == Found(leaves=2, intermediates=2, roots=2, keys=1)


# The leaf


def test_the_key_says_which_of_several_certificates_is_meant() -> None:
    other = OTHER.issue(["other.example.org"])
    verdict = judge(other.cert_pem, *WHOLE)
    assert verdict.leaf == LEAF
    assert codes(verdict) == ["chain.stranger"]
    verdict = judge(other.cert_pem, *WHOLE[:2], known_key_ids={LEAF.public_key_id})
    assert verdict.leaf == LEAF


def test_an_uploaded_key_counts_more_than_a_known_one() -> None:
    other = CA.issue(["other.example.org"])
    other_id = read_certificate(other.cert_pem).public_key_id
    verdict = judge(other.cert_pem, *WHOLE, known_key_ids={other_id})
    assert verdict.leaf == LEAF
    assert verdict.key_source is KeySource.UPLOADED


def test_of_two_certificates_for_one_key_the_newer_is_meant() -> None:
    begin = NOW - timedelta(days=60)
    old = CA.issue(["mail.example.org"], key=KEY, not_before=begin)
    for inputs in ([old.cert_pem, *WHOLE], [*WHOLE, old.cert_pem]):
        verdict = judge(*inputs)
        assert verdict.leaf == LEAF
        assert codes(verdict) == ["chain.stranger"]


@pytest.mark.parametrize("with_keys", [True, False])
def test_two_servers_at_once_are_refused(with_keys: bool) -> None:
    other = CA.issue(["other.example.org"], key=draw_key(KeyKind.RSA_2048))
    keys = [ISSUED.key_pem, other.key_pem] if with_keys else []
    verdict = judge(other.cert_pem, ISSUED.fullchain_pem, *keys)
    assert codes(verdict, Severity.ERROR) == ["bundle.several_leaves"]
    (problem,) = [found for found in verdict.problems if found.severity is Severity.ERROR]
    assert problem.params == {"names": "mail.example.org, other.example.org", "count": 2}
    assert (verdict.leaf, verdict.private_key, verdict.key_matches) == (None, None, False)


def test_authorities_alone_are_no_server() -> None:
    for keys in ([], [ISSUED.key_pem]):
        verdict = judge(ISSUED.chain_pem, CA.root_pem, *keys)
        assert codes(verdict) == ["bundle.no_leaf"]
        assert verdict.problems[0].params["count"] == 3
        assert verdict.found.intermediates == 2
        assert verdict.found.roots == 1


def test_an_authority_with_its_own_key_is_told_why_it_is_no_server() -> None:
    issued = CA.issue(is_ca=True)
    verdict = judge(issued.fullchain_pem, issued.key_pem)
    assert codes(verdict) == ["certificate.is_ca"]
    assert verdict.leaf is not None


def test_the_key_of_the_authority_beside_that_of_the_server_does_no_harm() -> None:
    verdict = judge(private_key_to_pem(CA.root.key), CA.root_pem, *WHOLE)
    assert verdict.leaf == LEAF
    assert codes(verdict) == ["bundle.several_keys", "chain.root_left_out"]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ([], ["bundle.empty"]),
        ([b"garbage"], ["bundle.garbage"]),
        ([ISSUED.key_pem], ["bundle.no_certificate"]),
        (
            [build_csr(KEY, CsrSubject(), ["a.example"])],
            ["bundle.no_certificate", "bundle.block_ignored"],
        ),
        ([b"-----BEGIN CERTIFICATE-----"], ["bundle.block_unreadable"]),
        (
            [b"-----BEGIN CERTIFICATE-----", ISSUED.key_pem],
            ["bundle.block_unreadable", "bundle.no_certificate"],
        ),
    ],
)
def test_an_upload_without_a_certificate_is_told_what_it_lacks(
    inputs: list[bytes], expected: list[str]
) -> None:
    verdict = judge(*inputs)
    assert codes(verdict) == expected
    assert not verdict.is_accepted


# The key

KINDS = [KeyKind.RSA_2048, KeyKind.RSA_3072, KeyKind.ECDSA_P256, KeyKind.ECDSA_P384]


@pytest.mark.parametrize(("leaf_kind", "key_kind"), list(product(KINDS, KINDS)))
def test_a_key_fits_only_its_own_certificate(leaf_kind: KeyKind, key_kind: KeyKind) -> None:
    issued = CA.issue(key=draw_key(leaf_kind))
    stranger = private_key_to_pem(draw_key(key_kind, "stranger"))
    right = judge(issued.fullchain_pem, issued.key_pem)
    assert (right.problems, right.key_matches) == ((), True)
    wrong = judge(issued.fullchain_pem, stranger)
    assert codes(wrong) == ["key.mismatch"]
    assert (wrong.private_key, wrong.key_source, wrong.key_matches) == (
        None,
        KeySource.MISSING,
        False,
    )


def test_a_certificate_without_its_key_is_refused() -> None:
    verdict = judge(ISSUED.fullchain_pem, known_key_ids={"00" * 32})
    assert codes(verdict) == ["key.missing"]
    assert verdict.problems[0].params == {"name": "mail.example.org"}


def test_a_locked_key_is_asked_for_its_password_and_not_called_missing() -> None:
    locked = KEY.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    assert codes(judge(ISSUED.fullchain_pem, locked)) == ["key.password_needed"]
    assert codes(judge(ISSUED.fullchain_pem, locked, password="wrong")) == ["key.password_wrong"]
    assert judge(ISSUED.fullchain_pem, locked, password="secret").problems == ()


def test_a_wrong_key_beside_a_known_right_one_is_only_pointed_out() -> None:
    stranger = private_key_to_pem(draw_key())
    verdict = judge(ISSUED.fullchain_pem, stranger, known_key_ids={LEAF.public_key_id})
    assert codes(verdict) == ["key.unused"]
    assert verdict.key_source is KeySource.PENDING
    assert verdict.private_key is None


def test_a_certificate_whose_key_is_known_to_be_elsewhere_may_come_without_it() -> None:
    verdict = judge(ISSUED.fullchain_pem, key_ids_elsewhere={LEAF.public_key_id})
    assert verdict.is_accepted
    assert verdict.key_source is KeySource.ELSEWHERE
    assert not verdict.key_matches
    assert verdict.private_key is None


def test_a_wrong_key_for_a_certificate_whose_key_is_elsewhere_is_refused() -> None:
    stranger = private_key_to_pem(draw_key())
    verdict = judge(ISSUED.fullchain_pem, stranger, key_ids_elsewhere={LEAF.public_key_id})
    assert codes(verdict, Severity.ERROR) == ["key.mismatch"]


def test_a_key_in_the_upload_counts_more_than_one_elsewhere() -> None:
    verdict = judge(*WHOLE, key_ids_elsewhere={LEAF.public_key_id})
    assert verdict.key_source is KeySource.UPLOADED


def test_a_kind_that_is_refused_is_told_once_for_key_and_certificate() -> None:
    ca, key = ThrowawayCa(), ed25519.Ed25519PrivateKey.generate()
    leaf = sign_certificate(
        common_name("mail.example.org"),
        key.public_key(),
        signer=ca.root.certificate.subject,
        signer_key=ca.root.key,
        not_before=NOW,
        not_after=NOW + timedelta(days=90),
        names=["mail.example.org"],
        eku=[SERVER_AUTH],
    )
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    verdict = judge(leaf.public_bytes(Encoding.PEM), key_pem)
    assert codes(verdict, Severity.ERROR) == ["key.ed25519"]
    assert verdict.key_source is KeySource.UPLOADED


def test_an_unknown_kind_of_key_matches_nothing() -> None:
    p256, unknown = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d03017f")
    leaf = read_certificate(LEAF.der.replace(p256, unknown)).pem.encode()
    verdict = judge(leaf, known_key_ids={LEAF.public_key_id})
    assert not verdict.key_matches
    assert "key.unsupported" in codes(verdict)


# Everything at once


def test_all_that_is_wrong_is_told_with_errors_first() -> None:
    issued = CA.issue(
        ["localhost"],
        key=small_rsa_key(),
        not_after=NOW - timedelta(1),
        eku=(CLIENT_AUTH,),
        sha1=True,
    )
    verdict = judge(issued.cert_pem, ISSUED.key_pem, b"readme")
    assert codes(verdict) == [
        "key.mismatch",
        "certificate.expired",
        "certificate.not_for_servers",
        "key.rsa_too_small",
        "certificate.weak_signature",
        "certificate.no_usable_name",
        "bundle.garbage",
        "certificate.unusable_names",
        "chain.missing_intermediate",
    ]


def test_too_many_certificates_are_refused() -> None:
    verdict = judge(*WHOLE, OTHER.root_pem * 20)
    assert codes(verdict, Severity.ERROR) == ["chain.too_many"]
    assert verdict.chain == ()


def test_a_verdict_shows_no_key() -> None:
    verdict = judge(*WHOLE)
    assert verdict.private_key is not None
    assert "private_key" not in repr(verdict)
    assert "PRIVATE" not in repr(verdict)


PIECES = [*WHOLE, CA.root_pem, OTHER.root_pem, *OTHER.intermediate_pems, OTHER.issue().key_pem]


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=50), max_size=8))
def test_any_upload_gets_a_verdict_that_holds_together(inputs: list[bytes]) -> None:
    verdict = judge(*inputs)
    if verdict.is_accepted:
        assert verdict.leaf is not None
        assert verdict.key_matches
    if verdict.private_key is not None:
        assert verdict.leaf is not None
        assert public_key_id(verdict.private_key) == verdict.leaf.public_key_id
    severities = [problem.severity for problem in verdict.problems]
    assert severities == sorted(severities, key=list(Severity).index)


def test_a_key_of_a_refused_kind_still_tells_which_certificate_is_meant() -> None:
    """Of an authority too, so that the admin hears all that is wrong with it."""
    key = ec.generate_private_key(ec.SECP256K1())
    below = CA.add_authority("Odd Authority", CA.root, key=key)
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    verdict = judge(below.pem, content)

    assert verdict.leaf is not None
    assert verdict.leaf.title == "Odd Authority"
    assert verdict.private_key is None
    codes = [found.code for found in verdict.problems]
    assert {"key.curve_unsupported", "certificate.is_ca"} <= set(codes)
    assert not {"key.missing", "key.mismatch", "bundle.no_leaf"} & set(codes)
