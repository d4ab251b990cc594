"""Keys that anyone can break, made as the faulty programs made them; or found in a corpus."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cache
from math import prod
from pathlib import Path

import gmpy2
from badkeys.rsakeys import sharedprimes
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.throwaway_pki import common_name, draw_key

CORPUS = Path(__file__).parent / "corpora" / "badkeys"
_EXPONENT = 65537
_RANDOM = random.Random(20261124)  # noqa: S311 - the same keys each time


def public_key_of(name: str) -> rsa.RSAPublicKey:
    """Return a public key of the test data of ``badkeys``."""
    key = load_pem_public_key((CORPUS / name).read_bytes())
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def key_of(p: int, q: int, exponent: int = _EXPONENT) -> rsa.RSAPrivateKey:
    """Return the private key of two primes."""
    d = rsa.rsa_recover_private_exponent(exponent, p, q)
    public = rsa.RSAPublicNumbers(exponent, p * q)
    crt = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, *crt, public).private_key()


def _prime(bits: int) -> int:
    """Return a prime of so many bits, above a number drawn at random with the two highest set."""
    return int(gmpy2.next_prime(_RANDOM.getrandbits(bits) | 3 << (bits - 2)))


def _chip_prime() -> int:
    """Return a prime of 1024 bits as Infineon's library made it (CVE-2017-15361)."""
    primes = [2]
    while len(primes) < 126:
        primes.append(int(gmpy2.next_prime(primes[-1])))
    product = prod(primes)
    while True:
        rest = pow(_EXPONENT, _RANDOM.getrandbits(60), product)
        factor = (3 << 1022 | _RANDOM.getrandbits(1022)) // product
        if gmpy2.is_prime(factor * product + rest):
            return int(factor * product + rest)


def _close_primes() -> rsa.RSAPrivateKey:
    p = _prime(1024)
    return key_of(p, int(gmpy2.next_prime(p)))


def _shared_prime() -> rsa.RSAPrivateKey:
    found = sharedprimes(public_key_of("rsa-sharedprimes.key").public_numbers().n)
    return key_of(found["p"], found["q"])


def _small_factor() -> rsa.RSAPrivateKey:
    return key_of(_prime(2035), 4993)


def _private_exponent() -> rsa.RSAPrivateKey:
    p, q = _prime(1024), _prime(1024)
    d = int(gmpy2.next_prime(2**200))
    return key_of(p, q, pow(d, -1, (p - 1) * (q - 1)))


# The private keys by the code that tells their weakness.
_MAKERS: dict[str, Callable[[], rsa.RSAPrivateKey]] = {
    "key.weak_roca": lambda: key_of(_chip_prime(), _chip_prime()),
    "key.weak_close_primes": _close_primes,
    "key.weak_shared_prime": _shared_prime,
    "key.weak_small_factor": _small_factor,
    "key.weak_private_exponent": _private_exponent,
}
WEAK_CODES = tuple(_MAKERS)
# What the corpus holds of each, and some whose private half nobody here knows.
WEAK_PUBLIC = {
    "rsa-fermat-pkcs1.key": "key.weak_close_primes",
    "rsa-fermat-pkcs8.key": "key.weak_close_primes",
    "rsa-nprime.key": "key.weak_prime",
    "rsa-pattern.key": "key.weak_pattern",
    "rsa-roca.key": "key.weak_roca",
    "rsa-sharedprimes.key": "key.weak_shared_prime",
    "rsa-small-d.key": "key.weak_private_exponent",
    "rsa-smallfactors-corrupt.key": "key.weak_small_factor",
    "rsa-smallfactors-valid.key": "key.weak_small_factor",
    "rsapoly128.key": "key.weak_pattern",
    "rsapoly32.key": "key.weak_pattern",
}


def certify_key(
    public_key: CertificatePublicKeyTypes, names: Sequence[str], now: datetime
) -> x509.Certificate:
    """Return a certificate of a key that nobody has to sign with."""
    issuer, subject = common_name("Test Authority"), common_name(names[0])
    builder = x509.CertificateBuilder(issuer, subject, public_key, 7, now, now + timedelta(80))
    san = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    return builder.add_extension(san, False).sign(draw_key(), hashes.SHA256())


@cache
def weak_key(code: str) -> rsa.RSAPrivateKey:
    """Return a private key with this weakness, the same one each time."""
    return _MAKERS[code]()
