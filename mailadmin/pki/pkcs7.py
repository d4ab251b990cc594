"""PKCS#7 (RFC 2315, CMS: RFC 5652): the certificates that a ``.p7b`` or ``.p7c`` file holds.

Nothing in it is checked but its form: certificates are judged by themselves, whoever packed them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mailadmin.pki.der import (
    CONTEXT_0,
    OCTET_STRING,
    SEQUENCE,
    DerError,
    Element,
    join_pieces,
    read_element,
)

DATA = "1.2.840.113549.1.7.1"
SIGNED_DATA = "1.2.840.113549.1.7.2"
ENCRYPTED_DATA = "1.2.840.113549.1.7.6"
_FAMILY = "1.2.840.113549.1.7."
_CONTEXT_0_PRIMITIVE = 0x80


@dataclass(frozen=True, slots=True)
class ContentInfo:
    """The outer shell of everything in PKCS#7: a kind, and its content."""

    kind: str
    content: Element = field(repr=False)


def is_pkcs7(element: Element) -> bool:
    """Tell whether a structure is a PKCS#7 file, signed or otherwise."""
    try:
        return parse_content(element).kind.startswith(_FAMILY)
    except DerError:
        return False


def parse_content(element: Element) -> ContentInfo:
    """Open the outer shell. Raises ``DerError``."""
    kind, explicit = _take(element, 2)
    return ContentInfo(kind.to_oid(), read_element(explicit.expect(CONTEXT_0).content))


def find_certificates(element: Element) -> tuple[bytes, ...]:
    """Return the certificates of a PKCS#7 file as DER, in order; none in one that is not signed.

    Raises ``DerError``.
    """
    outer = parse_content(element)
    if outer.kind != SIGNED_DATA:
        return ()
    fields = outer.content.expect(SEQUENCE).children()
    optional = (item for item in fields if item.tag == CONTEXT_0)
    certificates = next(optional, None)
    if certificates is None:
        return ()
    return tuple(item.encoded for item in certificates.children() if item.tag == SEQUENCE)


def read_octets(content: Element) -> bytes:
    """Return the content of kind *data*. Raises ``DerError``."""
    return content.expect(OCTET_STRING).content


def parse_encrypted(encrypted: Element) -> tuple[Element, bytes]:
    """Return how the content of kind *encrypted data* is encrypted, and the ciphertext.

    Raises ``DerError``.
    """
    _, inner = _take(encrypted, 2)
    _, algorithm, ciphertext = _take(inner, 3)
    if ciphertext.tag == CONTEXT_0:
        return algorithm, join_pieces(ciphertext.content)
    return algorithm, ciphertext.expect(_CONTEXT_0_PRIMITIVE).content


def _take(element: Element, count: int) -> list[Element]:
    fields = element.expect(SEQUENCE).children()
    if len(fields) < count:
        raise DerError("an element is missing")
    return fields[:count]
