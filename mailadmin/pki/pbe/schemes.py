"""Which scheme something is encrypted or authenticated with, read from its parameters."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from typing import Protocol

from mailadmin.pki.der import OCTET_STRING, SEQUENCE, DerError, Element
from mailadmin.pki.pbe.ciphers import (
    CipherKind,
    WrongPasswordError,
    make_aes,
    make_des,
    make_rc2,
    make_rc4,
)
from mailadmin.pki.pbe.derivations import (
    FOR_MAC,
    Passphrase,
    Pbkdf1Derivation,
    Pbkdf2Derivation,
    Pkcs12Derivation,
    ScryptDerivation,
)

# What the fastest machine could not do in the time that an upload may take; what is below these is
# for the caller to stop.
_MAX_ROUNDS = 20_000_000  # of PBKDF2
_MAX_OLD_ROUNDS = 10_000_000  # of its elders
_MAX_SCRYPT_COST = 2**23  # N x r x p
_MAX_SCRYPT_MEMORY = 2**21  # N x r: 256 MiB, 16 times what OpenSSL writes
_MAX_KEY_BYTES = 128
_LEAST_MAC_KEY_BYTES = 20

_PBES2 = "1.2.840.113549.1.5.13"
_PBKDF2 = "1.2.840.113549.1.5.12"
_PBMAC1 = "1.2.840.113549.1.5.14"
_SCRYPT = "1.3.6.1.4.1.11591.4.11"
_RC2_CBC = "1.2.840.113549.3.2"
_HMAC_SHA1 = "1.2.840.113549.2.7"
_HMACS = {
    _HMAC_SHA1: "sha1",
    "1.2.840.113549.2.8": "sha224",
    "1.2.840.113549.2.9": "sha256",
    "1.2.840.113549.2.10": "sha384",
    "1.2.840.113549.2.11": "sha512",
}
_DIGESTS = {
    "1.2.840.113549.2.5": "md5",
    "1.3.14.3.2.26": "sha1",
    "2.16.840.1.101.3.4.2.4": "sha224",
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_CIPHERS = {
    "2.16.840.1.101.3.4.1.2": make_aes(16),
    "2.16.840.1.101.3.4.1.22": make_aes(24),
    "2.16.840.1.101.3.4.1.42": make_aes(32),
    "1.2.840.113549.3.7": make_des(24),
    "1.3.14.3.2.7": make_des(8),
}
# RFC 7292, appendix C; RFC 8018, appendix A.3.
_OLD_SCHEMES: dict[str, tuple[type[Pkcs12Derivation | Pbkdf1Derivation], str, CipherKind]] = {
    "1.2.840.113549.1.12.1.1": (Pkcs12Derivation, "sha1", make_rc4(16)),
    "1.2.840.113549.1.12.1.2": (Pkcs12Derivation, "sha1", make_rc4(5)),
    "1.2.840.113549.1.12.1.3": (Pkcs12Derivation, "sha1", make_des(24)),
    "1.2.840.113549.1.12.1.4": (Pkcs12Derivation, "sha1", make_des(16)),
    "1.2.840.113549.1.12.1.5": (Pkcs12Derivation, "sha1", make_rc2(128, 16)),
    "1.2.840.113549.1.12.1.6": (Pkcs12Derivation, "sha1", make_rc2(40, 5)),
    "1.2.840.113549.1.5.3": (Pbkdf1Derivation, "md5", make_des(8)),
    "1.2.840.113549.1.5.6": (Pbkdf1Derivation, "md5", make_rc2(64, 8)),
    "1.2.840.113549.1.5.10": (Pbkdf1Derivation, "sha1", make_des(8)),
    "1.2.840.113549.1.5.11": (Pbkdf1Derivation, "sha1", make_rc2(64, 8)),
}
# How many bits of an RC2 key count is written as a number of a table, or, from 256 on, as it is
# (RFC 8018, appendix B.2.3); nothing stands for 32.
_RC2_BITS = {160: 40, 120: 64, 58: 128}
_RC2_BITS_AS_TOLD = range(256, 1025)
_RC2_DEFAULT_BITS = 32


class UnsupportedMethodError(ValueError):
    """A method that nobody here knows; ``method`` is its object identifier."""

    def __init__(self, method: str) -> None:
        super().__init__(method)
        self.method = method


class TooSlowError(ValueError):
    """A method that is known, with more rounds or memory than is spent on one file."""


class Scheme(Protocol):
    """A known way of encrypting, with its parameters."""

    def decrypt(self, ciphertext: bytes, phrase: Passphrase) -> bytes:
        """Return what was encrypted. Raises ``WrongPasswordError``, or ``DerError``."""


@dataclass(frozen=True, slots=True)
class _OldScheme:
    derivation: Pkcs12Derivation | Pbkdf1Derivation
    cipher: CipherKind

    def decrypt(self, ciphertext: bytes, phrase: Passphrase) -> bytes:
        key, iv = self.derivation.derive_key_and_iv(
            phrase, self.cipher.key_bytes, self.cipher.block_bytes
        )
        return self.cipher.decrypt(key, iv, ciphertext)


@dataclass(frozen=True, slots=True)
class _Pbes2:
    derivation: Pbkdf2Derivation | ScryptDerivation
    cipher: CipherKind
    iv: bytes

    def decrypt(self, ciphertext: bytes, phrase: Passphrase) -> bytes:
        try:
            return self._decrypt(ciphertext, phrase.plain)
        except WrongPasswordError:
            # Mozilla's programs once took the wide form here too.
            return self._decrypt(ciphertext, phrase.wide)

    def _decrypt(self, ciphertext: bytes, password: bytes) -> bytes:
        key = self.derivation.derive(password, self.cipher.key_bytes)
        return self.cipher.decrypt(key, self.iv, ciphertext)


class MacScheme(Protocol):
    """A known way of authenticating the whole of a PKCS#12 file."""

    def accepts(self, content: bytes, phrase: Passphrase) -> bool:
        """Tell whether the content was written with this password, and is whole."""


