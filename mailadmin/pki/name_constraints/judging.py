"""The names of a certificate against the constraints of an authority above it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from cryptography.x509.oid import NameOID

from mailadmin.pki.facts import CertificateFacts
from mailadmin.pki.name_constraints.forms import TAG_DIRECTORY_NAME, TAG_EMAIL, read_attributes
from mailadmin.pki.name_constraints.reading import NameConstraints
from mailadmin.pki.raw_fields import SAN_OID, RawFields, read_raw, read_san_entries

_EMAIL_ADDRESS = NameOID.EMAIL_ADDRESS.dotted_string

Name = tuple[int, bytes]  # the tag of its form (RFC 5280, GeneralName), and what it says


class Rule(StrEnum):
    """How a name breaks a constraint: the code of the problem."""

    EXCLUDED = "chain.names_excluded"
    NOT_PERMITTED = "chain.names_not_permitted"
    NOT_COMPARABLE = "chain.names_not_comparable"


def read_names(facts: CertificateFacts) -> tuple[Name, ...]:
    """Return all that a certificate calls itself, each once: subject and alternative names.

    An e-mail address in the subject counts as one, as RFC 5280 demands where there is no SAN, and
    as OpenSSL does in any case.
    """
    raw = read_raw(facts.der)
    names = [*_read_alternative_names(raw)]
    if not raw.is_subject_empty:
        names.append((TAG_DIRECTORY_NAME, raw.subject))
        names += [(TAG_EMAIL, address) for address in _read_addresses(raw.subject)]
    return tuple(dict.fromkeys(names))


def _read_alternative_names(raw: RawFields) -> Iterator[Name]:
    for value in raw.find_values(SAN_OID):
        try:
            yield from read_san_entries(value)
        except ValueError:  # told as an unreadable extension
            continue


def _read_addresses(subject: bytes) -> list[bytes]:
    return [value.content for oid, value in read_attributes(subject) if oid == _EMAIL_ADDRESS]


def find_violations(
    constraints: NameConstraints, names: Iterable[Name]
) -> Iterator[tuple[Rule, Name]]:
    """Yield each name that breaks a constraint, and how. Never raises.

    An excluded name stays so where it is permitted as well (RFC 5280, section 4.2.1.10).
    """
    for name in names:
        rule = _judge(constraints, *name)
        if rule is not None:
            yield rule, name


def _judge(constraints: NameConstraints, tag: int, content: bytes) -> Rule | None:
    if tag in constraints.unsupported:
        return Rule.NOT_COMPARABLE
    excluded, permitted = constraints.excluded.get(tag), constraints.permitted.get(tag)
    try:
        if excluded is not None and excluded.meets(content):
            return Rule.EXCLUDED
        if permitted is not None and not permitted.lies_within(content):
            return Rule.NOT_PERMITTED
    except ValueError:
        return Rule.NOT_COMPARABLE
    return None
