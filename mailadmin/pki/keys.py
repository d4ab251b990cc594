"""Private keys: drawing, reading, writing and naming them.

No exception raised here holds key bytes or a password, in its text or in its cause.

===========================  ========  ======  ===================================================
code                         severity  params  source
===========================  ========  ======  ===================================================
key.unreadable               error             RFC 5208, 5915, 5958, 8017: no key, or numbers that
                                               do not belong together
key.password_needed          error             RFC 5958 3; RFC 1421 4.6 (traditional)
key.password_wrong           error             only said of a method that is understood
key.encryption_unsupported   error             RFC 8018: a method that is not understood
key.encryption_too_slow      error             own: bounded work
===========================  ========  ======  ===================================================
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import gmpy2
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from mailadmin.pki.der import SEQUENCE, DerError, is_der, read_element
from mailadmin.pki.key_rules import (
    RSA_TOO_SMALL,
    UNKNOWN,
    UNSUPPORTED,
    curve_problems,
    kind_problem,
    name_curve,
    rsa_problems,
)
from mailadmin.pki.pbe import TooSlowError, UnsupportedMethodError
from mailadmin.pki.pem import PemBlock, decode_text, find_blocks
from mailadmin.pki.pkcs8 import EncryptedKey, find_encrypted_key
from mailadmin.pki.problems import Param, Problem, Severity
from mailadmin.pki.weak_keys import weak_key_problems

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

_ENCRYPTED_LABEL = "ENCRYPTED PRIVATE KEY"
_OPENSSH_LABEL = "OPENSSH PRIVATE KEY"
KEY_LABELS = frozenset(
    {
        "PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "DSA PRIVATE KEY",
        _OPENSSH_LABEL,
    }
)
_RSA_EXPONENT = 65537
_RSA_PSS = bytes.fromhex("06092a864886f70d01010a")  # the algorithm of a PKCS#8 key, in DER
_ALGORITHM_WITHIN = 24  # bytes from its beginning: two lengths, the version, and the algorithm
_WORDS = (
    ("nknown", "key.encryption_unsupported"),  # "unknown cipher", "Unknown ... algorithm"
    ("DEK-Info", "key.unreadable"),
)


class KeyKind(StrEnum):
    """The kinds of keys the panel draws itself; Let's Encrypt accepts each of them."""

    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    ECDSA_P256 = "ecdsa-p256"
    ECDSA_P384 = "ecdsa-p384"


class KeyProblem(ValueError):  # noqa: N818 - the word is shared with Problem
    """A private key that cannot be used. ``problem`` says why, without any secret.

    ``public_key_id`` tells whose it is, if it could be read.
    """

    def __init__(self, problem: Problem, public_key_id: str = "") -> None:
        super().__init__(problem.code)
        self.problem = problem
        self.public_key_id = public_key_id


_DRAW: dict[KeyKind, Callable[[], PrivateKey]] = {
    KeyKind.RSA_2048: lambda: rsa.generate_private_key(_RSA_EXPONENT, 2048),
    KeyKind.RSA_3072: lambda: rsa.generate_private_key(_RSA_EXPONENT, 3072),
    KeyKind.RSA_4096: lambda: rsa.generate_private_key(_RSA_EXPONENT, 4096),
    KeyKind.ECDSA_P256: lambda: ec.generate_private_key(ec.SECP256R1()),
    KeyKind.ECDSA_P384: lambda: ec.generate_private_key(ec.SECP384R1()),
}


def generate_key(kind: KeyKind) -> PrivateKey:
    """Draw a new private key. RSA takes from a tenth of a second up to seconds."""
    return _DRAW[kind]()


def public_key_id(key: PrivateKeyTypes | PublicKeyTypes) -> str:
    """Return the lower-case hex SHA-256 of the key's SubjectPublicKeyInfo."""
    public = key.public_key() if hasattr(key, "public_key") else key
    encoded = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()


class KeyAlgorithm(StrEnum):
    """The algorithms a mail server can serve side by side, for a client's own choice."""

    RSA = "rsa"
    ECDSA = "ecdsa"