@dataclass(frozen=True, slots=True)
class _OldMac:
    derivation: Pkcs12Derivation
    expected: bytes

    def accepts(self, content: bytes, phrase: Passphrase) -> bool:
        digest = self.derivation.digest
        key = self.derivation.derive(phrase.wide, FOR_MAC, len(self.expected))
        return hmac.compare_digest(hmac.digest(key, content, digest), self.expected)


@dataclass(frozen=True, slots=True)
class _Pbmac1:
    derivation: Pbkdf2Derivation | ScryptDerivation
    digest: str
    expected: bytes

    def accepts(self, content: bytes, phrase: Passphrase) -> bool:
        key = self.derivation.derive(phrase.plain, self.derivation.key_bytes)
        return hmac.compare_digest(hmac.digest(key, content, self.digest), self.expected)


def parse_scheme(algorithm: Element) -> Scheme:
    """Read how something is encrypted (an AlgorithmIdentifier).

    Raises :class:`UnsupportedMethodError`, :class:`TooSlowError` or ``DerError``.
    """
    oid, parameters = _split_algorithm(algorithm)
    if oid == _PBES2:
        return _parse_pbes2(parameters)
    if oid not in _OLD_SCHEMES:
        raise UnsupportedMethodError(oid)
    derivation, digest, cipher = _OLD_SCHEMES[oid]
    salt, rounds = _take(parameters, 2)[:2]
    return _OldScheme(
        derivation(digest, _octets(salt), _read_count(rounds, _MAX_OLD_ROUNDS)), cipher
    )


def parse_mac(mac: Element) -> MacScheme:
    """Read a MacData (RFC 7292, section 4). Raises as :func:`parse_scheme` does."""
    authentication, salt, *rest = _take(mac, 2)
    algorithm, digest = _take(authentication, 2)[:2]
    oid, parameters = _split_algorithm(algorithm)
    if oid == _PBMAC1:
        return _parse_pbmac1(parameters, _octets(digest))
    if oid not in _DIGESTS:
        raise UnsupportedMethodError(oid)
    rounds = _read_count(rest[0], _MAX_OLD_ROUNDS) if rest else 1
    return _OldMac(Pkcs12Derivation(_DIGESTS[oid], _octets(salt), rounds), _octets(digest))


