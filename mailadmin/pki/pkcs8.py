"""Encrypted private keys in PKCS#8 form (RFC 5958, section 3), opened as those of PKCS#12 are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mailadmin.pki.der import OCTET_STRING, SEQUENCE, Element, read_element, to_der
from mailadmin.pki.pbe import WrongPasswordError, parse_scheme, spell_password


@dataclass(frozen=True, slots=True)
class EncryptedKey:
    """How a key is encrypted, and what came of it."""

    algorithm: Element
    ciphertext: bytes = field(repr=False)

    def decrypt(self, password: str) -> Iterator[bytes]:
        """Yield what the key may be, for each spelling of the password that opens something.

        Raises ``UnsupportedMethodError``, ``TooSlowError``, or ``DerError`` for numbers that the
        method does not allow.
        """
        scheme = parse_scheme(self.algorithm)
        for phrase in spell_password(password):
            try:
                plain = scheme.decrypt(self.ciphertext, phrase)
            except WrongPasswordError:
                continue
            yield plain


def find_encrypted_key(der: bytes) -> EncryptedKey | None:
    """Return an EncryptedPrivateKeyInfo; None for anything else. Never raises."""
    try:
        algorithm, ciphertext = read_element(to_der(der)[0]).expect(SEQUENCE).children()
        return EncryptedKey(algorithm.expect(SEQUENCE), ciphertext.expect(OCTET_STRING).content)
    except ValueError:  # of its structure, or of another number of elements
        return None
