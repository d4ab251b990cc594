"""The names of a server certificate: which of them a client can match, and what is odd in others.

Only the SAN counts (RFC 9525, section 2; RFC 7817 for mail); the common name is never matched.

====================================  ========  ============  ======================================
code                                  severity  params        source
====================================  ========  ============  ======================================
certificate.no_usable_name            error                   C4; RFC 9525 2
certificate.common_name_not_covered   warning   common_name   C4; BR 7.1.4.3; RFC 9525 2
certificate.wildcard_public_suffix    error     names, count  C5; BR 3.2.2.6
certificate.names_control_characters  error     names, count  RFC 5280 4.2.1.6; CVE-2009-2408
certificate.wildcard_misplaced        warning   names, count  C5; RFC 9525 6.3
certificate.names_not_ascii           warning   names, count  C6; BR 7.1.2.7.12; RFC 9549
certificate.names_idn_invalid         warning   names, count  C6; BR 7.1.2.7.12: P-labels
certificate.names_underscore          warning   names, count  BR 7.1.2.7.12
certificate.names_trailing_dot        warning   names, count  RFC 5280 4.2.1.6; RFC 1034 3.5
certificate.addresses_as_names        warning   names, count  RFC 9525 6.5; BR 7.1.2.7.12
certificate.unusable_names            warning   names, count  C4; too long, empty, of one part only
certificate.san_not_critical          warning                 RFC 5280 4.2.1.6: an empty subject
====================================  ========  ============  ======================================

A warning means that clients pass over these names and the others work; if no name is left, there
is ``certificate.no_usable_name`` as well. A wildcard below a suffix of the private section of the
public suffix list (``*.github.io``) is not refused: BR 3.2.2.6 looks at the ICANN section only,
for the owner of ``github.io`` may hold that wildcard.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import idna

from mailadmin.pki.facts import MAX_TITLE, CertificateFacts, certificate_problem
from mailadmin.pki.names import (
    MAX_NAME_LENGTH,
    WILDCARD,
    is_covered,
    is_public_suffix,
    is_usable_san,
    parse_address,
)
from mailadmin.pki.problems import Problem, Severity
from mailadmin.pki.raw_fields import (
    SAN_OID,
    TAG_DNS_NAME,
    TAG_IP_ADDRESS,
    RawFields,
    read_san_entries,
)
from mailadmin.pki.x509_fields import ADDRESS_LENGTHS, decode_name, to_printable

_NAMES_SHOWN = 3
_ODD_LOOKED_AT = 100
_UNUSABLE, _ODD_IDN = "certificate.unusable_names", "certificate.names_idn_invalid"
_ERRORS = frozenset({"certificate.wildcard_public_suffix", "certificate.names_control_characters"})
# No label of the host name is looked into when it has this shape, which nearly all have.
_PLAIN = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?![0-9]+\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
    re.ASCII,
)


def san_problems(facts: CertificateFacts, raw: RawFields) -> Iterator[Problem]:
    """Say which names no client can match, and what a client would refuse for its names."""
    found: dict[str, list[str]] = {}
    is_any_usable = False
    for tag, content in _read_entries(raw):
        name = decode_name(content) if tag == TAG_DNS_NAME else ""
        code = _judge_name(name) if tag == TAG_DNS_NAME else ""
        is_any_usable = is_any_usable or not code
        if code:
            found.setdefault(code, []).append(name)
    odd = found.get(_ODD_IDN, [])[:_ODD_LOOKED_AT]
    if not is_any_usable and not any(map(_is_old_idn, odd)):
        yield certificate_problem("certificate.no_usable_name", facts)
    for code, names in sorted(found.items()):
        severity = Severity.ERROR if code in _ERRORS else Severity.WARNING
        shown = ", ".join(to_printable(name[:MAX_TITLE]) or "“”" for name in names[:_NAMES_SHOWN])
        yield certificate_problem(code, facts, severity, names=shown, count=len(names))
    yield from _subject_problems(facts, raw)


def _read_entries(raw: RawFields) -> Iterator[tuple[int, bytes]]:
    """Yield the names that a client looks at: host names, and addresses of the right length."""
    for value in raw.find_values(SAN_OID):
        try:
            entries = read_san_entries(value)
        except ValueError:  # told as an unreadable extension
            return
        for tag, content in entries:
            is_address = tag == TAG_IP_ADDRESS and len(content) in ADDRESS_LENGTHS
            if tag == TAG_DNS_NAME or is_address:
                yield tag, content


def _judge_name(name: str) -> str:
    """Return the code of what is wrong with a dNSName in lower case, or nothing."""
    host = name.removeprefix(WILDCARD)
    if "xn--" not in host and _PLAIN.fullmatch(host) and len(host) <= MAX_NAME_LENGTH:
        is_too_wide = host != name and is_public_suffix(host)
        return "certificate.wildcard_public_suffix" if is_too_wide else ""
    for code, is_found in (
        ("certificate.names_control_characters", any(map(_is_control, name))),
        ("certificate.names_not_ascii", not name.isascii()),
        ("certificate.addresses_as_names", parse_address(name) is not None),
        ("certificate.names_trailing_dot", len(name) > 1 and name.endswith(".")),
        ("certificate.names_underscore", "_" in name),
        ("certificate.wildcard_misplaced", "*" in host and name != "*"),
        ("certificate.wildcard_public_suffix", name == "*" or _is_wildcard_suffix(name)),
        (_ODD_IDN, "xn--" in host and not _is_idn(host)),
        (_UNUSABLE, not is_usable_san(name)),
    ):
        if is_found:
            return code
    return ""


def _is_control(character: str) -> bool:
    return character <= " " or character == "\x7f"


def _is_wildcard_suffix(name: str) -> bool:
    return name.startswith(WILDCARD) and is_public_suffix(name.removeprefix(WILDCARD))


def _is_idn(host: str) -> bool:
    try:
        idna.decode(host)
    except UnicodeError:
        return False
    return True


def _is_old_idn(name: str) -> bool:
    """Tell whether an internationalised name is one of IDNA 2003, which newer rules do not know.

    Clients compare it letter by letter (RFC 9525, section 6.3), and authorities may sign it (BR
    7.1.2.7.12: any Punycode).
    """
    host = name.removeprefix(WILDCARD)
    if not _PLAIN.fullmatch(host) or len(host) > MAX_NAME_LENGTH:
        return False
    try:
        return bool(host.encode().decode("idna"))
    except UnicodeError:
        return False


def _subject_problems(facts: CertificateFacts, raw: RawFields) -> Iterator[Problem]:
    name = facts.common_name.lower()
    is_host = is_usable_san(name) or parse_address(name) is not None
    if facts.names and is_host and not is_covered(name, facts.names):
        yield certificate_problem(
            "certificate.common_name_not_covered",
            facts,
            Severity.WARNING,
            common_name=facts.common_name[:MAX_TITLE],
        )
    critical = [item.is_critical for item in raw.extensions if item.oid == SAN_OID]
    if raw.is_subject_empty and critical == [False]:
        yield certificate_problem("certificate.san_not_critical", facts, Severity.WARNING)
