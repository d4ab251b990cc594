"""What the members of a path allow below them, judged through the chain that is chosen."""

from __future__ import annotations

from time import process_time

import pytest

from mailadmin.pki.bundle import Parts, judge_bundle, read_parts
from mailadmin.pki.certificate import CertificateFacts, read_certificate
from mailadmin.pki.chain import chain_problems, order_chain
from mailadmin.pki.path_rules import PathRules
from mailadmin.pki.problems import Severity
from mailadmin.pki.raw_fields import encode
from mailadmin.pki.roots import Roots, Store
from tests.throwaway_pki import ThrowawayCa
from tests.unit.pki.handmade import NOW, SAN, USE, Extension, make, san
from tests.unit.pki.test_name_constraints import DNS, OTHER, limit

CA: Extension = ("2.5.29.19", bytes.fromhex("30030101ff"), True)
NO_CA: Extension = ("2.5.29.19", bytes.fromhex("3000"), True)
NO_CERTIFICATES: Extension = ("2.5.29.15", bytes.fromhex("03020780"), True)  # digitalSignature
CLIENTS: Extension = ("2.5.29.37", bytes.fromhex("300a06082b06010505070302"), False)
ANY_USE: Extension = ("2.5.29.37", bytes.fromhex("300606") + bytes.fromhex("04551d2500"), False)
SERVERS_AND_CLIENTS: Extension = (
    "2.5.29.37",
    bytes.fromhex("301406082b0601050507030106082b06010505070302"),
    False,
)
UNKNOWN = "1.3.6.1.4.1.55738.1"
HOST = san(b"mail.example.org")


def path_length(length: int) -> Extension:
    return "2.5.29.19", bytes.fromhex("30060101ff0201") + bytes([length]), True


def own_key_id(digit: bytes, *, is_critical: bool = False) -> Extension:
    return "2.5.29.14", encode(0x04, digit * 20), is_critical


def issuer_key_id(digit: bytes, *, is_critical: bool = False) -> Extension:
    return "2.5.29.35", encode(0x30, encode(0x80, digit * 20)), is_critical


def leaf(*extensions: Extension, issuer: str = "Low") -> CertificateFacts:
    return make(*(extensions or (HOST, USE)), issuer=issuer)


def authority(name: str, issuer: str, *extensions: Extension) -> CertificateFacts:
    return make(
        *extensions, *(() if _has_constraints(extensions) else (CA,)), subject=name, issuer=issuer
    )


def _has_constraints(extensions: tuple[Extension, ...]) -> bool:
    return any(oid == CA[0] for oid, _, _ in extensions)


def judge(
    server: CertificateFacts,
    *candidates: CertificateFacts,
    root: CertificateFacts | None = None,
) -> dict[str, tuple[Severity, str]]:
    """Return severity and name of each problem of the path by its code."""
    known = [root or authority("Root", "Root")]
    result = order_chain(server, candidates, known_roots=known, now=NOW)
    return {
        problem.code: (problem.severity, str(problem.params.get("name", "")))
        for problem in chain_problems(result, NOW, are_roots_known=True)
        if problem.severity is not Severity.INFO
    }


def test_a_path_that_breaks_no_rule_has_no_problem() -> None:
    low = authority("Low", "Root", own_key_id(b"L"), issuer_key_id(b"R"), SERVERS_AND_CLIENTS)
    server = leaf(HOST, USE, issuer_key_id(b"L"))
    root = authority("Root", "Root", own_key_id(b"R"), path_length(1))
    assert judge(server, low, root=root) == {}


@pytest.mark.parametrize("usage", [CLIENTS, ANY_USE])
def test_an_authority_for_other_uses_issues_no_servers(usage: Extension) -> None:
    expected = {"chain.not_for_servers": (Severity.ERROR, "Low")}
    assert judge(leaf(), authority("Low", "Root", usage)) == expected
    root = authority("Root", "Root", usage)
    expected = {"chain.not_for_servers": (Severity.ERROR, "Root")}
    assert judge(leaf(), authority("Low", "Root"), root=root) == expected


def test_the_path_length_of_the_root_counts() -> None:
    expected = {"chain.path_too_long": (Severity.ERROR, "Root")}
    root = authority("Root", "Root", path_length(0))
    assert judge(leaf(), authority("Low", "Root"), root=root) == expected
    assert judge(leaf(issuer="Root"), root=root) == {}


