"""The parts of a certificate that ``cryptography`` does not tell, or refuses, read from its DER.

Its own reader gives up on a whole certificate for one odd extension or key; here each part is
looked at alone (RFC 5280, section 4.1; encoding: ITU-T X.690).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from cryptography.x509.oid import ExtensionOID

MAX_EXTENSIONS = 64  # an ordinary certificate has ten
SAN_OID = ExtensionOID.SUBJECT_ALTERNATIVE_NAME.dotted_string
TAG_DNS_NAME, TAG_IP_ADDRESS = 0x82, 0x87

_INTEGER, _SEQUENCE = 0x02, 0x30
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_LONG_FORM = 0x80
_LONGEST_OID = 64  # bytes


class Element(NamedTuple):
    """One DER element: its tag, its content, and all its bytes."""

    tag: int
    content: bytes
    whole: bytes


class RawExtension(NamedTuple):
    """One extension as it stands there: its value is not looked into."""

    oid: str
    is_critical: bool
    value: bytes
    whole: bytes


@dataclass(frozen=True)
class RawKey:
    """A public key as it stands there: the algorithm, the tag of its parameters, the key's bytes.

    ``parameters_tag`` is ``0`` for an algorithm without parameters.
    """

    algorithm: str
    parameters_tag: int
    key: bytes

    def read_rsa_numbers(self) -> tuple[int, int] | None:
        """Return modulus and exponent, of whatever value; ``None`` if there are not two numbers."""
        try:
            numbers = [
                int.from_bytes(element.content, signed=True)
                for element in split(read_element(self.key, 0).content)
                if element.tag == _INTEGER
            ]
        except ValueError:
            return None
        return (numbers[0], numbers[1]) if len(numbers) == 2 else None


@dataclass(frozen=True)
class RawFields:
    """What stands in a certificate, in its own order.

    ``serial`` are the bytes of a signed number; ``is_algorithm_repeated`` tells whether the
    algorithm outside the signature is the one inside it (RFC 5280, section 4.1.1.2); ``subject`` is
    the whole Name.
    """

    serial: bytes
    is_algorithm_repeated: bool
    is_issuer_empty: bool
    is_subject_empty: bool
    subject: bytes
    key: RawKey
    extensions: tuple[RawExtension, ...]

    @property
    def serial_number(self) -> int:
        """The serial number, which may be zero or less."""
        return int.from_bytes(self.serial, signed=True)

    def find_values(self, oid: str) -> list[bytes]:
        """Return the value of each extension of this kind."""
        return [extension.value for extension in self.extensions if extension.oid == oid]


def read_raw(der: bytes) -> RawFields:
    """Read the fields of a certificate. Raises ``ValueError`` for what is no certificate."""
    signed, outer_algorithm, *_ = split(read_element(der, 0).content)
    fields = [field for field in split(signed.content) if field.tag != _VERSION]
    serial, algorithm, issuer, _validity, subject, key, *rest = fields
    return RawFields(
        serial=serial.content,
        is_algorithm_repeated=algorithm.whole == outer_algorithm.whole,
        is_issuer_empty=not issuer.content,
        is_subject_empty=not subject.content,
        subject=subject.whole,
        key=_read_key(key),
        extensions=tuple(_read_extensions(rest)),
    )


def read_san_entries(value: bytes) -> list[tuple[int, bytes]]:
    """Return tag and bytes of every name in a SAN. Raises ``ValueError`` for what is none."""
    return [(element.tag, element.content) for element in split(read_element(value, 0).content)]


def with_only(der: bytes, extension: RawExtension) -> bytes:
    """Return the certificate with no other extension than this; its signature fits no more."""
    signed, *rest = split(read_element(der, 0).content)
    fields = [element.whole for element in split(signed.content) if element.tag != _EXTENSIONS]
    fields.append(encode(_EXTENSIONS, encode(_SEQUENCE, extension.whole)))
    whole = encode(_SEQUENCE, b"".join(fields))
    return encode(_SEQUENCE, whole + b"".join(element.whole for element in rest))


def read_element(der: bytes, at: int) -> Element:
    """Read the element that begins at a place. Raises ``ValueError`` if it is not whole."""
    header = der[at : at + 2]
    if len(header) < 2:
        raise ValueError("no element")
    tag, length = header
    start = at + 2
    if length >= _LONG_FORM:
        size = length - _LONG_FORM
        length = int.from_bytes(der[start : start + size])
        start += size
    end = start + length
    if end > len(der):
        raise ValueError("element is cut off")
    return Element(tag, der[start:end], der[at:end])


def split(content: bytes) -> list[Element]:
    """Return the elements that stand one after the other. Raises ``ValueError``."""
    elements, at = [], 0
    while at < len(content):
        elements.append(read_element(content, at))
        at += len(elements[-1].whole)
    return elements


def encode(tag: int, content: bytes) -> bytes:
    """Return one element."""
    length = len(content)
    if length < _LONG_FORM:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, _LONG_FORM | len(size))) + size + content


def _read_key(element: Element) -> RawKey:
    algorithm, bits = split(element.content)
    oid, *parameters = split(algorithm.content)
    return RawKey(
        algorithm=_read_oid(oid.content),
        parameters_tag=parameters[0].tag if parameters else 0,
        key=bits.content[1:],  # after the count of unused bits
    )


def _read_extensions(fields: Sequence[Element]) -> Iterator[RawExtension]:
    lists = (read_element(field.content, 0) for field in fields if field.tag == _EXTENSIONS)
    elements = (element for whole in lists for element in split(whole.content))
    for element in islice(elements, MAX_EXTENSIONS):
        oid, *flags, value = split(element.content)
        is_critical = any(flag.content != b"\0" for flag in flags)
        yield RawExtension(_read_oid(oid.content), is_critical, value.content, element.whole)


def _read_oid(content: bytes) -> str:
    """Return an object identifier as numbers with dots (X.690, section 8.19)."""
    numbers, number = [], 0
    for byte in content[:_LONGEST_OID]:
        number = number << 7 | byte & 0x7F
        if byte < _LONG_FORM:
            numbers.append(number)
            number = 0
    both, *others = numbers or [0]
    first = min(both // 40, 2)
    return ".".join(map(str, (first, both - 40 * first, *others)))
