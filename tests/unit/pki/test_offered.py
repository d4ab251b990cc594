"""Certificates in the forms in which authorities offer their own."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from mailadmin.pki.offered import read_certificates, read_offered
from mailadmin.pki.pem import armor
from tests.throwaway_pki import ThrowawayCa

CA = ThrowawayCa("Offered Test", intermediates=2)
CHAIN = [authority.certificate for authority in (CA.root, *CA.intermediates)]
TEXT = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in CHAIN)
TITLES = [facts.common_name for facts in read_certificates(TEXT)]


@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
def test_a_message_with_certificates_is_read(encoding: Encoding) -> None:
    found = read_offered(pkcs7.serialize_certificates(CHAIN, encoding))
    assert sorted(facts.common_name for facts in found) == sorted(TITLES)


def test_one_alone_and_several_after_each_other_are_read() -> None:
    (alone,) = read_offered(CHAIN[0].public_bytes(Encoding.DER))
    assert alone.common_name == TITLES[0]
    assert [facts.common_name for facts in read_offered(TEXT)] == TITLES
    assert len(read_offered(TEXT * 10)) == 20


def test_what_cannot_be_read_is_left_out() -> None:
    damaged = armor("CERTIFICATE", b"\x30\x03\x02\x01\x05")
    assert [facts.common_name for facts in read_certificates(damaged + TEXT)] == TITLES
    for content in (b"", b"text", damaged, b"\x30\x03\x02\x01\x05"):
        assert read_offered(content) == []
