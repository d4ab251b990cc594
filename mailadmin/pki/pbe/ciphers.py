"""The ciphers of keys and PKCS#12 files: AES, Triple DES, DES, RC2 and RC4. Decryption only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4, TripleDES
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from mailadmin.pki.pbe import rc2

_DES_BLOCK, _AES_BLOCK = 8, 16
_TRIPLE_DES_KEY = 24


class WrongPasswordError(ValueError):
    """The result makes no sense: the password is another one, or the bytes are damaged."""


@dataclass(frozen=True, slots=True)
class CipherKind:
    """A cipher with the length of its key; ``block_bytes`` is 0 for one without blocks."""

    open: Callable[[bytes, bytes, bytes], bytes]
    key_bytes: int
    block_bytes: int = _DES_BLOCK

    def decrypt(self, key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
        """Return the plain bytes without their padding. Raises :class:`WrongPasswordError`."""
        if not self.block_bytes:
            return self.open(key, iv, ciphertext)
        if not ciphertext or len(ciphertext) % self.block_bytes:
            raise WrongPasswordError
        padded = self.open(key, iv, ciphertext)
        padding = padded[-1]
        is_padded = 0 < padding <= self.block_bytes
        if not is_padded or padded[-padding:] != bytes([padding]) * padding:
            raise WrongPasswordError
        return padded[:-padding]


def _open_blocks(
    algorithm: Callable[[bytes], BlockCipherAlgorithm], key: bytes, iv: bytes, ciphertext: bytes
) -> bytes:
    decryptor = Cipher(algorithm(key), modes.CBC(iv)).decryptor()
    return decryptor.update(ciphertext) + decryptor.finalize()


def _open_des(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """Triple DES with the key repeated: of 16 bytes it is two-key DES, of 8 bytes single DES."""
    return _open_blocks(TripleDES, (key * 3)[:_TRIPLE_DES_KEY], iv, ciphertext)


def _open_rc4(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    del iv
    return Cipher(ARC4(key), mode=None).decryptor().update(ciphertext)


def make_aes(key_bytes: int) -> CipherKind:
    """Return AES with a key of that length."""
    return CipherKind(partial(_open_blocks, AES), key_bytes, _AES_BLOCK)


def make_des(key_bytes: int) -> CipherKind:
    """Return Triple DES with a key of 16 or 24 bytes, or, with 8, single DES."""
    return CipherKind(_open_des, key_bytes)


def make_rc2(effective_bits: int, key_bytes: int) -> CipherKind:
    """Return RC2 with a key of that length, of which so many bits count."""

    def open_rc2(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
        return rc2.decrypt_cbc(key, effective_bits, iv, ciphertext)

    return CipherKind(open_rc2, key_bytes)


def make_rc4(key_bytes: int) -> CipherKind:
    """Return RC4 with a key of that length."""
    return CipherKind(_open_rc4, key_bytes, 0)
