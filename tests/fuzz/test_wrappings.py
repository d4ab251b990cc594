"""However an upload is wrapped, ordered and spoilt by the way, its verdict is the same."""

from __future__ import annotations

import codecs
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.pki.bundle import Verdict, judge_bundle
from mailadmin.pki.facts import CertificateFacts
from mailadmin.pki.keys import PrivateKey
from mailadmin.pki.parts import read_parts
from mailadmin.pki.problems import Severity
from tests.throwaway_pki import ThrowawayCa

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PASSWORD = "a päss word"


@dataclass(frozen=True)
class Holding:
    """What an administrator holds: certificates, leaf first, and the leaf's key."""

    certificates: tuple[x509.Certificate, ...]
    key: PrivateKey

    @property
    def pems(self) -> list[bytes]:
        """Every part as a PEM block of its own."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return [*(held.public_bytes(Encoding.PEM) for held in self.certificates), key]


def hold() -> Holding:
    ca = ThrowawayCa(intermediates=2, now=NOW)
    issued = ca.issue(["mail.example.org"])
    key = load_pem_private_key(issued.key_pem, None)
    pems = [issued.cert_pem, *ca.intermediate_pems, ca.root_pem]
    assert isinstance(key, PrivateKey)
    return Holding(tuple(map(x509.load_pem_x509_certificate, pems)), key)


HELD = hold()
OTHER_KEY = hold().key
# Something right, something unfinished, something wrong, and something for nobody.
HOLDINGS = {
    "all": HELD,
    "without an intermediate": Holding(HELD.certificates[:1] + HELD.certificates[2:], HELD.key),
    "with another's key": Holding(HELD.certificates, OTHER_KEY),
    "authorities only": Holding(HELD.certificates[1:], OTHER_KEY),
}
Wrap = Callable[[Holding], list[bytes]]


def as_der(held: Holding) -> list[bytes]:
    key = held.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return [*(each.public_bytes(Encoding.DER) for each in held.certificates), key]


def as_pem(held: Holding) -> list[bytes]:
    return [b"".join(held.pems)]


def as_files(held: Holding) -> list[bytes]:
    return held.pems


def with_encrypted_key(held: Holding) -> list[bytes]:
    encryption = BestAvailableEncryption(PASSWORD.encode())
    key = held.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    return [*held.pems[:-1], key]


def with_traditional_key(held: Holding) -> list[bytes]:
    encryption = BestAvailableEncryption(PASSWORD.encode())
    key = held.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, encryption)
    return [key, *held.pems[:-1]]


def as_pkcs7(held: Holding) -> list[bytes]:
    return [serialize_certificates(list(held.certificates), Encoding.DER), held.pems[-1]]


def as_pkcs7_pem(held: Holding) -> list[bytes]:
    return [held.pems[-1] + serialize_certificates(list(held.certificates), Encoding.PEM)]


def as_pkcs12(held: Holding) -> list[bytes]:
    encryption = BestAvailableEncryption(PASSWORD.encode())
    leaf, *others = held.certificates
    if leaf.public_key() != held.key.public_key():  # which the library does not put together
        sealed = serialize_key_and_certificates(None, None, None, held.certificates, encryption)
        return [sealed, held.pems[-1]]
    return [serialize_key_and_certificates(b"mail", held.key, leaf, others, encryption)]


def as_zip(held: Holding) -> list[bytes]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for number, pem in enumerate(held.pems):
            zipped.writestr(f"sent/{number}.crt", pem)
    return [archive.getvalue()]


WRAPPINGS = (
    as_der,
    as_pem,
    as_files,
    with_encrypted_key,
    with_traditional_key,
)


def judge(inputs: Sequence[bytes]) -> Verdict:
    return judge_bundle(read_parts(inputs, PASSWORD), now=NOW)


def essence(verdict: Verdict) -> object:
    """Return all of a verdict that may not depend on the wrapping."""

    def name(facts: CertificateFacts | None) -> str | None:
        return facts.fingerprint if facts else None

    return (
        verdict.is_accepted,
        name(verdict.leaf),
        tuple(map(name, verdict.chain)),
        verdict.key_source,
        sorted(
            (found.severity, found.code, found.subject)
            for found in verdict.problems
            if found.severity is not Severity.INFO
        ),
    )


EXPECTED = {name: essence(judge(as_pem(held))) for name, held in HOLDINGS.items()}


def test_the_holdings_are_what_they_are_called() -> None:
    accepted = {name: judge(as_pem(held)).is_accepted for name, held in HOLDINGS.items()}
    assert accepted == {
        "all": True,
        "without an intermediate": True,  # to be confirmed
        "with another's key": False,
        "authorities only": False,
    }
    assert len({repr(essence) for essence in EXPECTED.values()}) == len(HOLDINGS)


@pytest.mark.parametrize("wrap", WRAPPINGS)
@pytest.mark.parametrize("holding", HOLDINGS)
def test_a_wrapping_changes_nothing(holding: str, wrap: Wrap) -> None:
    verdict = judge(wrap(HOLDINGS[holding]))
    assert essence(verdict) == EXPECTED[holding]
    assert verdict.found == judge(as_pem(HOLDINGS[holding])).found


@given(st.sampled_from(sorted(HOLDINGS)), st.sampled_from(WRAPPINGS), st.data())
def test_the_order_changes_nothing(holding: str, wrap: Wrap, data: st.DataObject) -> None:
    inputs = data.draw(st.permutations(wrap(HOLDINGS[holding])))
    assert essence(judge(inputs)) == EXPECTED[holding]


def as_utf_16(text: str) -> bytes:
    return codecs.BOM_UTF16_LE + text.encode("utf-16-le")


LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r", " \n", "\t\r\n"])
ENCODINGS: st.SearchStrategy[Callable[[str], bytes]] = st.sampled_from(
    [str.encode, lambda text: text.encode("utf-8-sig"), as_utf_16]
)
# What is written between blocks: no hyphens, for those are what a block begins with.
BETWEEN = st.text(st.characters(exclude_characters="-", exclude_categories=("Cs",)), max_size=60)


@given(
    st.sampled_from(sorted(HOLDINGS)),
    st.lists(BETWEEN, min_size=6, max_size=6),
    LINE_ENDS,
    ENCODINGS,
    st.booleans(),
    st.data(),
)
def test_text_around_the_blocks_changes_nothing(
    holding: str,
    between: list[str],
    line_end: str,
    encode: Callable[[str], bytes],
    is_finished: bool,
    data: st.DataObject,
) -> None:
    pems = data.draw(st.permutations(HOLDINGS[holding].pems))
    text = "\n".join(f"{said}\n{pem.decode()}" for said, pem in zip(between, pems, strict=False))
    if not is_finished:
        text = text.rstrip("\n")
    assert essence(judge([encode(text.replace("\n", line_end))])) == EXPECTED[holding]


@given(st.sampled_from(sorted(HOLDINGS)), st.sampled_from(WRAPPINGS), st.integers(1, 3))
def test_giving_everything_several_times_changes_nothing(
    holding: str, wrap: Wrap, times: int
) -> None:
    assert essence(judge(wrap(HOLDINGS[holding]) * times)) == EXPECTED[holding]


@given(st.lists(st.binary(max_size=3000), max_size=4), st.sampled_from([None, "", PASSWORD]))
def test_nothing_is_raised_for_any_bytes(inputs: list[bytes], password: str | None) -> None:
    judge_bundle(read_parts(inputs, password), now=NOW)


@given(st.sampled_from(sorted(HOLDINGS)), st.sampled_from(WRAPPINGS), st.data())
def test_damage_raises_nothing_and_makes_nothing_better(
    holding: str, wrap: Wrap, data: st.DataObject
) -> None:
    inputs = wrap(HOLDINGS[holding])
    which = data.draw(st.integers(0, len(inputs) - 1))
    spoilt = bytearray(inputs[which])
    for _ in range(data.draw(st.integers(1, 4))):
        spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))

    verdict = judge([*inputs[:which], bytes(spoilt), *inputs[which + 1 :]])

    expected_leaf = HOLDINGS[holding].certificates[0]
    is_the_same = verdict.leaf is not None and verdict.leaf.der == expected_leaf.public_bytes(
        Encoding.DER
    )
    # A byte of the leaf's own signature may have been changed, which no issuer then stands behind.
    assert not verdict.is_accepted or is_the_same or not verdict.chain
    assert verdict.is_accepted <= judge(inputs).is_accepted
