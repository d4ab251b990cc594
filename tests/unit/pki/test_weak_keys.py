"""Weak keys are found in certificates, requests and alone, quickly, and good keys are not."""

from __future__ import annotations

import hashlib
import time

import gmpy2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mailadmin.pki.bundle import Verdict, judge_bundle, read_parts
from mailadmin.pki.certificate import CertificateFacts, judge_leaf, read_certificate
from mailadmin.pki.csr import CsrSubject, build_csr, read_csr
from mailadmin.pki.csr_judging import judge_csr
from mailadmin.pki.keys import KeyKind, key_problems, load_private_key, private_key_to_pem
from mailadmin.pki.pem import armor
from mailadmin.pki.problems import Problem, Severity
from mailadmin.pki.renewal import plan_renewal
from mailadmin.pki.weak_keys import (
    ARITHMETIC,
    NO_KNOWN_KEYS,
    WeakKeyCheck,
    check_of_list,
    key_digest,
    listed_key_problems,
    weak_key_problems,
)
from tests.throwaway_pki import ThrowawayCa, draw_key
from tests.unit.pki.handmade import NOW, make
from tests.weak_keys import CORPUS, WEAK_CODES, WEAK_PUBLIC, certify_key, public_key_of, weak_key

CA = ThrowawayCa(now=NOW)
HOST = "mail.example.org"


class OneKnownKey:
    """A list that holds one key."""

    def __init__(self, key: CertificatePublicKeyTypes, name: str) -> None:
        self._digest, self._name = key_digest(key), name

    def find(self, digest: bytes) -> str | None:
        return self._name if digest == self._digest else None


def certify(key: CertificatePublicKeyTypes) -> CertificateFacts:
    return read_certificate(certify_key(key, [HOST], NOW).public_bytes(Encoding.PEM))


def errors(problems: object) -> list[str]:
    assert isinstance(problems, list | tuple)
    return [found.code for found in problems if found.severity is Severity.ERROR]


def weak_codes(problems: object) -> list[str]:
    return [code for code in errors(problems) if code.startswith("key.weak_")]


def judge(*inputs: bytes) -> Verdict:
    return judge_bundle(read_parts(inputs), now=NOW)


@pytest.mark.parametrize(("name", "code"), WEAK_PUBLIC.items())
def test_a_certificate_for_a_weak_key_is_refused(name: str, code: str) -> None:
    facts = certify(public_key_of(name))
    assert weak_codes(judge_leaf(facts, NOW)) == [code]
    assert code in errors(plan_renewal(facts).key_problems)


@pytest.mark.parametrize("code", WEAK_CODES)
def test_a_weak_key_is_refused_with_its_certificate_alone_and_in_a_request(code: str) -> None:
    key = weak_key(code)
    key_pem = private_key_to_pem(key)

    issued = CA.issue([HOST], key=key)
    verdict = judge(issued.fullchain_pem, key_pem)
    assert weak_codes(verdict.problems) == [code]
    assert verdict.key_matches  # it is read all the same, so that it is known whose it is

    alone = judge(key_pem)
    assert errors(alone.problems) == ["bundle.no_certificate", code]
    assert alone.found.keys == 1

    request = read_csr(build_csr(key, CsrSubject(), [HOST]))
    assert weak_codes(judge_csr(request)) == [code]


def test_a_weak_key_beside_another_certificate_is_told_too() -> None:
    verdict = judge(CA.issue([HOST]).fullchain_pem, private_key_to_pem(weak_key(WEAK_CODES[1])))
    assert set(errors(verdict.problems)) == {"key.mismatch", WEAK_CODES[1]}


def test_weak_certificates_are_told_of_when_none_is_the_servers() -> None:
    ca = ThrowawayCa()
    key = weak_key("key.weak_roca")
    authority = ca.add_authority("Weak", ca.root, key=key).pem
    assert errors(judge(authority).problems) == ["bundle.no_leaf", "key.weak_roca"]
    weak, other = ca.issue(["a.example.org"], key=key), ca.issue(["b.example.org"])
    several = judge(weak.cert_pem, other.cert_pem).problems
    assert errors(several) == ["bundle.several_leaves", "key.weak_roca"]
    (told,) = [item for item in several if item.code == "key.weak_roca"]
    assert told.params["name"] == "a.example.org"


