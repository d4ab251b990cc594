"""What an authority's name constraints say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.x509.oid import ExtensionOID

from mailadmin.pki.der import CONTEXT_0, SEQUENCE, read_element
from mailadmin.pki.facts import CertificateFacts
from mailadmin.pki.name_constraints.forms import FORMS, Form, read_subtrees
from mailadmin.pki.raw_fields import read_raw

NAME_CONSTRAINTS_OID = ExtensionOID.NAME_CONSTRAINTS.dotted_string
_PERMITTED, _EXCLUDED = CONTEXT_0, CONTEXT_0 + 1


@dataclass(frozen=True)
class NameConstraints:
    """The permitted and the excluded subtrees by the tag of their form.

    ``unsupported`` are the tags of forms that nothing here, nor any mail program, compares.
    """

    is_critical: bool
    permitted: Mapping[int, Form] = field(default_factory=dict)
    excluded: Mapping[int, Form] = field(default_factory=dict)
    unsupported: frozenset[int] = frozenset()


def read_name_constraints(facts: CertificateFacts) -> NameConstraints | None:
    """Return the constraints, or ``None`` without any. Raises ``ValueError`` if malformed."""
    found = [item for item in read_raw(facts.der).extensions if item.oid == NAME_CONSTRAINTS_OID]
    if not found:
        return None
    (extension,) = found
    parts = {
        part.tag: part.content for part in read_element(extension.value).expect(SEQUENCE).children()
    }
    if not parts or not set(parts) <= {_PERMITTED, _EXCLUDED} or not all(parts.values()):
        raise ValueError("neither permitted nor excluded subtrees")
    permitted, unknown = _read_forms(parts.get(_PERMITTED, b""))
    excluded, others = _read_forms(parts.get(_EXCLUDED, b""))
    return NameConstraints(extension.is_critical, permitted, excluded, unknown | others)


def _read_forms(content: bytes) -> tuple[dict[int, Form], frozenset[int]]:
    forms: dict[int, Form] = {}
    unsupported = set()
    for tag, base in read_subtrees(content):
        if tag in FORMS:
            if tag not in forms:
                forms[tag] = FORMS[tag]()
            forms[tag].add(base)
        else:
            unsupported.add(tag)
    return forms, frozenset(unsupported)
