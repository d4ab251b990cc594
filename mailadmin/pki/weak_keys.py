"""Keys whose private half others can compute or have already: known weaknesses, and lists of them.

============================  ========  ============  ==============================================
code                          severity  params        found by
============================  ========  ============  ==============================================
key.weak_roca                 error                   BR 6.1.1.3; CVE-2017-15361: Infineon's chips
key.weak_close_primes         error                   BR 6.1.1.3; CVE-2022-26320: Fermat, 100 rounds
key.weak_shared_prime         error                   a prime met in other people's keys, too
key.weak_small_factor         error                   a factor below 65538; mostly a damaged key
key.weak_prime                error                   the modulus is one prime instead of two
key.weak_private_exponent     error                   Wiener's attack
key.weak_pattern              error                   bytes that no random number has
key.rsa_vanity                warning                 the upper half of the modulus was chosen
key.weak_debian               error     list          BR 6.1.1.3; CVE-2008-0166; only by a list
key.weak_published            error     list          BR 6.1.1.3; as in RFC 9500; only by a list
============================  ========  ============  ==============================================

The arithmetic is that of the package ``badkeys``. Of each key the first weakness found is told.
What only a list shows is looked up in the caller's :class:`KnownKeys`, for a list is a large file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

import gmpy2
from badkeys.rsakeys import (
    fermat,
    pattern,
    roca,
    rsabias,
    rsapoly,
    sharedprimes,
    smalld,
)
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from mailadmin.pki.problems import Problem, Severity

# Numbers outside of these are refused for their size, and would only cost time.
_LEAST_BITS, _MOST_BITS = 512, 8192
# Above it, Wiener's attack would take a third of a second.
_MOST_BITS_FOR_SLOW = 4096
# Wiener's private exponent has less than a quarter of the bits of the modulus, so that the public
# one that belongs to it has nearly all of them.
_LEAST_SHARE_OF_EXPONENT = 0.7
_SMALL_PRIMES = gmpy2.primorial(65537)  # the product of them all
_DIGEST_BYTES = 15


class WeakKeyCheck(StrEnum):
    """What a key was looked at for."""

    ROCA = "roca"
    CLOSE_PRIMES = "close_primes"
    SHARED_PRIME = "shared_prime"
    SMALL_FACTOR = "small_factor"
    PRIME = "prime"
    PRIVATE_EXPONENT = "private_exponent"
    PATTERN = "pattern"
    DEBIAN = "debian"
    PUBLISHED = "published"


_CODES = {
    WeakKeyCheck.ROCA: "key.weak_roca",
    WeakKeyCheck.CLOSE_PRIMES: "key.weak_close_primes",
    WeakKeyCheck.SHARED_PRIME: "key.weak_shared_prime",
    WeakKeyCheck.SMALL_FACTOR: "key.weak_small_factor",
    WeakKeyCheck.PRIME: "key.weak_prime",
    WeakKeyCheck.PRIVATE_EXPONENT: "key.weak_private_exponent",
    WeakKeyCheck.PATTERN: "key.weak_pattern",
    WeakKeyCheck.DEBIAN: "key.weak_debian",
    WeakKeyCheck.PUBLISHED: "key.weak_published",
}
ARITHMETIC = frozenset(WeakKeyCheck) - {WeakKeyCheck.DEBIAN, WeakKeyCheck.PUBLISHED}


class KnownKeys(Protocol):
    """Lists of keys whose private half is known: Debian's of 2008, those in firmware."""

    def find(self, digest: bytes) -> str | None:
        """Return the name of the list that holds the key with this :func:`key_digest`, if any."""


class _NoKeys:
    def find(self, digest: bytes) -> str | None:  # noqa: ARG002 - there is nothing to look in
        return None


NO_KNOWN_KEYS: KnownKeys = _NoKeys()


def weak_key_problems(public_key: PublicKeyTypes) -> list[Problem]:
    """Tell whether arithmetic alone shows that others can compute the private key.

    Takes less than a millisecond for an ordinary key and at most a tenth of a second for a hostile
    one. Only RSA keys are known to be weak in such ways.
    """
    if not isinstance(public_key, rsa.RSAPublicKey):
        return []
    numbers = public_key.public_numbers()
    return list(_judge_numbers(numbers.n, numbers.e))


def listed_key_problems(digest: bytes | None, known: KnownKeys) -> list[Problem]:
    """Tell whether a list says that others have the private key of this :func:`key_digest`."""
    name = known.find(digest) if digest else None
    if name is None:
        return []
    return [Problem(_CODES[check_of_list(name)], params={"list": name})]


def check_of_list(name: str) -> WeakKeyCheck:
    """Tell by its name what a list is of; ``debianssl`` and the like are those of 2008."""
    is_debian = name.lower().startswith(WeakKeyCheck.DEBIAN)
    return WeakKeyCheck.DEBIAN if is_debian else WeakKeyCheck.PUBLISHED


def key_digest(public_key: PublicKeyTypes) -> bytes | None:
    """Return by what ``badkeys`` lists a key: 15 bytes of SHA-256 over its modulus or its x.

    None for a kind of key that no mail server can use whoever has it.
    """
    match public_key:
        case rsa.RSAPublicKey():
            number = public_key.public_numbers().n
        case ec.EllipticCurvePublicKey():
            number = public_key.public_numbers().x
        case _:
            return None
    encoded = number.to_bytes((number.bit_length() + 7) // 8)
    return hashlib.sha256(encoded).digest()[:_DIGEST_BYTES]


@lru_cache(maxsize=256)  # a page judges the same key several times
def _judge_numbers(modulus: int, exponent: int) -> tuple[Problem, ...]:
    bits = modulus.bit_length()
    if not _LEAST_BITS <= bits <= _MOST_BITS:
        return ()
    for check, is_found in _QUICK_CHECKS:
        if is_found(modulus):
            return (Problem(_CODES[check]),)
    if bits <= _MOST_BITS_FOR_SLOW:
        if gmpy2.is_strong_prp(modulus, 2):
            return (Problem(_CODES[WeakKeyCheck.PRIME]),)
        is_large = bits * _LEAST_SHARE_OF_EXPONENT < exponent.bit_length()
        if is_large and smalld(modulus, exponent):
            return (Problem(_CODES[WeakKeyCheck.PRIVATE_EXPONENT]),)
    if rsabias(modulus):
        return (Problem("key.rsa_vanity", Severity.WARNING),)
    return ()


def _has_small_factor(modulus: int) -> bool:
    return bool(gmpy2.gcd(_SMALL_PRIMES, modulus) != 1)


def _has_pattern(modulus: int) -> bool:
    """Tell whether the modulus shows that its primes were not drawn at random.

    The odds that a random one looks so are one to 2^100. A modulus of which only the upper half
    does is made on purpose, and not known to be broken.
    """
    bias = rsabias(modulus)
    is_biased = bool(bias) and bias.get("subtest") != "vanity"
    return is_biased or bool(pattern(modulus) or rsapoly(modulus))


_QUICK_CHECKS: tuple[tuple[WeakKeyCheck, Callable[[int], object]], ...] = (
    (WeakKeyCheck.SMALL_FACTOR, _has_small_factor),
    (WeakKeyCheck.ROCA, roca),
    (WeakKeyCheck.CLOSE_PRIMES, fermat),
    (WeakKeyCheck.SHARED_PRIME, sharedprimes),
    (WeakKeyCheck.PATTERN, _has_pattern),
)