def loose_forms(code: str) -> list[bytes]:
    """Return a weak key alone in both forms, and in a request, as PEM and DER."""
    key = weak_key(code)
    request = build_csr(key, CsrSubject(), [HOST])
    forms = (PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1)
    alone = [key.public_key().public_bytes(Encoding.PEM, form) for form in forms]
    csr = x509.load_pem_x509_csr(request)
    return [*alone, request, csr.public_bytes(Encoding.DER)]


@pytest.mark.parametrize("form", range(4))
def test_a_weak_public_key_is_told_of_alone_and_in_a_request(form: int) -> None:
    code = "key.weak_roca"
    content = loose_forms(code)[form]
    verdict = judge(content)
    assert errors(verdict.problems) == ["bundle.no_certificate", code]
    (told,) = [item for item in verdict.problems if item.code == code]
    assert told.params["name"] == "RSA 2048"

    issued = CA.issue([HOST])
    beside = judge(issued.fullchain_pem, issued.key_pem, content, content)
    assert beside.is_accepted
    assert [item.severity for item in beside.problems if item.code == code] == [Severity.WARNING]


@pytest.mark.parametrize("form", range(4))
def test_a_public_key_is_judged_once_with_its_certificate_or_private_key(form: int) -> None:
    code = "key.weak_roca"
    content, key_pem = loose_forms(code)[form], private_key_to_pem(weak_key(code))
    issued = CA.issue([HOST], key=weak_key(code))
    for others in ([issued.fullchain_pem, key_pem], [issued.fullchain_pem], [key_pem]):
        assert weak_codes(judge(content, *others).problems) == [code]


def test_a_public_key_that_cannot_be_read_is_only_ignored() -> None:
    for label in ("PUBLIC KEY", "CERTIFICATE REQUEST"):
        verdict = judge(armor(label, b"\x30\x03\x02\x01\x00"))
        assert [item.code for item in verdict.problems] == [
            "bundle.no_certificate",
            "bundle.block_ignored",
        ]


def test_an_authority_with_a_weak_key_is_refused_in_a_chain() -> None:
    key = weak_key("key.weak_close_primes")
    ca = ThrowawayCa(now=NOW)
    below = ca.add_authority("Weak Authority", ca.intermediates[0], key=key)
    ca.intermediates.insert(0, below)
    issued = ca.issue([HOST])

    verdict = judge(issued.fullchain_pem, issued.key_pem)

    (found,) = [item for item in verdict.problems if item.code == "key.weak_close_primes"]
    assert found.params["name"] == "Weak Authority"


def test_the_request_of_the_corpus_is_refused() -> None:
    request = read_csr((CORPUS / "rsa-fermat.csr").read_bytes())
    assert "key.weak_close_primes" in errors(judge_csr(request))


def test_a_stored_weak_key_can_still_be_opened() -> None:
    key = weak_key("key.weak_roca")
    assert load_private_key(private_key_to_pem(key)).private_numbers() == key.private_numbers()


@pytest.mark.parametrize("kind", KeyKind)
def test_good_keys_are_not_weak(kind: KeyKind) -> None:
    assert key_problems(draw_key(kind).public_key()) == []


@pytest.mark.parametrize(
    "name", ["rsa-ok.key", "rsa-debianweak.key", "rsa-large-e.key", "rsa-vanity.key"]
)
def test_what_arithmetic_does_not_show_is_not_claimed(name: str) -> None:
    if name == "rsa-large-e.key":
        key = load_private_key((CORPUS / name).read_bytes()).public_key()
    else:
        key = public_key_of(name)
    assert errors(weak_key_problems(key)) == []


def test_a_chosen_modulus_is_warned_of() -> None:
    expected = [Problem("key.rsa_vanity", Severity.WARNING)]
    assert weak_key_problems(public_key_of("rsa-vanity.key")) == expected


