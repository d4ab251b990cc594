"""What a certificate changes when it takes the place of another one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mailadmin.pki.certificate import CertificateFacts, read_certificate
from mailadmin.pki.keys import KeyKind
from mailadmin.pki.predecessor import compare_with_predecessor, names_not_covered
from mailadmin.pki.problems import Severity
from tests.throwaway_pki import CLIENT_AUTH, SERVER_AUTH, ThrowawayCa, draw_key

CA = ThrowawayCa()
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
KEY = draw_key()


def issue(*eku: x509.ObjectIdentifier, **values: object) -> CertificateFacts:
    wanted: dict[str, object] = {
        "names": ["mail.example.org"],
        "key": KEY,
        "not_before": BEGIN,
        "not_after": BEGIN + timedelta(days=90),
        "eku": eku or (SERVER_AUTH,),
    }
    return read_certificate(CA.issue(**(wanted | values)).cert_pem)  # type: ignore[arg-type]


OLD = issue()
RENEWED = issue(not_before=BEGIN + timedelta(days=60), not_after=BEGIN + timedelta(days=150))


def codes(old: CertificateFacts, new: CertificateFacts) -> list[str]:
    return [item.code.removeprefix("predecessor.") for item in compare_with_predecessor(old, new)]


def test_a_plain_renewal_with_the_same_key_says_just_that() -> None:
    (problem,) = compare_with_predecessor(OLD, RENEWED, old_root=RENEWED, new_root=RENEWED)
    assert problem.code == "predecessor.same_key"
    assert problem.severity is Severity.INFO
    assert problem.subject == RENEWED.fingerprint


def test_the_loss_of_client_use_is_told_apart_from_other_uses() -> None:
    both = issue(SERVER_AUTH, CLIENT_AUTH)
    assert codes(both, OLD) == ["client_use_gone", "same_key"]
    (changed, _) = compare_with_predecessor(OLD, both)
    assert changed.code == "predecessor.uses_changed"
    assert changed.severity is Severity.WARNING
    assert changed.params == {"old_uses": "serverAuth", "uses": "clientAuth, serverAuth"}


def test_a_certificate_without_uses_is_for_any() -> None:
    free = issue(eku=None)
    (changed, _) = compare_with_predecessor(free, OLD)
    assert changed.params == {"old_uses": "anyExtendedKeyUsage", "uses": "serverAuth"}
    assert codes(free, replace(OLD, extended_key_usages=())) == ["same_key"]


def test_the_order_of_uses_does_not_matter() -> None:
    assert codes(issue(SERVER_AUTH, CLIENT_AUTH), issue(CLIENT_AUTH, SERVER_AUTH)) == ["same_key"]


def test_names_lost_are_named_and_names_gained_told() -> None:
    old = replace(OLD, names=("mail.example.org", "imap.example.org", "smtp.example.org"))
    new = replace(RENEWED, names=("MAIL.example.org", "www.example.org"))
    found = {item.code: item for item in compare_with_predecessor(old, new)}
    lost, gained = found["predecessor.names_lost"], found["predecessor.names_gained"]
    assert lost.severity is Severity.WARNING
    assert lost.params == {"names": "imap.example.org, smtp.example.org", "count": 2}
    assert gained.severity is Severity.INFO
    assert gained.params == {"names": "www.example.org", "count": 1}


def test_a_name_under_a_wildcard_is_not_lost() -> None:
    wildcard = replace(OLD, names=("*.example.org",))
    assert codes(OLD, wildcard) == ["names_gained", "same_key"]
    assert codes(wildcard, OLD) == ["names_lost", "same_key"]


@pytest.mark.parametrize(
    ("name", "others", "is_covered"),
    [
        ("a.example.org", ("*.example.org",), True),
        ("a.b.example.org", ("*.example.org",), False),
        ("*.example.org", ("*.example.org",), True),
        ("*.example.org", ("*.org",), False),
        ("example.co.uk", ("*.co.uk",), False),
        ("192.0.2.1", ("192.0.2.1",), True),
        ("localhost", ("*.example.org",), False),
    ],
)
def test_which_names_are_covered(name: str, others: tuple[str, ...], is_covered: bool) -> None:
    assert (names_not_covered([name], others) == []) is is_covered


def test_ten_thousand_names_are_compared_at_once() -> None:
    many = tuple(f"host-{number}.example.org" for number in range(10_000))
    others = tuple(f"other-{number}.example.org" for number in range(10_000))
    found = compare_with_predecessor(replace(OLD, names=many), replace(OLD, names=others))
    assert [item.params["count"] for item in found if "count" in item.params] == [10_000, 10_000]
    assert all(len(str(item.params.get("names", ""))) < 600 for item in found)


def test_another_key_of_the_same_kind_concerns_only_tlsa_records() -> None:
    assert codes(OLD, issue(key=draw_key())) == ["other_key"]
    larger = issue(key=draw_key(KeyKind.ECDSA_P384))
    assert codes(OLD, larger) == ["other_key", "key_size_changed"]


def test_another_kind_of_key_is_warned_of() -> None:
    rsa = issue(key=draw_key(KeyKind.RSA_2048))
    (warned, told) = compare_with_predecessor(OLD, rsa)
    assert warned.code == "predecessor.key_kind_changed"
    assert warned.params == {"old_key": "ECDSA P-256", "key": "RSA 2048"}
    assert told.code == "predecessor.other_key"


def test_an_earlier_end_and_a_shorter_life_are_told() -> None:
    found = {item.code: item for item in compare_with_predecessor(RENEWED, issue(days=10))}
    ends = found["predecessor.ends_earlier"]
    assert ends.severity is Severity.WARNING
    assert ends.params == {
        "old_not_after": RENEWED.not_after.isoformat(),
        "not_after": OLD.not_after.isoformat(),
    }
    half = replace(RENEWED, not_before=RENEWED.not_after - timedelta(days=47))
    (_, shorter) = compare_with_predecessor(OLD, half)
    assert shorter.code == "predecessor.shorter"
    assert shorter.params == {"old_days": 90, "days": 47}
    assert codes(OLD, replace(RENEWED, not_before=RENEWED.not_before + timedelta(days=1))) == [
        "same_key"
    ]


def test_another_authority_is_told_apart_from_another_intermediate() -> None:
    of_a = replace(OLD, issuer="CN=R10,O=A", issuer_common_name="R10", issuer_organization="A")
    other = replace(RENEWED, issuer="CN=R11,O=A", issuer_common_name="R11", issuer_organization="A")
    of_b = replace(RENEWED, issuer="CN=R10,O=B", issuer_common_name="R10", issuer_organization="B")
    assert codes(of_a, other) == ["same_key", "other_intermediate"]
    assert codes(of_a, of_b) == ["same_key", "other_issuer"]
    (_, told) = compare_with_predecessor(OLD, of_b)
    assert told.params == {"old_issuer": "Throwaway Root Intermediate 1", "issuer": "R10"}


def test_two_self_signed_ones_have_no_authority_to_compare() -> None:
    own = replace(OLD, issuer="CN=a", is_self_signed=True)
    assert codes(own, replace(RENEWED, issuer="CN=b", is_self_signed=True)) == ["same_key"]
    assert codes(own, RENEWED) == ["same_key", "other_issuer"]


def test_another_root_is_warned_of_where_both_are_known() -> None:
    first, second = (read_certificate(ThrowawayCa(name).root_pem) for name in ("One", "Two"))
    (warned, _) = compare_with_predecessor(OLD, RENEWED, old_root=first, new_root=second)
    assert warned.code == "predecessor.root_changed"
    assert warned.params == {"old_root": "One", "root": "Two"}
    assert len(compare_with_predecessor(OLD, RENEWED, old_root=first)) == 1
    assert len(compare_with_predecessor(OLD, RENEWED, new_root=first)) == 1


def test_a_new_wish_for_stapling_is_warned_of() -> None:
    loaded = x509.load_der_x509_certificate(OLD.der)
    builder = x509.CertificateBuilder(
        loaded.issuer, loaded.subject, loaded.public_key(), 7, BEGIN, OLD.not_after
    )
    for extension in loaded.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    feature = x509.TLSFeature([x509.TLSFeatureType.status_request])
    signed = builder.add_extension(feature, critical=False).sign(
        CA.intermediates[0].key, loaded.signature_hash_algorithm
    )
    stapled = read_certificate(signed.public_bytes(Encoding.DER))
    assert codes(OLD, stapled) == ["must_staple_new", "same_key"]
    assert codes(stapled, stapled) == ["same_key"]
