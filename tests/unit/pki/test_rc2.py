"""RC2 against the examples of RFC 2268, and against the 128 bits that ``cryptography`` knows."""

from __future__ import annotations

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import RC2
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.pki.pbe.rc2 import decrypt_block, decrypt_cbc, expand_key


@pytest.mark.parametrize(
    ("key", "bits", "plain", "encrypted"),
    [
        ("0000000000000000", 63, "0000000000000000", "ebb773f993278eff"),
        ("ffffffffffffffff", 64, "ffffffffffffffff", "278b27e42e2f0d49"),
        ("3000000000000000", 64, "1000000000000001", "30649edf9be7d2c2"),
        ("88", 64, "0000000000000000", "61a8a244adacccf0"),
        ("88bca90e90875a", 64, "0000000000000000", "6ccf4308974c267f"),
        ("88bca90e90875a7f0f79c384627bafb2", 64, "0000000000000000", "1a807d272bbe5db1"),
        ("88bca90e90875a7f0f79c384627bafb2", 128, "0000000000000000", "2269552ab0f85ca6"),
        (
            "88bca90e90875a7f0f79c384627bafb216f80a6f85920584c42fceb0be255daf1e",
            129,
            "0000000000000000",
            "5b78d3a43dfff1f1",
        ),
    ],
)
def test_the_examples_of_rfc_2268(key: str, bits: int, plain: str, encrypted: str) -> None:
    schedule = expand_key(bytes.fromhex(key), bits)
    assert decrypt_block(schedule, bytes.fromhex(encrypted)).hex() == plain


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8), st.integers(0, 9))
def test_128_bits_are_as_others_have_them(key: bytes, iv: bytes, blocks: int) -> None:
    plain = bytes(range(8)) * blocks
    encryptor = Cipher(RC2(key), modes.CBC(iv)).encryptor()
    encrypted = encryptor.update(plain) + encryptor.finalize()
    assert decrypt_cbc(key, 128, iv, encrypted) == plain
