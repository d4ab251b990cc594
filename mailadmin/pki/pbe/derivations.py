"""From a password to a key: PKCS#12's own way, PBKDF1, PBKDF2 and scrypt."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from mailadmin.pki.der import DerError

FOR_KEY, FOR_IV, FOR_MAC = 1, 2, 3  # RFC 7292, appendix B.3
_SCRYPT_MEMORY = 2**29
_TERMINATOR = b"\0\0"


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A password in the two forms in which it enters a derivation: wide (BMPString) and plain."""

    wide: bytes = field(repr=False)
    plain: bytes = field(repr=False)


EMPTY_PASSPHRASES = (Passphrase(_TERMINATOR, b""), Passphrase(b"", b""))


def find_passphrases(password: str | None) -> tuple[Passphrase, ...]:
    """Return the ways in which programs encode a password; then those of writing none at all.

    An empty password and no password differ in PKCS#12, and each is written by some program.
    """
    return *(spell_password(password) if password else ()), *EMPTY_PASSPHRASES


def spell_password(password: str) -> tuple[Passphrase, ...]:
    """Return the ways in which programs encode a password.

    OpenSSL before 1.1.0 took each byte of UTF-8 for a letter.
    """
    plain = password.encode(errors="replace")
    texts = dict.fromkeys((password, plain.decode("latin-1")))
    wides = (text.encode("utf-16-be", errors="replace") + _TERMINATOR for text in texts)
    return tuple(Passphrase(wide, plain) for wide in wides)


@dataclass(frozen=True, slots=True)
class Pkcs12Derivation:
    """The derivation of RFC 7292, appendix B.2, from a wide password."""

    digest: str
    salt: bytes
    rounds: int

    def derive(self, password: bytes, purpose: int, length: int) -> bytes:
        """Return that many bytes; ``purpose`` keeps key, vector and MAC key apart."""
        block = hashlib.new(self.digest).block_size
        mixed = _fill(self.salt, block) + _fill(password, block)
        derived = b""
        while len(derived) < length:
            value = self._hash(bytes([purpose]) * block + mixed)
            derived += value
            mixed = _add_to_blocks(mixed, _fill(value, block)[:block])
        return derived[:length]

    def _hash(self, content: bytes) -> bytes:
        make = getattr(hashlib, self.digest)
        value: bytes = make(content).digest()
        for _ in range(self.rounds - 1):
            value = make(value).digest()
        return value

    def derive_key_and_iv(
        self, phrase: Passphrase, key_bytes: int, iv_bytes: int
    ) -> tuple[bytes, bytes]:
        """Return what PKCS#12's own schemes of encryption need."""
        key = self.derive(phrase.wide, FOR_KEY, key_bytes)
        return key, self.derive(phrase.wide, FOR_IV, iv_bytes)


@dataclass(frozen=True, slots=True)
class Pbkdf1Derivation:
    """PBKDF1 (RFC 8018, section 5.1), from a plain password."""

    digest: str
    salt: bytes
    rounds: int

    def derive_key_and_iv(
        self, phrase: Passphrase, key_bytes: int, iv_bytes: int
    ) -> tuple[bytes, bytes]:
        """Return the first bytes as the key and the next as the vector (section 6.1)."""
        make = getattr(hashlib, self.digest)
        value: bytes = phrase.plain + self.salt
        for _ in range(self.rounds):
            value = make(value).digest()
        return value[:key_bytes], value[key_bytes : key_bytes + iv_bytes]


@dataclass(frozen=True, slots=True)
class Pbkdf2Derivation:
    """PBKDF2 (RFC 8018, section 5.2). ``key_bytes`` is 0 where the file does not tell it."""

    digest: str
    salt: bytes
    rounds: int
    key_bytes: int

    def derive(self, password: bytes, length: int) -> bytes:
        """Return that many bytes."""
        return hashlib.pbkdf2_hmac(self.digest, password, self.salt, self.rounds, length)


@dataclass(frozen=True, slots=True)
class ScryptDerivation:
    """The derivation scrypt (RFC 7914)."""

    salt: bytes
    cost: int
    block: int
    lanes: int
    key_bytes: int

    def derive(self, password: bytes, length: int) -> bytes:
        """Return that many bytes. Raises ``DerError`` for numbers that scrypt does not allow."""
        try:
            return hashlib.scrypt(
                password,
                salt=self.salt,
                n=self.cost,
                r=self.block,
                p=self.lanes,
                maxmem=_SCRYPT_MEMORY,
                dklen=length,
            )
        except ValueError:
            raise DerError("numbers that scrypt does not allow") from None


def _fill(content: bytes, block: int) -> bytes:
    """Repeat the content up to a whole number of blocks."""
    if not content:
        return b""
    length = -(-len(content) // block) * block
    return (content * (length // len(content) + 1))[:length]


def _add_to_blocks(mixed: bytes, value: bytes) -> bytes:
    """Add a number, and one, to each block taken as a number."""
    block, addend = len(value), int.from_bytes(value) + 1
    blocks = (int.from_bytes(mixed[at : at + block]) for at in range(0, len(mixed), block))
    return b"".join(((number + addend) % (1 << 8 * block)).to_bytes(block) for number in blocks)
