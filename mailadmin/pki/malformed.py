"""What is wrong with a certificate that cannot be read at all, found by walking through its DER.

``cryptography`` gives up on the whole certificate for one malformed field. An administrator has to
tell the authority which field it is, so it is looked for here, in the order of RFC 5280.

=========================  ========  =============  ================================================
code                       severity  params         source
=========================  ========  =============  ================================================
certificate.malformed      error     fault, detail  see :class:`Fault`
key.dsa                    error     key            RFC 3279 2.3.2: its numbers are the authority's
=========================  ========  =============  ================================================

Linear in the bytes; raises nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum

from mailadmin.pki.der import (
    BIT_STRING,
    CONTEXT_0,
    INTEGER,
    SEQUENCE,
    SET,
    DerError,
    Element,
    read_element,
)
from mailadmin.pki.problems import Problem

MALFORMED = "certificate.malformed"


class Fault(StrEnum):
    """Which field is malformed; ``detail`` is the version, or the identifier of the extension."""

    VERSION = "version"  # RFC 5280 4.1.2.1: 1, 2 or 3
    ALGORITHM = "algorithm"  # RFC 5758 3, RFC 4055 3.1: how it is signed has parameters, or not
    NAME = "name"  # RFC 5280 4.1.2.4: a DirectoryString, and UTF-8 where it says so
    TIME = "time"  # RFC 5280 4.1.2.5.1: YYMMDDHHMMSSZ
    EXTENSION = "extension"  # RFC 5280 4.2, X.690 11.5: FALSE is not written out
    FORM = "form"  # something else


_BOOLEAN, _UTF8_STRING, _BMP_STRING = 0x01, 0x0C, 0x1E
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_EXTENSIONS = 0xA3
_FIELD_TAGS = (INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE)
_LAST_VERSION = 2
_TIMES = {
    _UTC_TIME: re.compile(rb"\d{12}Z"),
    _GENERALIZED_TIME: re.compile(rb"\d{14}Z"),
}
# UTF8, numeric, printable, T.61, IA5, visible, universal and BMP strings.
_STRINGS = frozenset((_UTF8_STRING, 0x12, 0x13, 0x14, 0x16, 0x1A, 0x1C, _BMP_STRING))
_DSA = "1.2.840.10040.4.1"
_RSA_PSS = "1.2.840.113549.1.1.10"
_WITHOUT_PARAMETERS = ("1.2.840.10045.4.", "1.2.840.10040.4.3", "2.16.840.1.101.3.4.3.")


def explain_unreadable(der: bytes) -> Problem | None:
    """Say what is wrong with a certificate; ``None`` for what does not have the shape of one."""
    try:
        signed, outer_algorithm, _ = _read_shape(der)
        fields = signed.children()
    except ValueError:
        return None
    is_versioned = bool(fields) and fields[0].tag == CONTEXT_0
    version, fields = (fields[0], fields[1:]) if is_versioned else (None, fields)
    if tuple(field.tag for field in fields[: len(_FIELD_TAGS)]) != _FIELD_TAGS:
        return None
    try:
        return _explain(version, fields, outer_algorithm)
    except (ValueError, IndexError):  # an element that is not there
        return _malformed(Fault.FORM)


def _read_shape(der: bytes) -> list[Element]:
    """Return what is signed, how, and the signature. Raises ``DerError`` for anything else."""
    parts = read_element(der).expect(SEQUENCE).children()
    if [part.tag for part in parts] != [SEQUENCE, SEQUENCE, BIT_STRING]:
        raise DerError("this is not a certificate")
    return parts


def _explain(
    version: Element | None, fields: Sequence[Element], outer_algorithm: Element
) -> Problem:
    _, algorithm, issuer, validity, subject, key, *rest = fields
    if version is not None:
        number = read_element(version.content).to_int()
        if not 0 <= number <= _LAST_VERSION:
            return _malformed(Fault.VERSION, detail=min(number + 1, 2**31))
    if not (_is_algorithm(algorithm) and _is_algorithm(outer_algorithm)):
        return _malformed(Fault.ALGORITHM)
    if not all(map(_is_name, (issuer, subject))):
        return _malformed(Fault.NAME)
    if not all(_is_time(time) for time in validity.children()):
        return _malformed(Fault.TIME)
    if _is_dsa_without_parameters(key):
        return Problem("key.dsa", params={"key": "DSA"})
    extension = next(_find_written_defaults(rest), None)
    if extension is not None:
        return _malformed(Fault.EXTENSION, detail=extension)
    return _malformed(Fault.FORM)


def _is_algorithm(algorithm: Element) -> bool:
    oid, *parameters = algorithm.children()
    name = oid.to_oid()
    if name == _RSA_PSS:
        return bool(parameters)
    return not (parameters and name.startswith(_WITHOUT_PARAMETERS))


def _is_name(name: Element) -> bool:
    try:
        return all(
            _is_text(attribute.expect(SEQUENCE).children()[1])
            for relative in name.children()
            for attribute in relative.expect(SET).children()
        )
    except (DerError, IndexError):  # a tag in long form is one that no text has
        return False


def _is_text(value: Element) -> bool:
    encoding = {_UTF8_STRING: "utf-8", _BMP_STRING: "utf-16-be"}.get(value.tag, "latin-1")
    try:
        value.content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return value.tag in _STRINGS


def _is_time(time: Element) -> bool:
    form = _TIMES.get(time.tag)
    return form is not None and form.fullmatch(time.content) is not None


def _is_dsa_without_parameters(key: Element) -> bool:
    algorithm = key.children()[0].children()
    return len(algorithm) == 1 and algorithm[0].to_oid() == _DSA


def _find_written_defaults(fields: Sequence[Element]) -> Iterator[str]:
    """Yield the extensions that say in so many words that they are not critical."""
    for field in fields:
        if field.tag == _EXTENSIONS:
            for extension in read_element(field.content).children():
                oid, *flags = extension.children()
                if any(flag.tag == _BOOLEAN and flag.content == b"\0" for flag in flags):
                    yield oid.to_oid()


def _malformed(fault: Fault, detail: str | int = "") -> Problem:
    return Problem(MALFORMED, params={"fault": str(fault), "detail": detail})
