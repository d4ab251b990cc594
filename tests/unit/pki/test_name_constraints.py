"""Name constraints: what lies in a subtree, what breaks one, and that hostile ones cost nothing."""

from __future__ import annotations

import ipaddress
from itertools import product
from time import process_time

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.pki.certificate import CertificateFacts
from mailadmin.pki.name_constraints import (
    Rule,
    find_violations,
    read_name_constraints,
    read_names,
    show_name,
)
from mailadmin.pki.path_rules import PathRules
from mailadmin.pki.raw_fields import encode, read_element
from tests.unit.pki.handmade import SAN, Extension, make, replace_field, san

OID = "2.5.29.30"
EMAIL, DNS, DIRECTORY, URI, IP, OTHER = 0x81, 0x82, 0xA4, 0x86, 0x87, 0xA0
RULES = {None: "", **{rule: rule.removeprefix("chain.names_") for rule in Rule}}


def subtrees(tag: int, *bases: tuple[int, bytes]) -> bytes:
    return encode(tag, b"".join(encode(0x30, encode(form, base)) for form, base in bases))


def limit(
    *,
    permitted: tuple[tuple[int, bytes], ...] = (),
    excluded: tuple[tuple[int, bytes], ...] = (),
    is_critical: bool = True,
) -> Extension:
    """Return name constraints with these bases, of which nothing is checked."""
    parts = (subtrees(0xA0, *permitted) if permitted else b"") + (
        subtrees(0xA1, *excluded) if excluded else b""
    )
    return OID, encode(0x30, parts), is_critical


def judge(form: int, name: bytes, extension: Extension) -> str:
    """Return how a name breaks the constraints, or nothing."""
    constraints = read_name_constraints(make(extension))
    assert constraints is not None
    found = list(find_violations(constraints, [(form, name)]))
    return RULES[found[0][0]] if found else ""


def directory_name(*attributes: tuple[x509.ObjectIdentifier, str]) -> bytes:
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in attributes]).public_bytes()


def network(text: str) -> bytes:
    parsed = ipaddress.ip_network(text)
    return parsed.network_address.packed + parsed.netmask.packed


