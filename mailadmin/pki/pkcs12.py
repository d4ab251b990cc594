"""PKCS#12 (RFC 7292, 9579): certificates and keys of a ``.p12`` or ``.pfx`` file.

``cryptography`` says "invalid password or data" for all that it cannot read, so the file is taken
apart here: first the MAC tells whether the password is right, then every part is opened, and what
cannot be opened is named.

=========================  ========  ============================================================
code                       severity  params
=========================  ========  ============================================================
pkcs12.password_needed     error
pkcs12.password_wrong      error
pkcs12.unsupported         error     method: an object identifier
pkcs12.too_slow            error
pkcs12.locked_inside       error     the password is that of the file, but not of a part in it
pkcs12.unreadable          error
=========================  ========  ============================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mailadmin.pki.der import (
    OCTET_STRING,
    SEQUENCE,
    DerError,
    Element,
    read_element,
    to_der,
)
from mailadmin.pki.pbe import (
    MacScheme,
    Passphrase,
    TooSlowError,
    UnsupportedMethodError,
    WrongPasswordError,
    find_passphrases,
    parse_mac,
    parse_scheme,
)
from mailadmin.pki.pkcs7 import DATA, ENCRYPTED_DATA, parse_content, parse_encrypted, read_octets
from mailadmin.pki.problems import Param, Problem

PASSWORD_NEEDED, PASSWORD_WRONG = "pkcs12.password_needed", "pkcs12.password_wrong"
_VERSION = 3
_MAX_BAGS = 200
_DEEPEST = 3

_BAGS = "1.2.840.113549.1.12.10.1."
_KEY, _LOCKED_KEY, _CERTIFICATE, _NESTED = (_BAGS + number for number in "1236")
_X509 = "1.2.840.113549.1.9.22.1"


@dataclass(frozen=True)
class Pkcs12Content:
    """What could be read: certificates as DER, keys as DER of an unencrypted PKCS#8 key.

    ``keys_left`` is how many keys were not looked at, because there are too many.
    """

    certificates: tuple[bytes, ...] = ()
    keys: tuple[bytes, ...] = field(default=(), repr=False)
    keys_left: int = 0
    problems: tuple[Problem, ...] = ()


def is_pkcs12(element: Element) -> bool:
    """Tell whether a structure is a PKCS#12 file."""
    try:
        version, content = element.expect(SEQUENCE).children()[:2]
        return version.to_int() == _VERSION and bool(parse_content(content).kind)
    except ValueError:
        return False


def read_pkcs12(element: Element, password: str | None, *, max_keys: int) -> Pkcs12Content:
    """Read a PKCS#12 file. The password is used only where something is encrypted.

    Never raises: what cannot be read is told as a problem, and the rest is returned. No more keys
    than ``max_keys`` are opened, for each may be made to take long.
    """
    reader = _Reader(password, max_keys)
    try:
        reader.read(element)
    except DerError:
        reader.complain("pkcs12.unreadable")
    except TooSlowError:
        reader.complain("pkcs12.too_slow")
    return reader.collect()


