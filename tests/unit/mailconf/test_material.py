"""Which PEM file serves whom, and what a reviewer is told of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailadmin.mailconf import material
from mailadmin.mailconf.services import TlsMode
from mailadmin.mailconf.state import ListenerState
from tests.unit.mailconf.builders import (
    CHAIN,
    all_open,
    bind,
    certificate,
    fingerprint,
    listener,
    make_state,
)

OFFICE = fingerprint("office")
KEY = "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("name", "host_name"),
    [
        ("sni-mail.example.org.pem", "mail.example.org"),
        ("sni-mail.example.org_alt.pem", "mail.example.org"),
        ("default.pem", ""),
        ("imap_alt.pem", ""),
    ],
)
def test_a_file_tells_the_host_name_it_is_for(name: str, host_name: str) -> None:
    assert material.host_name_of(name) == host_name


@pytest.mark.parametrize(
    ("service", "name"),
    [("smtp", "smtp"), ("submissions", "submissions"), ("imap", "imap"), ("imaps", "imap")],
)
def test_a_certificate_of_its_own_has_a_file_of_the_service_or_the_protocol(
    service: str, name: str
) -> None:
    own = listener(service, certificate=OFFICE)
    assert material.own_certificate_file(make_state(own), own) == f"{name}.pem"


@pytest.mark.parametrize(
    "item",
    [
        listener("imaps"),
        listener("imaps", certificate=fingerprint("mail")),
        listener("imaps", certificate=OFFICE, is_enabled=False),
        listener("imap", certificate=OFFICE, tls_mode=TlsMode.NONE),
    ],
)
def test_whoever_serves_the_default_or_none_has_no_file(item: ListenerState) -> None:
    assert material.own_certificate_file(make_state(item), item) == ""


def test_a_port_without_any_certificate_has_no_file() -> None:
    state = make_state(listener("imaps"), default_certificate="")
    assert material.own_certificate_file(state, state.listeners[0]) == ""


def test_every_file_holds_the_leaf_of_its_role() -> None:
    state = make_state(
        listener("smtp"),
        listener("imaps", certificate=OFFICE),
        sni_bindings=(bind("a.test", "office"), bind("b.test", "mail")),
    )
    assert material.certificate_files(state) == {
        "default.pem": fingerprint("mail"),
        "imap.pem": OFFICE,
        "sni-a.test.pem": OFFICE,
        "sni-b.test.pem": fingerprint("mail"),
    }
    assert "default.pem" not in material.certificate_files(replace(state, default_certificate=""))


def test_the_names_of_files_do_not_change_with_a_renewal() -> None:
    before, after = all_open(), all_open(default_certificate=OFFICE)
    assert material.certificate_files(before).keys() == material.certificate_files(after).keys()


def test_the_map_has_a_line_for_each_name_in_order() -> None:
    state = make_state(sni_bindings=(bind("b.test", "mail"), bind("a.test", "mail")))
    assert material.sni_map(state, "/x") == "a.test /x/sni-a.test.pem\nb.test /x/sni-b.test.pem\n"
    assert material.sni_map(make_state(), "/x") == ""


def test_a_chain_file_is_key_leaf_chain() -> None:
    parts = certificate("mail", leaf_pem="leaf\n\n", chain_pem=CHAIN, key_pem=KEY)
    assert material.chain_file(parts) == f"{KEY}leaf\n{CHAIN}"
    assert material.chain_file(replace(parts, chain_pem=" \n")) == f"{KEY}leaf\n"


def test_the_manifest_tells_what_a_file_holds_and_no_key() -> None:
    state = make_state(certificates=(certificate("mail", "a.test", "b.test", key_pem=KEY),))
    text = material.manifest(state)
    assert text.startswith(f"default.pem\n  leaf SHA-256  {fingerprint('mail')}\n")
    assert "  names         a.test, b.test\n" in text
    assert "  valid until   2027-01-01 00:00 UTC\n" in text
    assert "  chain         1 above it, SHA-256 " in text
    assert "secret" not in text


def test_the_manifest_says_when_there_is_no_chain() -> None:
    state = make_state(certificates=(certificate("mail", chain_pem=""),))
    assert "  chain         none\n" in material.manifest(state)


def test_a_certificate_that_the_state_does_not_carry_is_told_by_its_fingerprint() -> None:
    text = material.manifest(make_state(certificates=()))
    assert text == f"default.pem\n  leaf SHA-256  {fingerprint('mail')}\n"


def test_a_long_list_of_names_is_cut_short() -> None:
    names = [f"{number}.test" for number in range(23)]
    text = material.manifest(make_state(certificates=(certificate("mail", *names),)))
    assert "19.test and 3 more\n" in text
    assert "20.test" not in text
    one_too_many = material.manifest(make_state(certificates=(certificate("mail", *names[:21]),)))
    assert "19.test and 1 more\n" in one_too_many
    twenty = material.manifest(make_state(certificates=(certificate("mail", *names[:20]),)))
    assert "more" not in twenty


def test_a_name_cannot_forge_a_paragraph() -> None:
    state = make_state(certificates=(certificate("mail", "a\n\nimap.pem", "\udcff"),))
    text = material.manifest(state)
    assert "  names         a\\n\\nimap.pem, \\udcff\n" in text
    assert "\n\n" not in text


def test_the_paragraphs_are_parted_by_a_blank_line() -> None:
    state = make_state(sni_bindings=(bind("a.test", "mail"),))
    assert [part.split("\n")[0] for part in material.manifest(state).split("\n\n")] == [
        "default.pem",
        "sni-a.test.pem",
    ]