def address(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


UNIQUE_ID = encode(0x30, encode(0x31, encode(0x30, b"\6\3\x55\4\x2d\3\2\0\1")))  # no string
WITHIN = [  # form, base, name
    (DNS, b"example.org", b"example.org"),
    (DNS, b"example.org", b"MAIL.Example.ORG"),
    (DNS, b"Example.org", b"a.b.c.example.org"),
    (DNS, b"", b"anything.test"),
    (DNS, b"", b"*.anything.test"),
    (DNS, b".example.org", b"mail.example.org"),
    (DNS, b"example.org", b"*.example.org"),
    (DNS, b".example.org", b"*.example.org"),
    (DNS, b"org", b"*.example.org"),
    (IP, network("192.0.2.0/24"), address("192.0.2.255")),
    (IP, network("0.0.0.0/0"), address("198.51.100.1")),
    (IP, network("192.0.2.1/32"), address("192.0.2.1")),
    (IP, network("2001:db8::/32"), address("2001:db8:ffff::1")),
    (IP, address("192.0.2.77") + address("255.255.255.0"), address("192.0.2.1")),
    (EMAIL, b"example.org", b"ada@Example.org"),
    (EMAIL, b"Ada@example.org", b"Ada@EXAMPLE.org"),
    (EMAIL, b".example.org", b"ada@mail.example.org"),
    (EMAIL, b"", b"ada@example.org"),
    (URI, b"www.example.org", b"https://ada:pw@WWW.example.org:8443/x?y#z"),
    (URI, b".example.org", b"ldap://a.b.example.org/"),
    (URI, b"", b"http://example.org"),
    (
        DIRECTORY,
        directory_name((NameOID.COUNTRY_NAME, "DE")),
        directory_name((NameOID.COUNTRY_NAME, "DE"), (NameOID.COMMON_NAME, "Ada")),
    ),
    (
        DIRECTORY,
        directory_name((NameOID.ORGANIZATION_NAME, "Ada's  Mail ")),
        directory_name((NameOID.ORGANIZATION_NAME, " ada's MAIL"), (NameOID.COMMON_NAME, "x")),
    ),
    (DIRECTORY, encode(0x30, b""), directory_name((NameOID.COMMON_NAME, "Ada"))),
    (DIRECTORY, UNIQUE_ID, UNIQUE_ID),
]
OUTSIDE = [
    (DNS, b"example.org", b"badexample.org"),
    (DNS, b"example.org", b"example.org.test"),
    (DNS, b"mail.example.org", b"example.org"),
    (DNS, b".example.org", b"example.org"),
    (DNS, b"example.org", b"*.net"),
    (IP, network("192.0.2.0/24"), address("192.0.3.0")),
    (IP, network("0.0.0.0/0"), address("::1")),
    (IP, network("::/0"), address("192.0.2.1")),
    (EMAIL, b"example.org", b"ada@mail.example.org"),
    (EMAIL, b".example.org", b"ada@example.org"),
    (EMAIL, b"Ada@example.org", b"ada@example.org"),
    (URI, b"example.org", b"http://www.example.org/"),
    (URI, b".example.org", b"http://example.org/"),
    (
        DIRECTORY,
        directory_name((NameOID.COUNTRY_NAME, "DE"), (NameOID.COMMON_NAME, "Ada")),
        directory_name((NameOID.COUNTRY_NAME, "DE")),
    ),
    (
        DIRECTORY,
        directory_name((NameOID.COMMON_NAME, "Ada")),
        directory_name((NameOID.ORGANIZATION_NAME, "Ada")),
    ),
]
INCOMPARABLE = [  # form, name: whatever the base
    (DNS, b".example.org"),
    (DNS, b"f*.example.org"),
    (DNS, b"*"),
    (DNS, b""),
    (DNS, b"example..org"),
    (DNS, b"example.org."),
    (DNS, b"b\xfccher.example"),
    (DNS, b"a." * 200 + b"org"),
    (IP, network("192.0.2.0/24")),
    (IP, b""),
    (EMAIL, b"example.org"),
    (EMAIL, b"@example.org"),
    (EMAIL, b"ada@"),
    (EMAIL, b"\xff@example.org"),
    (URI, b"mailto:ada@example.org"),
    (URI, b"http://192.0.2.1/"),
    (URI, b"http://[::1/"),
    (URI, b"http://\xff/"),
    (DIRECTORY, b"\x31\x00"),
    (DIRECTORY, b"\x30\x05"),
    (DIRECTORY, encode(0x30, encode(0x31, encode(0x30, b"\x06\x01\x55")))),
    (DIRECTORY, encode(0x30, encode(0x31, encode(0x30, b"\x06\x01\x55\x0c\x01\xff")))),
]
SOME_BASE = {
    DNS: b"example.org",
    IP: network("192.0.2.0/24"),
    EMAIL: b"example.org",
    URI: b"example.org",
    DIRECTORY: directory_name((NameOID.COMMON_NAME, "Ada")),
}


@pytest.mark.parametrize(("form", "base", "name"), WITHIN)
def test_what_lies_within_a_subtree(form: int, base: bytes, name: bytes) -> None:
    assert judge(form, name, limit(permitted=((form, base),))) == ""
    assert judge(form, name, limit(excluded=((form, base),))) == "excluded"


@pytest.mark.parametrize(("form", "base", "name"), OUTSIDE)
def test_what_lies_outside(form: int, base: bytes, name: bytes) -> None:
    assert judge(form, name, limit(permitted=((form, base),))) == "not_permitted"
    assert judge(form, name, limit(excluded=((form, base),))) == ""


@pytest.mark.parametrize(("form", "name"), INCOMPARABLE)
def test_what_cannot_be_compared_is_never_permitted(form: int, name: bytes) -> None:
    base = (form, SOME_BASE[form])
    assert judge(form, name, limit(permitted=(base,))) == "not_comparable"
    assert judge(form, name, limit(excluded=(base,))) == "not_comparable"


@pytest.mark.parametrize("base", [b"mail.example.org", b"MAIL.example.org"])
def test_a_wildcard_that_covers_an_excluded_host_is_excluded(base: bytes) -> None:
    """CVE-2025-61727: one label of the wildcard's is enough, and nothing else is."""
    assert judge(DNS, b"*.example.org", limit(excluded=((DNS, base),))) == "excluded"
    assert judge(DNS, b"*.example.org", limit(permitted=((DNS, base),))) == "not_permitted"
    for other in (b"a.mail.example.org", b".mail.example.org", b"mail.example.net"):
        assert judge(DNS, b"*.example.org", limit(excluded=((DNS, other),))) == ""


def test_an_excluded_name_stays_so_where_it_is_permitted() -> None:
    base = ((DNS, b"example.org"),)
    assert judge(DNS, b"example.org", limit(permitted=base, excluded=base)) == "excluded"


def test_constraints_of_one_form_say_nothing_of_another() -> None:
    extension = limit(permitted=((IP, network("192.0.2.0/24")),))
    assert judge(DNS, b"example.org", extension) == ""


@pytest.mark.parametrize("form", [OTHER, 0x88, 0xA3, 0xA5])
def test_forms_that_nobody_compares_are_told_where_they_occur(form: int) -> None:
    for extension in (limit(permitted=((form, b"x"),)), limit(excluded=((form, b"x"),))):
        assert judge(form, b"y", extension) == "not_comparable"
        assert judge(DNS, b"example.org", extension) == ""


def with_value(value: bytes) -> CertificateFacts:
    return make((OID, value, True))


def repeat_extensions(fields: list[bytes]) -> list[bytes]:
    extensions = read_element(read_element(fields[-1], 0).content, 0).content
    return [*fields[:-1], encode(0xA3, encode(0x30, extensions * 2))]


BASE = encode(0x30, encode(DNS, b"example.org"))


@pytest.mark.parametrize(
    "facts",
    [
        with_value(b""),
        with_value(b"\x04\x00"),
        with_value(b"\x30\x00"),
        with_value(b"\x30\x02\xa0\x00"),
        with_value(encode(0x30, encode(0xA2, BASE))),
        with_value(encode(0x30, encode(0xA0, BASE)) + b"\0"),
        with_value(encode(0x30, encode(0xA0, encode(0x31, b"")))),
        with_value(encode(0x30, encode(0xA0, encode(0x30, b"")))),
        with_value(encode(0x30, encode(0xA0, encode(0x30, encode(DNS, b"a.org") + b"\x81\x01\5")))),
        make(limit(permitted=((DNS, b"*.example.org"),))),
        make(limit(permitted=((DNS, b"."),))),
        make(limit(permitted=((DNS, b"b\xfccher.example"),))),
        make(limit(permitted=((IP, address("192.0.2.1")),))),
        make(limit(permitted=((IP, address("192.0.2.1") + address("255.0.255.0")),))),
        make(limit(permitted=((EMAIL, b"@example.org"),))),
        make(limit(permitted=((EMAIL, b".*"),))),
        make(limit(permitted=((URI, b"http://example.org/"),))),
        make(limit(permitted=((DIRECTORY, b"x"),))),
        make(limit(permitted=((DNS, b"a.org"),)), change=repeat_extensions),
    ],
)
def test_malformed_constraints_are_no_constraints_to_go_by(facts: CertificateFacts) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several readers
        read_name_constraints(facts)


def test_without_the_extension_there_is_no_limit() -> None:
    assert read_name_constraints(make()) is None


def test_the_names_are_the_subject_its_mailboxes_and_the_san_each_once() -> None:
    subject = directory_name((NameOID.COMMON_NAME, "x"), (NameOID.EMAIL_ADDRESS, "ada@example.org"))
    values = encode(0x30, encode(DNS, b"a.org") * 2 + encode(EMAIL, b"ada@example.org"))
    facts = make((SAN, values, False), change=replace_field(5, subject))
    assert read_names(facts) == (
        (DNS, b"a.org"),
        (EMAIL, b"ada@example.org"),
        (DIRECTORY, subject),
    )


def test_an_empty_subject_is_no_name_and_a_broken_san_has_none() -> None:
    facts = make((SAN, b"\x30\x05", False), change=replace_field(5, b"\x30\x00"))
    assert read_names(facts) == ()


@pytest.mark.parametrize(
    ("form", "name", "shown"),
    [
        (DNS, b"a\0b.org", "a\ufffdb.org"),
        (DNS, b"x" * 500, "x" * 100),
        (IP, address("192.0.2.1"), "192.0.2.1"),
        (IP, b"\1\2\3", "010203"),
        (OTHER, b"\xff\0", "ff00"),
        (
            DIRECTORY,
            directory_name((NameOID.COUNTRY_NAME, "DE"), (NameOID.COMMON_NAME, "Adä")),
            "DE, Adä",
        ),
        (DIRECTORY, b"\xff", "ff"),
        (DIRECTORY, encode(0x30, encode(0x31, encode(0x30, b"\6\1\x55\x04\1\1"))), ""),
    ],
)
def test_names_are_shown_to_people(form: int, name: bytes, shown: str) -> None:
    assert show_name(form, name) == shown


@pytest.mark.parametrize("pattern", ["n%d.example.org", "*.n%d.example.org"])
def test_ten_thousand_names_against_a_thousand_constraints_are_fast(pattern: str) -> None:
    bases = tuple((DNS, b"b%d.example.org" % number) for number in range(500))
    constraints = read_name_constraints(make(limit(permitted=bases, excluded=bases)))
    names = [(DNS, (pattern % number).encode()) for number in range(10_000)]
    assert constraints is not None
    began = process_time()
    assert len(list(find_violations(constraints, names))) == 10_000
    assert process_time() - began < 0.5


def test_the_longest_names_cost_no_more() -> None:
    rdn = encode(0x31, encode(0x30, b"\6\3\x55\4\3" + encode(0x0C, b"x")))
    bases = [(DIRECTORY, encode(0x30, rdn * length)) for length in range(90)]
    constraints = read_name_constraints(make(limit(excluded=(*bases, (DNS, b"example.org")))))
    assert constraints is not None
    began = process_time()
    long_names = [(DIRECTORY, encode(0x30, rdn * 5_000)), (DNS, b"a." * 30_000 + b"org")]
    assert len(list(find_violations(constraints, long_names))) == 2
    assert process_time() - began < 0.5


# Against an oracle: names and subtrees as the sets of hosts that they stand for

LABELS = ("a", "b", "c")  # no subtree below has the last: so no union of them fills a wildcard
HOSTS = frozenset(
    ".".join(labels) for length in (1, 2, 3, 4) for labels in product(LABELS, repeat=length)
)
hosts_of_bases = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map(".".join)
bases = st.one_of(st.just(""), hosts_of_bases, hosts_of_bases.map(".{}".format))
several_bases = st.lists(bases, max_size=3)
hosts = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(".".join)
dns_names = st.one_of(hosts, hosts.map("*.{}".format))


def hosts_in(base: str) -> frozenset[str]:
    below = {host for host in HOSTS if not base or host.endswith("." + base.removeprefix("."))}
    return frozenset(below | ({base} & HOSTS))


def hosts_of(name: str) -> frozenset[str]:
    if not name.startswith("*."):
        return frozenset({name})
    return frozenset(f"{label}.{name[2:]}" for label in LABELS)


def say(name: str, permitted: list[str], excluded: list[str]) -> str:
    """Say it from the sets: excluded first, then permitted."""
    meant = hosts_of(name)
    if any(meant & hosts_in(base) for base in excluded):
        return "excluded"
    within = frozenset[str]().union(*map(hosts_in, permitted))
    return "not_permitted" if permitted and not meant <= within else ""


def dns_limit(permitted: list[str], excluded: list[str]) -> Extension:
    return limit(
        permitted=tuple((DNS, base.encode()) for base in permitted),
        excluded=tuple((DNS, base.encode()) for base in excluded),
    )


@given(dns_names, several_bases, several_bases)
def test_names_are_judged_as_the_sets_of_hosts_they_are(
    name: str, permitted: list[str], excluded: list[str]
) -> None:
    if permitted or excluded:
        found = judge(DNS, name.encode(), dns_limit(permitted, excluded))
        assert found == say(name, permitted, excluded)


@given(dns_names, st.lists(st.tuples(several_bases, several_bases), max_size=3))
def test_every_authority_of_the_path_must_permit_a_name(
    name: str, limits: list[tuple[list[str], list[str]]]
) -> None:
    limits = [pair for pair in limits if any(pair)]
    authorities = tuple(make(dns_limit(*pair), subject="Authority") for pair in limits)
    found = PathRules().judge(make(san(name.encode())), authorities, None)
    expected = {say(name, *pair) for pair in limits} - {""}
    assert {problem.code.removeprefix("chain.names_") for problem in found} == expected


forms = st.sampled_from([EMAIL, DNS, DIRECTORY, URI, IP, OTHER, 0x1F, 0xFF])
contents = st.one_of(
    st.binary(max_size=40), st.sampled_from(list(SOME_BASE.values())), dns_names.map(str.encode)
)
general_names = st.lists(st.tuples(forms, contents), max_size=4).map(tuple)


@given(general_names, general_names, general_names, st.one_of(st.none(), st.binary(max_size=60)))
def test_judging_never_raises(
    names: tuple[tuple[int, bytes], ...],
    permitted: tuple[tuple[int, bytes], ...],
    excluded: tuple[tuple[int, bytes], ...],
    value: bytes | None,
) -> None:
    extension = limit(permitted=permitted, excluded=excluded)
    authority = make(extension if value is None else (OID, value, False), subject="Authority")
    entries = encode(0x30, b"".join(encode(form, name) for form, name in names))
    for problem in PathRules().judge(make((SAN, entries, False)), (authority,), None):
        assert problem.code.startswith("chain.")