def test_a_modulus_with_far_too_many_ones_is_a_pattern() -> None:
    """Of ones in all of it, but for bits here and there that keep the same byte from repeating."""
    modulus = int(gmpy2.next_prime(2**1024 - 2**300)) * int(gmpy2.next_prime(2**1023 + 2**9))
    dense = modulus | sum(1 << place for place in range(1, 2048) if place % 5)
    key = rsa.RSAPublicNumbers(65537, _without_small_factors(dense)).public_key()
    assert errors(weak_key_problems(key)) == ["key.weak_pattern"]


def _without_small_factors(number: int) -> int:
    while gmpy2.gcd(number, gmpy2.primorial(65537)) != 1:
        number += 2
    return int(number)


@pytest.mark.parametrize("bits", [384, 16384])
def test_odd_sizes_cost_nothing(bits: int) -> None:
    """They are refused for their size."""
    modulus = 1 << (bits - 1) | 1  # all zeros between, which would be a pattern
    assert weak_key_problems(rsa.RSAPublicNumbers(3, modulus).public_key()) == []


def test_other_kinds_have_no_weakness_that_shows() -> None:
    for key in (ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()):
        assert weak_key_problems(key.public_key()) == []


@pytest.mark.parametrize("bits", [2048, 4096, 8192])
def test_hostile_numbers_do_not_take_long(bits: int) -> None:
    """A large exponent, as Wiener's attack would have it, and a modulus of no known factors."""
    modulus = 1 << bits - 1 | int.from_bytes(hashlib.shake_256(b"n").digest(bits // 8 - 1)) | 1
    modulus = _without_small_factors(modulus)
    exponent = modulus - 2
    began = time.thread_time()
    weak_key_problems(rsa.RSAPublicNumbers(exponent, modulus).public_key())
    assert time.thread_time() - began < 0.5


# Lists


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("debianssl", "key.weak_debian"),
        ("debianssh-x86", "key.weak_debian"),
        ("firmware", "key.weak_published"),
    ],
)
@pytest.mark.parametrize("kind", [KeyKind.RSA_2048, KeyKind.ECDSA_P256])
def test_a_key_on_a_list_is_refused_everywhere(name: str, code: str, kind: KeyKind) -> None:
    key = draw_key(kind)
    known = OneKnownKey(key.public_key(), name)
    issued = CA.issue([HOST], key=key)
    key_pem = private_key_to_pem(key)
    facts = read_certificate(issued.cert_pem)

    verdict = judge_bundle(read_parts([issued.fullchain_pem, key_pem]), now=NOW, known_keys=known)
    (found,) = [item for item in verdict.problems if item.code == code]
    assert (found.params["list"], found.params["name"]) == (name, HOST)
    assert not verdict.is_accepted

    alone = judge_bundle(read_parts([key_pem]), now=NOW, known_keys=known)
    assert errors(alone.problems) == ["bundle.no_certificate", code]
    request = read_csr(build_csr(key, CsrSubject(), [HOST]))
    assert errors(judge_csr(request, known)) == [code]
    assert errors(plan_renewal(facts, known).key_problems) == [code]
    assert judge_csr(request) == []


def test_a_key_of_an_unknown_kind_is_on_no_list() -> None:
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    assert key_digest(key) is None
    known = OneKnownKey(key, "debianssl")
    assert listed_key_problems(key_digest(key), known) == []
    unknown = make(change=lambda fields: [*fields[:6], _with_unknown_key(fields[6]), *fields[7:]])
    bundle = judge_bundle(read_parts([unknown.pem.encode()]), now=NOW, known_keys=known)
    assert "key.unsupported" in errors(bundle.problems)
    assert errors(plan_renewal(unknown, known).key_problems) == ["key.unsupported"]


def _with_unknown_key(spki: bytes) -> bytes:
    id_ec_public_key = bytes.fromhex("2a8648ce3d0201")
    return spki.replace(id_ec_public_key, id_ec_public_key[:-1] + b"\x7f")


def test_every_check_has_a_code_and_a_list_has_the_one_of_its_name() -> None:
    assert {check_of_list("debianssl"), check_of_list("rfc")} | ARITHMETIC == set(WeakKeyCheck)
    assert NO_KNOWN_KEYS.find(b"0" * 15) is None