def test_the_key_identifiers_must_fit_where_both_are_there() -> None:
    low = authority("Low", "Root", own_key_id(b"L"))
    expected = {"chain.key_id_differs": (Severity.ERROR, "mail.example.org")}
    assert judge(leaf(HOST, USE, issuer_key_id(b"X")), low) == expected
    assert judge(leaf(HOST, USE, issuer_key_id(b"X")), authority("Low", "Root")) == {}
    assert judge(leaf(HOST, USE), low) == {}
    other = authority("Low", "Root", issuer_key_id(b"X"))
    root = authority("Root", "Root", own_key_id(b"R"))
    assert judge(leaf(), other, root=root) == {"chain.key_id_differs": (Severity.ERROR, "Low")}


@pytest.mark.parametrize(
    "extension",
    [
        (UNKNOWN, b"\5\0", True),
        own_key_id(b"K", is_critical=True),
        issuer_key_id(b"K", is_critical=True),
    ],
)
def test_a_critical_extension_that_nobody_understands_spoils_the_path(
    extension: Extension,
) -> None:
    def unknown(name: str) -> dict[str, tuple[Severity, str]]:
        return {"certificate.extension_unknown": (Severity.ERROR, name)}

    assert judge(leaf(), authority("Low", "Root", extension)) == unknown("Low")
    root = authority("Root", "Root", extension)
    assert judge(leaf(), authority("Low", "Root"), root=root) == unknown("Root")


# Name constraints


def only(base: bytes, *, form: int = DNS, is_critical: bool = True) -> Extension:
    return limit(permitted=((form, base),), is_critical=is_critical)


@pytest.mark.parametrize("is_critical", [True, False])
def test_the_constraints_of_root_and_intermediates_count(is_critical: bool) -> None:
    extension = only(b"example.net", is_critical=is_critical)
    low, root = authority("Low", "Root", extension), authority("Root", "Root", extension)
    code = "chain.names_not_permitted"
    assert judge(leaf(), low) == {code: (Severity.ERROR, "Low")}
    assert judge(leaf(), authority("Low", "Root"), root=root) == {code: (Severity.ERROR, "Root")}
    assert (
        judge(leaf(), authority("Low", "Root", only(b"org")), root=authority("Root", "Root")) == {}
    )


def test_intermediates_are_below_the_root_too_but_not_self_issued_ones() -> None:
    root = authority("Root", "Root", only(b"example.org"))
    other = authority("Low", "Root", san(b"ca.example.net"))
    code = "chain.names_not_permitted"
    assert judge(leaf(), other, root=root) == {code: (Severity.ERROR, "Root")}
    # Names may be what they like in one that an authority issues to itself, when its key changes.
    old = authority("Low", "Root", only(b"example.org"))
    renewed = authority("Low", "Low", san(b"ca.example.net"))
    assert PathRules().judge(leaf(), (renewed, old), None) == ()


def test_all_names_that_break_a_limit_are_counted_and_some_shown() -> None:
    server = leaf(san(*(b"n%d.example.org" % number for number in range(5))), USE)
    result = order_chain(server, [authority("Low", "Root", only(b"example.net"))])
    (problem,) = result.problems
    assert problem.params == {
        "name": "Low",
        "below": "mail.example.org",
        "names": "n0.example.org, n1.example.org, n2.example.org",
        "count": 5,
    }


@pytest.mark.parametrize(
    ("is_critical", "severity"), [(True, Severity.ERROR), (False, Severity.WARNING)]
)
def test_a_form_that_cannot_be_compared_is_worse_when_critical(
    is_critical: bool, severity: Severity
) -> None:
    names = encode(0x30, encode(DNS, b"mail.example.org") + encode(OTHER, b"\6\1\x55\xa0\2\5\0"))
    low = authority("Low", "Root", only(b"\6\1\x55\xa0\2\5\0", form=OTHER, is_critical=is_critical))
    found = judge(leaf((SAN, names, False), USE), low)
    assert found == {"chain.names_not_comparable": (severity, "Low")}


def test_unreadable_constraints_of_a_root_spoil_the_path() -> None:
    root = authority("Root", "Root", only(b"*.example.org"))
    expected = {"chain.constraints_unreadable": (Severity.ERROR, "Root")}
    assert judge(leaf(), authority("Low", "Root"), root=root) == expected


# The choice between several ways


def test_a_way_that_clients_accept_is_preferred() -> None:
    narrow = authority("Low", "Root", only(b"example.net"))
    for_clients = authority("Low", "Root", CLIENTS)
    good = authority("Low", "Root", SERVERS_AND_CLIENTS, only(b"example.org"))
    for candidates in ([narrow, good, for_clients], [good, for_clients, narrow]):
        result = order_chain(leaf(), candidates, known_roots=[authority("Root", "Root")], now=NOW)
        assert result.chain == (good,)
        assert result.problems == ()


