"""Which public keys a mail server can use: by their numbers and kinds, whoever read them.

==========================  ========  =============  ==============================================
code                        severity  params         source
==========================  ========  =============  ==============================================
key.rsa_too_small           error     bits, minimum  C10; BR 6.1.5
key.rsa_too_large           error     bits, maximum  own: one handshake costs more than it protects
key.rsa_odd_size            error     bits           C10; BR 6.1.5: a multiple of 8
key.rsa_exponent_invalid    error     exponent       C10; BR 6.1.6: odd, 3 or more
key.rsa_exponent_small      warning   exponent       C10; BR 6.1.6: should be 65537 or more
key.rsa_exponent_large      warning   bits           BR 6.1.6: should be below 2^256
key.rsa_pss                 error     key            BR 7.1.3.1.1: rsaEncryption only
key.curve_unsupported       error     curve          C10; BR 6.1.5
key.curve_explicit          error                    RFC 5480, section 2.1.1: named curves only
key.p521_rare               warning                  BoringSSL (Android) does not offer it
key.ed25519                 error                    BR 6.1.5; docs/decisions/0016
key.dsa                     error                    C10; BR 6.1.5; gone in TLS 1.3
key.ed448                   error                    C10; BR 6.1.5
key.key_agreement           error     key            RFC 8410: X25519 cannot sign
key.post_quantum            error     key            BR 6.1.5
key.unsupported             error     key            anything else
==========================  ========  =============  ==============================================

C10 is the item of that name in the project's list of standards; BR are the Baseline Requirements
of the CA/Browser Forum, version 2.2.6.
"""

from __future__ import annotations

from collections.abc import Iterator

from mailadmin.pki.problems import Problem, Severity, has_errors
from mailadmin.pki.raw_fields import RawKey

UNKNOWN = "unknown"
UNSUPPORTED = "key.unsupported"
RSA_TOO_SMALL = "key.rsa_too_small"
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192  # beyond it one handshake costs more than it protects
_SMALLEST_EXPONENT = 3
_USUAL_EXPONENT = 65537
_LARGEST_EXPONENT_BITS = 64  # what OpenSSL takes with any key above 3072 bits
_MOST_SHOWN_EXPONENT = 2**63

_CURVE_NAMES = {
    "secp256r1": "P-256",
    "secp384r1": "P-384",
    "secp521r1": "P-521",
    "secp192r1": "P-192",
    "secp224r1": "P-224",
}
_RARE_CURVE = "secp521r1"
_GOOD_CURVES = frozenset({"secp256r1", "secp384r1", _RARE_CURVE})

_RSA, _RSA_PSS, _EC = "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10", "1.2.840.10045.2.1"
_TAG_SEQUENCE = 0x30
_KINDS = {
    "Ed25519": "key.ed25519",
    "Ed448": "key.ed448",
    "X25519": "key.key_agreement",
    "X448": "key.key_agreement",
    "DH": "key.key_agreement",
}
_POST_QUANTUM = ("MLDSA", "MLKEM", "SLHDSA")


def name_curve(name: str) -> str:
    """Return a curve's name as people know it: ``P-256`` for ``secp256r1``."""
    return _CURVE_NAMES.get(name, name)


def rsa_problems(bits: int, exponent: int) -> Iterator[Problem]:
    """Judge size and public exponent of an RSA key."""
    if bits < MIN_RSA_BITS:
        yield Problem(RSA_TOO_SMALL, params={"bits": bits, "minimum": MIN_RSA_BITS})
    elif bits > MAX_RSA_BITS:
        yield Problem("key.rsa_too_large", params={"bits": bits, "maximum": MAX_RSA_BITS})
    elif bits % 8:
        yield Problem("key.rsa_odd_size", params={"bits": bits})
    yield from _exponent_problems(exponent)


def _exponent_problems(exponent: int) -> Iterator[Problem]:
    if exponent < _SMALLEST_EXPONENT or exponent % 2 == 0:
        shown = max(-_MOST_SHOWN_EXPONENT, min(exponent, _MOST_SHOWN_EXPONENT))
        yield Problem("key.rsa_exponent_invalid", params={"exponent": shown})
    elif exponent < _USUAL_EXPONENT:
        yield Problem("key.rsa_exponent_small", Severity.WARNING, params={"exponent": exponent})
    elif exponent.bit_length() > _LARGEST_EXPONENT_BITS:
        bits = exponent.bit_length()
        yield Problem("key.rsa_exponent_large", Severity.WARNING, params={"bits": bits})


def curve_problems(name: str) -> Iterator[Problem]:
    """Judge the curve of an ECDSA key, by its name in SEC 2."""
    if name not in _GOOD_CURVES:
        yield Problem("key.curve_unsupported", params={"curve": name_curve(name)})
    elif name == _RARE_CURVE:
        yield Problem("key.p521_rare", Severity.WARNING)


def kind_problem(kind: str) -> Problem:
    """Refuse a key that is neither RSA nor ECDSA, by its kind as ``describe_key`` tells it."""
    if kind.startswith("DSA"):
        return Problem("key.dsa", params={"key": kind})
    if kind.startswith(_POST_QUANTUM):
        return Problem("key.post_quantum", params={"key": kind})
    return Problem(_KINDS.get(kind, UNSUPPORTED), params={"key": kind})


def describe_raw_key(key: RawKey) -> str:
    """Name a key that no library takes: by its algorithm, else ``unknown``."""
    numbers = key.read_rsa_numbers() if key.algorithm in (_RSA, _RSA_PSS) else None
    if numbers:
        kind = "RSA" if key.algorithm == _RSA else "RSA-PSS"
        return f"{kind} {numbers[0].bit_length()}"
    if key.algorithm == _EC:
        return "ECDSA explicit" if _is_explicit(key) else f"ECDSA {UNKNOWN}"
    return UNKNOWN


def is_odd_form(key: RawKey) -> bool:
    """Tell whether a key is in a form that ``cryptography`` takes but mail clients do not.

    An RSA key that may only sign in the newer way (id-RSASSA-PSS, RFC 4055), or a curve that is
    spelled out instead of named.
    """
    return key.algorithm == _RSA_PSS or _is_explicit(key)


def _is_explicit(key: RawKey) -> bool:
    return key.algorithm == _EC and key.parameters_tag == _TAG_SEQUENCE


def raw_key_problems(key: RawKey) -> list[Problem]:
    """Judge a key that no library takes."""
    kind = describe_raw_key(key)
    numbers = key.read_rsa_numbers() if key.algorithm == _RSA else None
    if numbers:
        found = list(rsa_problems(numbers[0].bit_length(), numbers[1]))
        if not has_errors(found):  # an exponent as large as the modulus, say
            found.append(Problem(UNSUPPORTED, params={"key": kind}))
        return found
    if key.algorithm == _RSA_PSS:
        return [Problem("key.rsa_pss", params={"key": kind})]
    if _is_explicit(key):
        return [Problem("key.curve_explicit")]
    return [kind_problem(kind)]