class _Reader:
    """Collects what a file holds. What it cannot go on after is raised, the rest is a problem."""

    def __init__(self, password: str | None, max_keys: int) -> None:
        self._is_password_given = bool(password)
        self._phrases: Sequence[Passphrase] = find_passphrases(password)
        self._is_asked = False  # whether the MAC was asked about them
        self._is_right = False  # whether the MAC has accepted one
        self._mac: MacScheme | None = None
        self._unknown_mac = ""
        self._authenticated = b""
        self._max_keys = max_keys
        self._keys_left = 0
        self._bags = 0
        self._certificates: list[bytes] = []
        self._keys: list[bytes] = []
        self._problems: list[Problem] = []

    def read(self, element: Element) -> None:
        """Read the whole. Raises ``DerError`` or ``TooSlowError``."""
        _, content, *rest = element.children()
        outer = parse_content(content)
        if outer.kind != DATA:  # signed by a key instead of a password, which nobody writes
            self.complain("pkcs12.unsupported", method=outer.kind)
            return
        self._authenticated = read_octets(outer.content)
        if rest:
            try:
                self._mac = parse_mac(rest[0])
            except UnsupportedMethodError as error:
                self._unknown_mac = error.method
        for item in _parse(self._authenticated).children():
            self._read_safe(item)

    def complain(self, code: str, **params: Param) -> None:
        """Add a problem, unless the very same one is known."""
        problem = Problem(code, params=params)
        if problem not in self._problems:
            self._problems.append(problem)

    def collect(self) -> Pkcs12Content:
        """Return everything found."""
        return Pkcs12Content(
            tuple(self._certificates), tuple(self._keys), self._keys_left, tuple(self._problems)
        )

    def _read_safe(self, item: Element) -> None:
        safe = parse_content(item)
        if safe.kind == DATA:
            self._read_bags(_parse(read_octets(safe.content)), 0)
        elif safe.kind == ENCRYPTED_DATA:
            plain = self._open(*parse_encrypted(safe.content))
            if plain is not None:
                self._read_bags(plain, 0)
        else:  # encrypted for the key of a reader
            self.complain("pkcs12.unsupported", method=safe.kind)

    def _read_bags(self, bags: Element, depth: int) -> None:
        for bag in bags.expect(SEQUENCE).children():
            self._bags += 1
            if self._bags > _MAX_BAGS or depth > _DEEPEST:
                raise DerError("too many parts in a file, or in each other")
            content = parse_content(bag)
            if content.kind == _NESTED:
                self._read_bags(content.content, depth + 1)
            else:
                self._read_bag(content.kind, content.content)

    def _read_bag(self, kind: str, value: Element) -> None:
        if kind == _CERTIFICATE:
            certificate = parse_content(value)
            if certificate.kind == _X509:
                self._certificates.append(read_octets(certificate.content))
        elif kind in (_KEY, _LOCKED_KEY) and len(self._keys) == self._max_keys:
            self._keys_left += 1
        elif kind == _KEY:
            self._keys.append(value.encoded)
        elif kind == _LOCKED_KEY:
            algorithm, ciphertext = value.expect(SEQUENCE).children()[:2]
            plain = self._open(algorithm, ciphertext.expect(OCTET_STRING).content)
            if plain is not None:
                self._keys.append(plain.encoded)

    def _open(self, algorithm: Element, ciphertext: bytes) -> Element | None:
        """Return what is encrypted, or say why it cannot be opened."""
        try:
            scheme = parse_scheme(algorithm)
        except UnsupportedMethodError as error:
            self.complain("pkcs12.unsupported", method=error.method)
            return None
        self._ask_mac()
        for phrase in self._phrases:
            try:
                plain = _parse(scheme.decrypt(ciphertext, phrase))
            except (WrongPasswordError, DerError):
                continue
            # What opened one part is tried first on the next.
            self._phrases = (phrase, *(other for other in self._phrases if other != phrase))
            return plain
        self._complain_of_password()
        return None

    def _ask_mac(self) -> None:
        """Put the password that the MAC accepts first; without one, none is worth trying."""
        if self._mac is None or self._is_asked:
            return
        self._is_asked = True
        for phrase in self._phrases:
            if self._mac.accepts(self._authenticated, phrase):
                self._is_right = True
                self._phrases = (phrase, *(other for other in self._phrases if other != phrase))
                return
        self._phrases = ()

    def _complain_of_password(self) -> None:
        """Say why nothing opened: only a known MAC, or none, shows that it is the password."""
        if self._is_right:
            self.complain("pkcs12.locked_inside")
        elif self._unknown_mac and self._is_password_given:
            self.complain("pkcs12.unsupported", method=self._unknown_mac)
        else:
            self.complain(PASSWORD_WRONG if self._is_password_given else PASSWORD_NEEDED)


def _parse(content: bytes) -> Element:
    """Return the structure in bytes that may be written with the freedoms of BER."""
    der, _ = to_der(content)
    return read_element(der)