def algorithm_of(description: str) -> KeyAlgorithm | None:
    """Return the algorithm of a key as :func:`describe_key` tells it; None for any other."""
    first = description.partition(" ")[0].lower()
    return next((item for item in KeyAlgorithm if item == first), None)


def describe_key(public_key: PublicKeyTypes) -> str:
    """Return a stable short text for a public key: ``RSA 2048``, ``ECDSA P-256``, ``Ed25519``."""
    match public_key:
        case rsa.RSAPublicKey():
            return f"RSA {public_key.key_size}"
        case ec.EllipticCurvePublicKey():
            return f"ECDSA {name_curve(public_key.curve.name)}"
        case dsa.DSAPublicKey():
            return f"DSA {public_key.key_size}"
        case ed25519.Ed25519PublicKey():
            return "Ed25519"
        case ed448.Ed448PublicKey():
            return "Ed448"
        case _:
            return type(public_key).__name__.removesuffix("PublicKey")


def key_problems(public_key: PublicKeyTypes) -> list[Problem]:
    """Say what keeps a key from serving mail clients, or some of them.

    By its kind and size (:mod:`key_rules`), and by known weaknesses (:mod:`weak_keys`).
    """
    return [*_kind_problems(public_key), *weak_key_problems(public_key)]


def _kind_problems(public_key: PublicKeyTypes) -> list[Problem]:
    match public_key:
        case rsa.RSAPublicKey():
            return list(rsa_problems(public_key.key_size, public_key.public_numbers().e))
        case ec.EllipticCurvePublicKey():
            return list(curve_problems(public_key.curve.name))
        case _:
            return [kind_problem(describe_key(public_key))]


def private_key_to_pem(key: PrivateKey) -> bytes:
    """Write the key as unencrypted PKCS#8 PEM, for the caller to encrypt before it is stored."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def private_key_to_der(key: PrivateKey) -> bytes:
    """Write the key as unencrypted PKCS#8 (RFC 5208), for :func:`load_written_key`."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def load_written_key(der: bytes) -> PrivateKey:
    """Read back what :func:`private_key_to_der` wrote. Raises ``ValueError`` for anything else.

    Its numbers were checked when it was read first, and are not checked again.
    """
    key = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, PrivateKey):
        raise ValueError("a key of another kind")  # noqa: TRY004 - the value is at fault
    return key


def load_private_key(pem_or_der: bytes, password: str | None = None) -> PrivateKey:
    """Read the first private key of a PEM text, or a DER key, encrypted or not.

    Raises :class:`KeyProblem` with ``key.password_needed``, ``key.password_wrong``,
    ``key.encryption_unsupported``, ``key.encryption_too_slow``, ``key.unreadable`` or
    ``key.unsupported``. A password that is not needed is ignored.
    """
    if is_der(pem_or_der):
        encrypted = find_encrypted_key(pem_or_der)
        if encrypted is not None:
            return _load_pkcs8(encrypted, password)
        return _load(load_der_private_key, pem_or_der, pem_or_der, password)
    for block in find_blocks(decode_text(pem_or_der)):
        if block.label in KEY_LABELS:
            return load_key_block(block, password)
    raise _problem("key.unreadable")


def load_key_block(block: PemBlock, password: str | None = None) -> PrivateKey:
    """Read the private key of one PEM block. Raises as :func:`load_private_key` does."""
    if block.content is None:
        raise _problem("key.unreadable")
    if block.label == _OPENSSH_LABEL:
        raise _problem(UNSUPPORTED, key="OpenSSH")
    # In a traditional block the content is the ciphertext itself: no structure, only chance.
    encrypted = find_encrypted_key(block.content) if block.label == _ENCRYPTED_LABEL else None
    if encrypted is not None:
        return _load_pkcs8(encrypted, password)
    return _load(load_pem_private_key, block.to_pem(), block.content, password)


class _Loader(Protocol):
    def __call__(
        self, data: bytes, password: bytes | None, *, unsafe_skip_rsa_key_validation: bool
    ) -> PrivateKeyTypes: ...


