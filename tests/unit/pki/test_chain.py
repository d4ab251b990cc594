"""Chains: found by signatures, whatever the order, and bounded whatever the input."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from mailadmin.pki import chain
from mailadmin.pki.certificate import CertificateFacts, read_certificate
from mailadmin.pki.chain import ChainResult, chain_problems, order_chain
from mailadmin.pki.keys import KeyKind
from mailadmin.pki.problems import Problem, Severity
from mailadmin.pki.x509_fields import is_issued_by
from tests.throwaway_pki import (
    CA_USAGES,
    Authority,
    ThrowawayCa,
    as_version_1,
    common_name,
    draw_key,
    sign_certificate,
    small_rsa_key,
)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CA = ThrowawayCa(intermediates=3, now=NOW)
OTHER = ThrowawayCa("Other Root", now=NOW)
LEAF = read_certificate(CA.issue().cert_pem)
ROOT = read_certificate(CA.root_pem)
INTERMEDIATES = [read_certificate(pem) for pem in CA.intermediate_pems]


def facts_of(authority: Authority) -> CertificateFacts:
    return read_certificate(authority.pem)


def leaf_below(authority: Authority) -> CertificateFacts:
    certificate = sign_certificate(
        common_name("mail.example.org"),
        draw_key().public_key(),
        signer=authority.certificate.subject,
        signer_key=authority.key,
        not_before=NOW,
        not_after=NOW + timedelta(90),
        names=["mail.example.org"],
    )
    return read_certificate(certificate.public_bytes(Encoding.DER))


def problems_of(result: ChainResult, **options: bool) -> list[tuple[str, Severity]]:
    found = chain_problems(result, NOW, **options)
    return [(problem.code, problem.severity) for problem in found]


# Order


def test_the_chain_goes_from_the_leaf_upwards_without_the_root() -> None:
    result = order_chain(LEAF, [*reversed(INTERMEDIATES), ROOT])
    assert result == ChainResult(chain=tuple(INTERMEDIATES), anchor=ROOT, root=ROOT)
    assert problems_of(result) == [("chain.root_left_out", Severity.INFO)]


def test_the_order_of_the_candidates_does_not_matter() -> None:
    candidates = [*INTERMEDIATES, ROOT, *map(facts_of, OTHER.intermediates)]
    expected = order_chain(LEAF, candidates)
    for seed in range(20):
        random.Random(seed).shuffle(candidates)  # noqa: S311 - order, not secrets
        assert order_chain(LEAF, candidates) == expected


def test_a_chain_that_ends_at_a_known_root_is_whole() -> None:
    result = order_chain(LEAF, INTERMEDIATES, known_roots=[facts_of(OTHER.root), ROOT])
    assert result == ChainResult(chain=tuple(INTERMEDIATES), anchor=ROOT, is_root_known=True)
    assert problems_of(result, are_roots_known=True) == []


def test_a_leaf_issued_by_a_root_needs_no_chain() -> None:
    leaf = leaf_below(CA.root)
    assert order_chain(leaf, [ROOT]) == ChainResult(anchor=ROOT, root=ROOT)
    assert order_chain(leaf, [], known_roots=[ROOT]) == ChainResult(anchor=ROOT, is_root_known=True)


def test_a_self_signed_leaf_needs_no_chain_and_has_no_issuer() -> None:
    result = order_chain(ROOT, [ROOT, *INTERMEDIATES])
    assert result.chain == ()
    assert result.missing_issuer is None
    assert set(result.strangers) == set(INTERMEDIATES)
    assert result.duplicates == 1


def test_what_comes_twice_is_counted_and_used_once() -> None:
    result = order_chain(LEAF, [*INTERMEDIATES, *INTERMEDIATES, LEAF, ROOT, ROOT])
    assert result == ChainResult(chain=tuple(INTERMEDIATES), anchor=ROOT, root=ROOT, duplicates=5)
    assert ("chain.duplicates", Severity.INFO) in problems_of(result)


def test_strangers_are_named_with_their_issuer() -> None:
    stranger, other_leaf = facts_of(OTHER.intermediates[0]), leaf_below(OTHER.root)
    result = order_chain(LEAF, [stranger, *INTERMEDIATES, other_leaf], known_roots=[ROOT])
    assert set(result.strangers) == {stranger, other_leaf}
    problems = {problem.subject: problem for problem in chain_problems(result, NOW)}
    assert problems[stranger.fingerprint] == Problem(
        "chain.stranger",
        Severity.WARNING,
        stranger.fingerprint,
        {"name": "Other Root Intermediate 1", "issuer": "Other Root"},
    )


def test_a_root_of_others_is_a_stranger() -> None:
    stranger = facts_of(OTHER.root)
    result = order_chain(LEAF, [*INTERMEDIATES, ROOT, stranger])
    assert (result.root, result.strangers) == (ROOT, (stranger,))


# Gaps


def test_a_leaf_alone_misses_its_issuer() -> None:
    result = order_chain(LEAF, [])
    assert result == ChainResult(missing_issuer="Throwaway Root Intermediate 3")
    assert chain_problems(result, NOW) == [
        Problem(
            "chain.missing_intermediate",
            Severity.WARNING,
            params={"issuer": "Throwaway Root Intermediate 3"},
        )
    ]


def test_a_gap_in_the_middle_is_named_by_what_is_missing() -> None:
    low, _, high = INTERMEDIATES
    result = order_chain(LEAF, [high, low, ROOT])
    assert result.chain == (low,)
    assert result.missing_issuer == "Throwaway Root Intermediate 2"
    assert set(result.strangers) == {high, ROOT}
    assert ("chain.missing_intermediate", Severity.WARNING) in problems_of(result)


def test_an_unknown_root_is_no_gap() -> None:
    result = order_chain(LEAF, INTERMEDIATES)
    assert result.chain == tuple(INTERMEDIATES)
    assert result.missing_issuer == "Throwaway Root"
    assert problems_of(result) == [("chain.root_unknown", Severity.INFO)]
    told = problems_of(result, are_roots_known=True)
    assert told == [("chain.root_unknown", Severity.WARNING)]


def test_a_root_that_came_along_is_told_from_one_that_is_known() -> None:
    result = order_chain(LEAF, [*INTERMEDIATES, ROOT], known_roots=[facts_of(OTHER.root)])
    assert problems_of(result, are_roots_known=True) == [
        ("chain.root_unknown", Severity.WARNING),
        ("chain.root_left_out", Severity.INFO),
    ]
    result = order_chain(LEAF, [*INTERMEDIATES, ROOT], known_roots=[ROOT])
    assert result.is_root_known
    assert problems_of(result, are_roots_known=True) == [("chain.root_left_out", Severity.INFO)]


def test_another_leaf_beside_a_chain_does_not_look_like_a_gap() -> None:
    result = order_chain(LEAF, [*INTERMEDIATES, leaf_below(OTHER.root)])
    assert [code for code, _ in problems_of(result)] == ["chain.root_unknown", "chain.stranger"]


def test_a_gap_is_filled_from_what_is_known() -> None:
    low, middle, high = INTERMEDIATES
    known = [facts_of(OTHER.intermediates[0]), high, middle, ROOT]
    result = order_chain(LEAF, [low], [ROOT], known)
    assert result == ChainResult(
        chain=(low, middle, high), completed=(middle, high), anchor=ROOT, is_root_known=True
    )
    assert problems_of(result) == [("chain.completed", Severity.INFO)] * 2


def test_known_intermediates_join_parts_of_a_chain_that_were_given() -> None:
    low, middle, high = INTERMEDIATES
    result = order_chain(LEAF, [low, high, ROOT], known_intermediates=[middle])
    assert result == ChainResult(
        chain=(low, middle, high), anchor=ROOT, root=ROOT, completed=(middle,)
    )


def test_a_whole_chain_takes_nothing_from_what_is_known() -> None:
    cross = facts_of(CA.add_authority(CA.name, OTHER.root, key=CA.root.key))
    result = order_chain(LEAF, INTERMEDIATES, [ROOT], [cross])
    assert result == ChainResult(chain=tuple(INTERMEDIATES), anchor=ROOT, is_root_known=True)


def test_of_many_known_intermediates_only_some_are_looked_at() -> None:
    copies = [facts_of(CA.add_authority("Copy", CA.root, key=CA.root.key)) for _ in range(30)]
    leaf = leaf_below(CA.add_authority("Copy", CA.root, key=CA.root.key))
    result = order_chain(leaf, [], [ROOT], copies)
    assert len(result.chain) == 1
    assert result.completed == result.chain


# Signatures decide


def test_a_name_alone_makes_no_issuer() -> None:
    impostor = facts_of(OTHER.add_authority("Throwaway Root Intermediate 3", None))
    twin = facts_of(OTHER.add_authority("Throwaway Root Intermediate 3", OTHER.root))
    result = order_chain(LEAF, [impostor, twin])
    assert result.chain == ()
    assert set(result.strangers) == {impostor, twin}


def test_a_certificate_that_may_not_sign_is_no_issuer() -> None:
    server = CA.add_authority("Server", CA.root, is_ca=False)
    result = order_chain(leaf_below(server), [facts_of(server), ROOT])
    assert result.chain == ()
    assert result.missing_issuer == "Server"


def test_an_authority_without_the_right_to_sign_is_no_issuer() -> None:
    key = draw_key()
    certificate = sign_certificate(
        common_name("Odd"),
        key.public_key(),
        signer=CA.root.certificate.subject,
        signer_key=CA.root.key,
        not_before=NOW,
        not_after=NOW,
        is_ca=True,
        usages=frozenset({"digital_signature"}),
    )
    odd = Authority(certificate, key)
    assert order_chain(leaf_below(odd), [facts_of(odd)]).chain == ()


def test_an_authority_that_restricts_nothing_may_sign() -> None:
    key = draw_key()
    certificate = sign_certificate(
        common_name("Plain"),
        key.public_key(),
        signer=CA.root.certificate.subject,
        signer_key=CA.root.key,
        not_before=NOW,
        not_after=NOW,
        is_ca=True,
        usages=None,
    )
    plain = Authority(certificate, key)
    assert order_chain(leaf_below(plain), [facts_of(plain)]).chain == (facts_of(plain),)


def test_a_root_older_than_extensions_is_one_but_no_intermediate_is() -> None:
    old_root = Authority(as_version_1(CA.root.certificate, CA.root.key), CA.root.key)
    old = CA.add_authority("Old", CA.root)
    old_intermediate = Authority(as_version_1(old.certificate, CA.root.key), old.key)
    assert facts_of(old_root).version == facts_of(old_intermediate).version == 1
    result = order_chain(LEAF, [*INTERMEDIATES, facts_of(old_root)])
    assert result == ChainResult(
        chain=tuple(INTERMEDIATES), anchor=facts_of(old_root), root=facts_of(old_root)
    )
    assert order_chain(leaf_below(old), [facts_of(old_intermediate)]).chain == ()


@pytest.mark.parametrize(
    ("kind", "signature"),
    [(KeyKind.RSA_2048, "sha1"), (KeyKind.RSA_2048, "md5"), (KeyKind.ECDSA_P256, "sha1")],
)
def test_a_weakly_signed_intermediate_is_linked_and_named(kind: KeyKind, signature: str) -> None:
    root = ThrowawayCa("Old Root", kind, intermediates=0, now=NOW)
    weak = root.add_authority("Weak Intermediate", root.root, signature=signature)
    result = order_chain(leaf_below(weak), [facts_of(weak), facts_of(root.root)])
    assert result.chain == (facts_of(weak),)
    problem = chain_problems(result, NOW)[0]
    assert problem.code == "certificate.weak_signature"
    assert problem.params == {"name": "Weak Intermediate", "hash": signature}


def test_a_weak_signature_by_another_key_is_no_link() -> None:
    root = ThrowawayCa("Old Root", KeyKind.RSA_2048, intermediates=0, now=NOW)
    weak = root.add_authority("Weak", root.root, signature="sha1")
    impostors = [
        root.add_authority("Old Root", None, key=draw_key(KeyKind.RSA_2048, "impostor")),
        root.add_authority("Old Root", None, key=draw_key()),
    ]
    result = order_chain(leaf_below(weak), [facts_of(weak), *map(facts_of, impostors)])
    assert result.root is None
    assert result.missing_issuer == "Old Root"


def test_a_key_that_cannot_sign_this_way_is_no_issuer() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = common_name("Old Root")
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, NOW, NOW + timedelta(9))
    builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    modern = read_certificate(builder.sign(key, None).public_bytes(Encoding.DER))
    root = ThrowawayCa("Old Root", KeyKind.RSA_2048, intermediates=0, now=NOW)
    for signature in ("sha1", ""):
        weak = root.add_authority("Weak", root.root, signature=signature)
        assert order_chain(leaf_below(weak), [facts_of(weak), modern]).root is None


def test_intermediates_are_judged_by_time_and_strength() -> None:
    past = CA.add_authority("Past", CA.root, not_after=NOW - timedelta(1))
    future = CA.add_authority("Future", past, not_before=NOW + timedelta(1))
    small = CA.add_authority("Small", future, key=small_rsa_key())
    result = order_chain(leaf_below(small), [*map(facts_of, (past, future, small)), ROOT])
    told = {problem.code: problem.params["name"] for problem in chain_problems(result, NOW)}
    assert told == {
        "key.rsa_too_small": "Small",
        "chain.not_yet_valid": "Future",
        "chain.expired": "Past",
        "chain.root_left_out": "Throwaway Root",
    }


def authority_with(path_length: int | None, above: Authority, name: str) -> Authority:
    key = draw_key()
    certificate = sign_certificate(
        common_name(name),
        key.public_key(),
        signer=above.certificate.subject,
        signer_key=above.key,
        not_before=NOW,
        not_after=NOW + timedelta(900),
        is_ca=True,
        path_length=path_length,
        usages=CA_USAGES,
    )
    return Authority(certificate, key)


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ((None, None, None), []),
        ((2, 1, 0), []),
        ((0, 0, 0), ["Authority 0", "Authority 1"]),
        ((1, None, None), ["Authority 0"]),
        ((None, 0, None), ["Authority 1"]),
    ],
)
def test_an_authority_allows_only_so_many_below_it(
    lengths: tuple[int | None, ...], expected: list[str]
) -> None:
    authorities = [CA.root]
    for number, length in enumerate(lengths):
        authorities.append(authority_with(length, authorities[-1], f"Authority {number}"))
    result = order_chain(leaf_below(authorities[-1]), [*map(facts_of, authorities)])
    assert len(result.chain) == len(lengths)
    found = [found for found in chain_problems(result, NOW) if found.severity is Severity.ERROR]
    assert {problem.code for problem in found} <= {"chain.path_too_long"}
    assert sorted(str(problem.params["name"]) for problem in found) == expected


def test_an_authority_that_changed_its_key_does_not_count_as_below_itself() -> None:
    old = authority_with(0, CA.root, "Same Authority")
    new = authority_with(0, old, "Same Authority")
    result = order_chain(leaf_below(new), [facts_of(new), facts_of(old), ROOT])
    assert result.chain == (facts_of(new), facts_of(old))
    assert problems_of(result) == [("chain.root_left_out", Severity.INFO)]


# Several ways up


def test_a_renewed_intermediate_is_preferred_to_the_old_one() -> None:
    old = CA.add_authority("Twice", CA.root, not_after=NOW - timedelta(1))
    new = CA.add_authority("Twice", CA.root, key=old.key)
    for candidates in ([old, new], [new, old]):
        result = order_chain(leaf_below(old), [*map(facts_of, candidates), ROOT])
        assert result.chain == (facts_of(new),)
        assert result.strangers == (facts_of(old),)


def test_a_cross_signed_root_is_kept_for_clients_that_do_not_know_the_new_one() -> None:
    cross = facts_of(CA.add_authority(CA.name, OTHER.root, key=CA.root.key))
    for known in ([], [ROOT], [facts_of(OTHER.root)]):
        result = order_chain(LEAF, [cross, *INTERMEDIATES], known_roots=known)
        assert result.chain == (*INTERMEDIATES, cross)
        assert (result.missing_issuer is None) == bool(known)


def test_a_cross_signed_root_beside_the_root_itself_leads_to_it() -> None:
    cross = facts_of(CA.add_authority(CA.name, OTHER.root, key=CA.root.key))
    result = order_chain(LEAF, [cross, ROOT, *INTERMEDIATES])
    assert result.chain == (*INTERMEDIATES, cross)
    assert (result.root, result.strangers, result.missing_issuer) == (ROOT, (), None)


def test_a_cross_signed_root_that_expired_is_left_out_if_the_chain_holds_without_it() -> None:
    past = facts_of(
        CA.add_authority(CA.name, OTHER.root, key=CA.root.key, not_after=NOW - timedelta(1))
    )
    result = order_chain(LEAF, [past, *INTERMEDIATES], known_roots=[ROOT], now=NOW)
    assert result == ChainResult(
        chain=tuple(INTERMEDIATES), strangers=(past,), anchor=ROOT, is_root_known=True
    )
    result = order_chain(LEAF, [past, *INTERMEDIATES], now=NOW)
    assert result.chain == (*INTERMEDIATES, past)
    assert ("chain.expired", Severity.ERROR) in problems_of(result)


def test_a_root_of_the_same_name_but_another_key_is_no_twin() -> None:
    cross = facts_of(CA.add_authority(CA.name, OTHER.root, key=CA.root.key))
    impostor = facts_of(CA.add_authority(CA.name, None))
    result = order_chain(LEAF, [*INTERMEDIATES, cross], known_roots=[impostor])
    assert result.missing_issuer == "Other Root"


def test_a_way_to_a_root_is_preferred_to_a_longer_one_that_ends_nowhere() -> None:
    nowhere = OTHER.add_authority("Nowhere", OTHER.root)
    low = CA.add_authority("Low", CA.root)
    detour = facts_of(CA.add_authority("Low", nowhere, key=low.key))
    candidates = [detour, facts_of(nowhere), facts_of(low), ROOT]
    result = order_chain(leaf_below(low), candidates)
    assert result.chain == (facts_of(low),)
    assert result.root == ROOT
    assert set(result.strangers) == {detour, facts_of(nowhere)}


# Hostile input


def test_too_many_candidates_are_refused() -> None:
    result = order_chain(LEAF, [ROOT] * 21)
    assert problems_of(result) == [("chain.too_many", Severity.ERROR)]
    assert result.problems[0].params == {"count": 21, "limit": 20}
    assert order_chain(LEAF, [ROOT] * 20).problems == ()


def test_a_loop_ends_where_it_closes() -> None:
    start = CA.add_authority("First", None)
    second = CA.add_authority("Second", start)
    first = CA.add_authority("First", second, key=start.key)
    result = order_chain(leaf_below(first), [facts_of(first), facts_of(second)])
    assert result.chain == (facts_of(first), facts_of(second))
    assert result.missing_issuer == "First"


def test_of_twenty_that_all_issued_each_other_each_pair_is_looked_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, two = CA.add_authority("One", None), CA.add_authority("Two", None)
    ones = [facts_of(CA.add_authority("One", two, key=one.key)) for _ in range(10)]
    twos = [facts_of(CA.add_authority("Two", one, key=two.key)) for _ in range(10)]
    pairs = []

    def note_pair(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        pairs.append((certificate.serial_number, issuer.serial_number))
        return is_issued_by(certificate, issuer)

    monkeypatch.setattr(chain, "is_issued_by", note_pair)
    result = order_chain(leaf_below(one), [*ones, *twos])
    assert [facts.title for facts in result.chain] == ["One", "Two"]
    assert len(pairs) == len(set(pairs)) == 10 + 2 * 10 * 10


def test_copies_of_one_root_are_all_roots() -> None:
    root = CA.add_authority("Same", None)
    copies = [facts_of(CA.add_authority("Same", None, key=root.key)) for _ in range(20)]
    result = order_chain(leaf_below(root), copies)
    assert (result.chain, result.missing_issuer) == ((), None)
    assert result.root in copies
    assert len(result.strangers) == 19
