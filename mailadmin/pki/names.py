"""Host names as certificates hold them: A-labels, wildcards, and which name covers which host.

Names come from people (U-labels, capitals, a trailing dot) and leave as RFC 5890 A-labels, mapped
by UTS 46 and checked by IDNA 2008. Matching follows RFC 9525, section 6.3.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import cache

import idna
from publicsuffixlist import PublicSuffixList

from mailadmin.pki.problems import Problem

WILDCARD = "*."
MAX_NAME_LENGTH = 253  # RFC 1035, section 2.3.4, without the trailing dot
_MAX_INPUT_LENGTH = 1000  # characters; IDNA is asked only about texts of bounded length
_MAX_SHOWN_LENGTH = 100
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)", re.ASCII)


class NameProblem(ValueError):  # noqa: N818 - the word is shared with Problem
    """A text that is no usable host name. ``problem`` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def normalize_host_name(text: str, *, allow_wildcard: bool = False) -> str:
    """Return a fully qualified host name as lower-case A-labels, without a trailing dot.

    Raises :class:`NameProblem` with ``name.empty``, ``name.invalid``, ``name.not_qualified``,
    ``name.wildcard_misplaced``, ``name.wildcard_not_allowed`` or ``name.public_suffix``.
    """
    typed = text.strip()
    if not typed:
        raise _problem("name.empty")
    is_wildcard = typed.startswith(WILDCARD)
    host = typed.removeprefix(WILDCARD) if is_wildcard else typed
    if "*" in host:
        raise _problem("name.wildcard_misplaced", typed)
    if is_wildcard and not allow_wildcard:
        raise _problem("name.wildcard_not_allowed", typed)
    ascii_host = _to_a_labels(host, typed)
    if is_wildcard:
        if is_public_suffix(ascii_host):
            raise _problem("name.public_suffix", typed)
        return WILDCARD + ascii_host
    if "." not in ascii_host:
        raise _problem("name.not_qualified", typed)
    return ascii_host


def normalize_san(text: str) -> str:
    """Return a host name, wildcard or IP address in the form a certificate's SAN has.

    Raises :class:`NameProblem` as :func:`normalize_host_name` does.
    """
    address = parse_address(text.strip())
    return str(address) if address else normalize_host_name(text, allow_wildcard=True)


def parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address that a literal stands for (IPv6 also in brackets), if it is one."""
    literal = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if "%" in literal:  # a zone index has a meaning on one machine only
        return None
    try:
        return ipaddress.ip_address(literal)
    except ValueError:
        return None


def is_usable_san(name: str) -> bool:
    """Tell whether a name from a certificate can match any host: well-formed and qualified."""
    try:
        return normalize_san(name) == name
    except NameProblem:
        return False


def display_name(a_label: str) -> str:
    """Return the name as people write it (U-labels); the input itself if it is no IDN."""
    if "xn--" not in a_label:
        return a_label
    prefix = WILDCARD if a_label.startswith(WILDCARD) else ""
    try:
        return prefix + idna.decode(a_label.removeprefix(prefix))
    except UnicodeError:
        return a_label


def both_forms(a_label: str) -> str:
    """Return ``bücher.example (xn--bcher-kva.example)``, or the plain name if it is no IDN."""
    shown = display_name(a_label)
    return a_label if shown == a_label else f"{shown} ({a_label})"


def is_covered(host: str, san_names: Iterable[str]) -> bool:
    """Tell whether a certificate with these SAN entries is valid for the host.

    Entries are compared as A-labels without regard to case; a wildcard stands for exactly one
    whole left-most label, and never for the children of a public suffix. An IP address matches
    only the same address. An entry that is a wildcard covers itself, so that ``*.example.com``
    can be asked about as an SNI name.
    """
    names = {name.lower() for name in san_names}
    address = parse_address(host.strip())
    if address is not None:
        return any(parse_address(name) == address for name in names)
    wanted = _to_comparable(host)
    if not wanted or wanted in names:
        return bool(wanted)
    label, _, parent = wanted.partition(".")
    return label not in ("", "*") and WILDCARD + parent in names and not is_public_suffix(parent)


def _to_comparable(host: str) -> str:
    try:
        return normalize_host_name(host, allow_wildcard=True)
    except NameProblem:
        return host.strip().lower().removesuffix(".")


def _to_a_labels(host: str, typed: str) -> str:
    if len(host) > _MAX_INPUT_LENGTH:
        raise _problem("name.invalid", typed)
    try:
        name = idna.encode(host, uts46=True, std3_rules=True).decode("ascii").removesuffix(".")
    except UnicodeError:
        raise _problem("name.invalid", typed) from None
    labels = name.split(".")
    is_address_like = labels[-1].isdigit()  # RFC 1123, section 2.1: no host name ends like this
    is_well_formed = len(name) <= MAX_NAME_LENGTH and all(map(_LABEL.fullmatch, labels))
    if is_address_like or not is_well_formed:
        raise _problem("name.invalid", typed)
    return name


def is_public_suffix(name: str) -> bool:
    """Tell whether others register names below this one: a top-level domain, ``co.uk``."""
    return bool(_public_suffixes().publicsuffix(name) == name)


@cache
def _public_suffixes() -> PublicSuffixList:
    # The private section (github.io) is left out: its owner may well hold that wildcard.
    return PublicSuffixList(only_icann=True)


def _problem(code: str, typed: str = "") -> NameProblem:
    return NameProblem(Problem(code, params={"name": typed[:_MAX_SHOWN_LENGTH]} if typed else {}))
