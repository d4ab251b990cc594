"""Encryption and authentication under a password, as keys and PKCS#12 files use them.

The schemes: PBES2 with PBKDF2 or scrypt, and PBMAC1 (RFC 8018, 7914, 9579); those of PKCS#12
itself (RFC 7292, appendices B and C); and PBES1 (RFC 8018, section 6.1). For reading only:
``cryptography`` does not know all of them, and does not always tell one that it does not know from
a wrong password.

No exception raised here holds a password, a key or what was decrypted.
"""

from mailadmin.pki.pbe.ciphers import WrongPasswordError
from mailadmin.pki.pbe.derivations import Passphrase, find_passphrases, spell_password
from mailadmin.pki.pbe.schemes import (
    MacScheme,
    Scheme,
    TooSlowError,
    UnsupportedMethodError,
    parse_mac,
    parse_scheme,
)

__all__ = [
    "MacScheme",
    "Passphrase",
    "Scheme",
    "TooSlowError",
    "UnsupportedMethodError",
    "WrongPasswordError",
    "find_passphrases",
    "parse_mac",
    "parse_scheme",
    "spell_password",
]