def _parse_pbes2(parameters: Element) -> _Pbes2:
    derivation_id, cipher_id = _take(parameters, 2)[:2]
    derivation = _parse_derivation(derivation_id)
    cipher, iv = _parse_cipher(cipher_id)
    if len(iv) != cipher.block_bytes:
        raise DerError("an initialisation vector of another length")
    if _split_algorithm(cipher_id)[0] == _RC2_CBC and derivation.key_bytes:
        if derivation.key_bytes < cipher.key_bytes:  # more bits count than there are
            raise UnsupportedMethodError(_RC2_CBC)
        cipher = replace(cipher, key_bytes=derivation.key_bytes)
    return _Pbes2(derivation, cipher, iv)


def _parse_pbmac1(parameters: Element, expected: bytes) -> _Pbmac1:
    derivation_id, authentication = _take(parameters, 2)[:2]
    derivation = _parse_derivation(derivation_id)
    if derivation.key_bytes < _LEAST_MAC_KEY_BYTES:  # 0 where it is not told
        raise DerError("RFC 9579 asks for the length of the key, and for 20 bytes of it")
    return _Pbmac1(derivation, _read_hmac(authentication), expected)


def _parse_derivation(algorithm: Element) -> Pbkdf2Derivation | ScryptDerivation:
    oid, parameters = _split_algorithm(algorithm)
    if oid == _PBKDF2:
        salt, rounds, *rest = _take(parameters, 2)
        prf = next((item for item in rest if item.tag == SEQUENCE), None)
        length = next((item for item in rest if item.tag != SEQUENCE), None)
        return Pbkdf2Derivation(
            _read_hmac(prf) if prf else _HMACS[_HMAC_SHA1],
            _octets(salt),
            _read_count(rounds, _MAX_ROUNDS),
            _read_key_bytes(length),
        )
    if oid == _SCRYPT:
        salt, *numbers = _take(parameters, 4)
        cost, block, lanes = (_read_count(number, _MAX_SCRYPT_COST) for number in numbers[:3])
        if cost * block > _MAX_SCRYPT_MEMORY or cost * block * lanes > _MAX_SCRYPT_COST:
            raise TooSlowError
        length = next(iter(numbers[3:]), None)
        return ScryptDerivation(_octets(salt), cost, block, lanes, _read_key_bytes(length))
    raise UnsupportedMethodError(oid)


def _parse_cipher(algorithm: Element) -> tuple[CipherKind, bytes]:
    """Return the cipher and its initialisation vector."""
    oid, parameters = _split_algorithm(algorithm)
    if oid in _CIPHERS:
        return _CIPHERS[oid], _octets(parameters)
    if oid != _RC2_CBC:
        raise UnsupportedMethodError(oid)
    *version, iv = _take(parameters, 1)
    bits = _read_rc2_bits(version[0]) if version else _RC2_DEFAULT_BITS
    return make_rc2(bits, bits // 8), _octets(iv)


def _read_rc2_bits(version: Element) -> int:
    number = version.to_int()
    if number in _RC2_BITS:
        return _RC2_BITS[number]
    if number in _RC2_BITS_AS_TOLD:
        return number
    raise UnsupportedMethodError(_RC2_CBC)


def _read_hmac(algorithm: Element) -> str:
    oid, _ = _split_algorithm(algorithm)
    if oid not in _HMACS:
        raise UnsupportedMethodError(oid)
    return _HMACS[oid]


def _split_algorithm(algorithm: Element) -> tuple[str, Element]:
    """Return the identifier and the parameters of an AlgorithmIdentifier."""
    identifier, *rest = _take(algorithm, 1)
    return identifier.to_oid(), rest[0] if rest else Element(0, b"", b"")


def _take(element: Element, least: int) -> list[Element]:
    """Return the elements of a SEQUENCE that has at least so many."""
    fields = element.expect(SEQUENCE).children()
    if len(fields) < least:
        raise DerError("an element is missing")
    return fields


def _octets(element: Element) -> bytes:
    return element.expect(OCTET_STRING).content


def _read_count(element: Element, limit: int) -> int:
    count = element.to_int()
    if count < 1:
        raise DerError("fewer than one round")
    if count > limit:
        raise TooSlowError
    return count


def _read_key_bytes(element: Element | None) -> int:
    """Return the length of a key; 0 when it is not told."""
    if element is None:
        return 0
    key_bytes = element.to_int()
    if not 1 <= key_bytes <= _MAX_KEY_BYTES:
        raise DerError("a key of a strange length")
    return key_bytes
