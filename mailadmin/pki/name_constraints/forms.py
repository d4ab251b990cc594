"""Subtrees of each form of name, and which names lie in them (RFC 5280, section 4.2.1.10).

A form takes its subtrees with ``add`` and answers two questions about a name: whether all of it
``lies_within`` one of them (is it permitted?), and whether any of it ``meets`` one (is it
excluded?). The answers differ only for wildcards. ``ValueError`` is raised for what cannot be
compared; clients refuse such a name wherever there is a constraint of its form.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator
from urllib.parse import urlsplit

from mailadmin.pki.der import OBJECT_IDENTIFIER, SEQUENCE, SET, Element, read_element, read_elements
from mailadmin.pki.names import MAX_NAME_LENGTH, WILDCARD, parse_address
from mailadmin.pki.raw_fields import TAG_DNS_NAME, TAG_IP_ADDRESS
from mailadmin.pki.x509_fields import ADDRESS_LENGTHS, to_printable

TAG_EMAIL, TAG_DIRECTORY_NAME, TAG_URI = 0x81, 0xA4, 0x86

_HOST = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}", re.ASCII)
_LONGEST_SHOWN = 100  # characters
_ENCODINGS = {  # of the strings of X.520 (RFC 5280, appendix A)
    0x0C: "utf-8",
    0x13: "ascii",
    0x14: "latin-1",  # T61String, as everybody reads it
    0x16: "ascii",
    0x1A: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}

_Rdn = frozenset[tuple[bytes, str | bytes]]


class Form(ABC):
    """The subtrees of one form of name."""

    @abstractmethod
    def add(self, base: bytes) -> None:
        """Add a subtree. Raises ``ValueError`` for one that names nothing."""

    @abstractmethod
    def lies_within(self, name: bytes) -> bool:
        """Tell whether all that the name stands for is in a subtree. Raises ``ValueError``."""

    def meets(self, name: bytes) -> bool:
        """Tell whether any of what the name stands for is in a subtree. Raises ``ValueError``."""
        return self.lies_within(name)


class _Domains:
    """Domains, found in as many steps as a host name has labels."""

    def __init__(self) -> None:
        self.hosts: set[str] = set()
        self.parents: set[str] = set()

    def hold(self, host: str) -> bool:
        return host in self.hosts or any(parent in self.parents for parent in _parents(host))


def _parents(host: str) -> Iterator[str]:
    """Yield each domain that the host is below, and at last the one of all names."""
    while host:
        host = host.partition(".")[2]
        yield host


def _to_host(text: str) -> str:
    host = text.lower()
    if len(host) > MAX_NAME_LENGTH or not _HOST.fullmatch(host):
        raise ValueError("this is no host name")
    return host


class DnsNames(Form):
    """dNSName: a host lies within a domain that it equals or is below.

    A domain with a dot before it, against RFC 5280 but usual, has only what is below it. A wildcard
    lies within a domain with all the hosts it covers, and meets one of which it covers a host.
    """

    def __init__(self) -> None:
        self._domains = _Domains()
        self._one_above: set[str] = set()

    def add(self, base: bytes) -> None:
        """Add a domain; an empty one has all names."""
        domain = base.decode("ascii")
        parent = _to_host(domain.removeprefix(".")) if domain else ""
        self._domains.parents.add(parent)
        if not domain.startswith("."):
            self._domains.hosts.add(parent)
            self._one_above.add(parent.partition(".")[2])

    def lies_within(self, name: bytes) -> bool:
        """Look up the host, or whether the hosts of a wildcard all lie below a domain."""
        host, is_wildcard = self._read(name)
        # No host is called "*", so that only the domains above it are found.
        return self._domains.hold(f"*.{host}" if is_wildcard else host)

    def meets(self, name: bytes) -> bool:
        """Also find a domain that is one of the hosts that a wildcard covers."""
        host, is_wildcard = self._read(name)
        if not is_wildcard:
            return self._domains.hold(host)
        return self._domains.hold(f"*.{host}") or host in self._one_above

    def _read(self, name: bytes) -> tuple[str, bool]:
        text = name.decode("ascii")
        return _to_host(text.removeprefix(WILDCARD)), text.startswith(WILDCARD)


class Addresses(Form):
    """iPAddress: networks, of which each length is looked up at once."""

    def __init__(self) -> None:
        self._networks: dict[tuple[int, int], set[int]] = defaultdict(set)

    def add(self, base: bytes) -> None:
        """Add an address with its mask (RFC 4632), 8 or 32 bytes."""
        half = len(base) // 2
        if len(base) not in {2 * length for length in ADDRESS_LENGTHS}:
            raise ValueError("this is no network")
        address, mask = int.from_bytes(base[:half]), int.from_bytes(base[half:])
        hosts = mask ^ ((1 << 8 * half) - 1)
        if hosts & (hosts + 1):
            raise ValueError("this mask has holes")
        self._networks[half, mask].add(address & mask)

    def lies_within(self, name: bytes) -> bool:
        """Look up the address."""
        if len(name) not in ADDRESS_LENGTHS:
            raise ValueError("this is no address")
        address = int.from_bytes(name)
        return any(
            length == len(name) and address & mask in networks
            for (length, mask), networks in self._networks.items()
        )


class Mailboxes(Form):
    """rfc822Name: a mailbox, all those at a host, or, with a dot before it, at hosts below it."""

    def __init__(self) -> None:
        self._mailboxes: set[tuple[str, str]] = set()
        self._domains = _Domains()

    def add(self, base: bytes) -> None:
        """Add one of the three."""
        text = base.decode("ascii")
        if "@" in text:
            self._mailboxes.add(self._read(text))
        elif text.startswith("."):
            self._domains.parents.add(_to_host(text[1:]))
        elif text:
            self._domains.hosts.add(_to_host(text))
        else:
            self._domains.parents.add("")

    def lies_within(self, name: bytes) -> bool:
        """Look up the mailbox, whose local part has upper and lower case, and its host."""
        local_part, host = self._read(name.decode("ascii"))
        return (local_part, host) in self._mailboxes or self._domains.hold(host)

    def _read(self, text: str) -> tuple[str, str]:
        local_part, _, host = text.rpartition("@")
        if not local_part:
            raise ValueError("this is no mailbox")
        return local_part, _to_host(host)


class Uris(Form):
    """URI: only its host counts; a subtree is a host or, with a dot before it, what is below it."""

    def __init__(self) -> None:
        self._domains = _Domains()

    def add(self, base: bytes) -> None:
        """Add a host or a domain; an empty one has all hosts."""
        text = base.decode("ascii")
        if text.startswith("."):
            self._domains.parents.add(_to_host(text[1:]))
        elif text:
            self._domains.hosts.add(_to_host(text))
        else:
            self._domains.parents.add("")

    def lies_within(self, name: bytes) -> bool:
        """Look up the host; a URI without one, or with an address for one, cannot be compared."""
        host = _to_host(urlsplit(name.decode("ascii")).hostname or "")
        if parse_address(host):
            raise ValueError("an address is no host name")
        return self._domains.hold(host)


class DirectoryNames(Form):
    """directoryName: a name lies within one that it begins with (RFC 5280, section 7.1)."""

    def __init__(self) -> None:
        self._bases: dict[int, set[tuple[_Rdn, ...]]] = defaultdict(set)

    def add(self, base: bytes) -> None:
        """Add a name; an empty one has all names."""
        rdns = _read_rdns(base)
        self._bases[len(rdns)].add(rdns)

    def lies_within(self, name: bytes) -> bool:
        """Look up each beginning of the name that is as long as a base."""
        rdns = _read_rdns(name)
        return any(rdns[:length] in bases for length, bases in self._bases.items())


FORMS: dict[int, type[Form]] = {
    TAG_EMAIL: Mailboxes,
    TAG_DNS_NAME: DnsNames,
    TAG_DIRECTORY_NAME: DirectoryNames,
    TAG_URI: Uris,
    TAG_IP_ADDRESS: Addresses,
}


def _read_rdns(name: bytes) -> tuple[_Rdn, ...]:
    rdns = read_element(name).expect(SEQUENCE).children()
    return tuple(
        frozenset((oid.content, _comparable(value)) for oid, value in _read_attributes(rdn))
        for rdn in rdns
    )


def _read_attributes(rdn: Element) -> Iterator[tuple[Element, Element]]:
    for attribute in rdn.expect(SET).children():
        oid, value = attribute.expect(SEQUENCE).children()
        yield oid.expect(OBJECT_IDENTIFIER), value


def read_attributes(name: bytes) -> Iterator[tuple[str, Element]]:
    """Yield the type and the value of each attribute of a Name. Raises ``ValueError``."""
    for rdn in read_element(name).expect(SEQUENCE).children():
        for oid, value in _read_attributes(rdn):
            yield oid.to_oid(), value


def _comparable(value: Element) -> str | bytes:
    """Return a string without regard to its encoding, case and spaces; anything else as it is."""
    if value.tag not in _ENCODINGS:
        return value.encoded
    text = value.content.decode(_ENCODINGS[value.tag])
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def show_name(tag: int, name: bytes) -> str:
    """Return a name as people read it; one that cannot be read as well as can be."""
    if tag == TAG_IP_ADDRESS and len(name) in ADDRESS_LENGTHS:
        return str(ipaddress.ip_address(name))
    if tag == TAG_DIRECTORY_NAME:
        name = b", ".join(_texts(name))
    elif tag not in FORMS or tag == TAG_IP_ADDRESS:
        return name.hex()[:_LONGEST_SHOWN]
    return to_printable(name[:_LONGEST_SHOWN].decode("utf-8", "replace"))


def _texts(name: bytes) -> list[bytes]:
    try:
        return [
            value.content.decode(_ENCODINGS[value.tag]).encode()
            for _, value in read_attributes(name)
            if value.tag in _ENCODINGS
        ]
    except ValueError:
        return [name.hex().encode()]


def read_subtrees(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield form and base of each subtree. Raises ``ValueError``.

    What RFC 5280 does not allow, a minimum and a maximum, makes the whole unreadable.
    """
    for subtree in read_elements(content):
        (base,) = subtree.expect(SEQUENCE).children()
        yield base.tag, base.content