def _load_pkcs8(key: EncryptedKey, password: str | None) -> PrivateKey:
    """Open a key as a PKCS#12 file is opened, for ``cryptography`` knows fewer methods."""
    if not password:
        raise _problem("key.password_needed")
    try:
        plain = next((found for found in key.decrypt(password) if _is_structure(found)), None)
    except TooSlowError:
        raise _problem("key.encryption_too_slow") from None
    except (UnsupportedMethodError, DerError):
        raise _problem("key.encryption_unsupported") from None
    if plain is None:
        raise _problem("key.password_wrong")
    return _load(load_der_private_key, plain, plain, None)


def _is_structure(content: bytes) -> bool:
    """Tell whether this is no mere chance: one structure, from the first byte to the last."""
    try:
        return read_element(content).tag == SEQUENCE
    except DerError:
        return False


def _load(load: _Loader, encoded: bytes, der: bytes, password: str | None) -> PrivateKey:
    try:
        key = load(encoded, None, unsafe_skip_rsa_key_validation=True)  # validated below
    except TypeError:  # is how cryptography says that the key is encrypted
        key = None
    except UnsupportedAlgorithm:
        raise _problem(UNSUPPORTED, key=UNKNOWN) from None
    except ValueError:
        raise _problem("key.unreadable") from None
    if key is not None:
        _refuse_rsa_pss(key, der)
        return _validate(key)
    if not password:
        raise _problem("key.password_needed")
    return _validate(_load_encrypted(load, encoded, password.encode(errors="replace")))


def _refuse_rsa_pss(key: PrivateKeyTypes, der: bytes) -> None:
    """Refuse a key that says it may sign by PSS only (RFC 4055), which the library overlooks."""
    if isinstance(key, rsa.RSAPrivateKey) and _RSA_PSS in der[:_ALGORITHM_WITHIN]:
        problem = Problem("key.rsa_pss", params={"key": f"RSA-PSS {key.key_size}"})
        raise KeyProblem(problem, public_key_id(key))


def _load_encrypted(load: _Loader, encoded: bytes, password: bytes) -> PrivateKeyTypes:
    """Open the key. Only its words tell whether cryptography knows the method of encryption."""
    try:
        return load(encoded, password, unsafe_skip_rsa_key_validation=True)
    except UnsupportedAlgorithm:
        code = "key.encryption_unsupported"
    except ValueError as error:
        words = str(error)
        code = next((code for word, code in _WORDS if word in words), "key.password_wrong")
    raise _problem(code)


def _validate(key: PrivateKeyTypes) -> PrivateKey:
    """Check that the key is of a kind and size we take, and that its numbers belong together.

    In this order, for the primality test of a huge key would take minutes. A weak key is read, so
    that the certificate with it can be told apart and named, and so that a stored one can be
    exported and replaced.
    """
    problems = _kind_problems(key.public_key())
    refusals = [found for found in problems if found.severity is Severity.ERROR]
    # A small key is read, so that the certificate with it can be told apart and named.
    refusals = [found for found in refusals if found.code != RSA_TOO_SMALL]
    if not refusals and isinstance(key, ec.EllipticCurvePrivateKey):
        return key
    if not refusals and isinstance(key, rsa.RSAPrivateKey):
        if not _belong_together(key.private_numbers()):
            raise _problem("key.unreadable")
        return key
    raise KeyProblem(refusals[0], public_key_id(key))


def _belong_together(numbers: rsa.RSAPrivateNumbers) -> bool:
    """Tell whether they are a private key, as RFC 8017, section 3.2 defines one with two primes.

    The library asks the same, but 3 s long of 8192 bits, more than a whole upload may take.
    """
    p, q, d, public = numbers.p, numbers.q, numbers.d, numbers.public_numbers
    return (
        min(p, q) > 1
        and p * q == public.n
        and all(d * public.e % (prime - 1) == 1 for prime in (p, q))
        and (numbers.dmp1, numbers.dmq1) == (d % (p - 1), d % (q - 1))
        and numbers.iqmp < p
        and numbers.iqmp * q % p == 1
        and all(gmpy2.is_prime(prime) for prime in (p, q))
    )


def _problem(code: str, **params: Param) -> KeyProblem:
    return KeyProblem(Problem(code, params=params))