def test_a_good_way_is_found_where_ways_meet_again_above() -> None:
    good, bad = authority("Low", "Middle"), authority("Low", "Middle", CLIENTS)
    middle = authority("Middle", "Root")
    for candidates in ([good, bad, middle], [bad, middle, good]):
        result = order_chain(leaf(), candidates, known_roots=[authority("Root", "Root")], now=NOW)
        assert result.chain == (good, middle)


def test_what_a_cross_signed_copy_of_the_root_allows_does_not_matter() -> None:
    ca, other = ThrowawayCa("Root", now=NOW), ThrowawayCa("Other", now=NOW)
    server = read_parts([ca.issue(["mail.example.org"]).fullchain_pem]).certificates
    (root,) = read_parts([ca.root_pem]).certificates
    copy = read_parts([other.add_authority("Root", other.root, key=ca.root.key).pem]).certificates
    result = order_chain(server[0], [*server[1:], *copy], known_roots=[root], now=NOW)
    assert result.chain == (*server[1:], *copy)
    assert result.problems == ()


# An issuer that is no authority


@pytest.mark.parametrize(
    ("extensions", "lacks"), [((NO_CA,), "CA:TRUE"), ((CA, NO_CERTIFICATES), "keyCertSign")]
)
def test_a_signer_that_may_not_sign_is_named(extensions: tuple[Extension, ...], lacks: str) -> None:
    signer = authority("Low", "Root", *extensions)
    result = order_chain(leaf(), [signer], known_roots=[authority("Root", "Root")])
    (problem,) = chain_problems(result, NOW, are_roots_known=True)
    assert (problem.code, problem.params) == (
        "chain.issuer_is_no_authority",
        {"name": "Low", "lacks": lacks},
    )
    assert result.strangers == ()


def test_one_that_only_has_the_name_of_the_issuer_is_a_stranger() -> None:
    other = ThrowawayCa("Low", now=NOW, intermediates=0)
    pem = other.add_authority("Low", other.root, is_ca=False).pem
    (stranger,) = read_parts([pem]).certificates
    result = order_chain(leaf(), [stranger])
    assert (result.unfit_issuer, result.strangers) == (None, (stranger,))


# Hostile input


def test_two_hundred_authorities_of_one_name_and_key_are_refused_at_once() -> None:
    ca, other = ThrowawayCa("Same", now=NOW, intermediates=0), ThrowawayCa("Other", now=NOW)
    copies = [other.add_authority("Same", other.root, key=ca.root.key).pem for _ in range(200)]
    issued = ca.issue(["mail.example.org"])
    roots = Roots.gather({Store.PRIVATE: read_parts([ca.root_pem]).certificates})

    began = process_time()
    certificates = tuple(map(read_certificate, [issued.cert_pem, *copies]))
    verdict = judge_bundle(
        Parts(certificates),
        now=NOW,
        roots=roots,
        known_key_ids={certificates[0].public_key_id},
    )
    seconds = process_time() - began

    problems = {problem.code: problem for problem in verdict.problems}
    assert problems["chain.too_many"].params == {"count": 200, "limit": 20}
    assert not verdict.is_accepted
    assert seconds < 0.2


def test_as_an_upload_they_are_too_much_text() -> None:
    ca, other = ThrowawayCa("Same", now=NOW, intermediates=0), ThrowawayCa("Other", now=NOW)
    copies = [other.add_authority("Same", other.root, key=ca.root.key).pem for _ in range(200)]
    issued = ca.issue(["mail.example.org"])
    began = process_time()
    verdict = judge_bundle(
        read_parts([issued.cert_pem + issued.key_pem, b"".join(copies)]), now=NOW
    )
    assert "bundle.too_large" in {problem.code for problem in verdict.problems}
    assert not verdict.is_accepted
    assert process_time() - began < 0.2


def test_twenty_that_signed_each_other_are_judged_at_once() -> None:
    ca = ThrowawayCa("Layer 0", now=NOW, intermediates=0)
    lower, copies = ca.root, []
    for layer in range(1, 11):
        upper = ca.add_authority(f"Layer {layer}", None)
        copies += [ca.add_authority(f"Layer {layer - 1}", upper, key=lower.key) for _ in "ab"]
        lower = upper
    issued = ca.issue(["mail.example.org"])
    began = process_time()
    verdict = judge_bundle(
        read_parts([issued.cert_pem, issued.key_pem, *(item.pem for item in copies)]),
        now=NOW,
        roots=Roots.gather({Store.PRIVATE: read_parts([lower.pem]).certificates}),
    )
    assert process_time() - began < 1
    assert len(verdict.chain) == 10
    assert verdict.is_accepted
