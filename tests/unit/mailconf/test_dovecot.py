"""From a state to Dovecot's drop-in: which blocks there are, and what needs a reload."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.mailconf import dovecot
from mailadmin.mailconf.services import TlsMode
from mailadmin.mailconf.state import DesiredState, ListenerState
from tests.unit.mailconf.builders import (
    LIVE,
    all_open,
    bind,
    certificate,
    fingerprint,
    listener,
    make_state,
)

OLD, NEW = (2, 3), (2, 4)
BOTH = pytest.mark.parametrize("version", [OLD, NEW])
TWO = (certificate("mail"), certificate("office"))


def render(state: DesiredState, version: tuple[int, int] = OLD, **values: Any) -> str:
    return dovecot.render(state, version=version, live=LIVE, **values)


def block_of(text: str, head: str) -> str:
    """Return the block that begins with this head; empty if there is none."""
    _, found, rest = text.partition(f"{head} {{\n")
    inside, end, _ = rest.partition("\n}\n")
    return found + inside + end


def test_2_3_names_its_files_in_the_old_way() -> None:
    text = render(all_open())
    assert f"\nssl_cert = <{LIVE}/default.pem\nssl_key = <{LIVE}/default.pem\n" in text
    assert "\nssl_alt_cert =\nssl_alt_key =\n" in text
    assert "\ndisable_plaintext_auth = yes\n" in text
    assert "ssl_server" not in text
    assert "auth_allow_cleartext" not in text


def test_2_4_names_its_files_in_the_new_way() -> None:
    text = render(all_open(), NEW)
    assert f"\nssl_server_cert_file = {LIVE}/default.pem\n" in text
    assert f"\nssl_server_key_file = {LIVE}/default.pem\n" in text
    assert "\nauth_allow_cleartext = no\n" in text
    assert "ssl_cert =" not in text
    assert "disable_plaintext_auth" not in text


@BOTH
def test_tls_is_required_and_a_reload_is_gentle(version: tuple[int, int]) -> None:
    text = render(all_open(), version)
    assert "\nssl = required\n" in text
    assert "\nshutdown_clients = no\n" in text


@BOTH
def test_without_a_default_certificate_none_is_named(version: tuple[int, int]) -> None:
    assert "default.pem" not in render(all_open(default_certificate=""), version)


@BOTH
@pytest.mark.parametrize(
    ("profile", "minimum", "names_ciphers"),
    [("intermediate", "TLSv1.2", True), ("modern", "TLSv1.3", False)],
)
def test_the_profile_sets_version_and_ciphers(
    version: tuple[int, int], profile: str, minimum: str, names_ciphers: bool
) -> None:
    text = render(all_open(tls_profile=profile), version)
    assert f"ssl_min_protocol = {minimum}\n" in text
    assert ("ssl_cipher_list" in text) is names_ciphers


def test_every_listener_is_in_the_service_of_its_protocol() -> None:
    text = render(all_open())
    assert block_of(text, "service imap-login") == (
        "service imap-login {\n"
        '  inet_listener imap {\n    port = 143\n    address = "*, ::"\n  }\n'
        '  inet_listener imaps {\n    port = 993\n    address = "*, ::"\n    ssl = yes\n  }\n}\n'
    )
    assert "inet_listener pop3s" in block_of(text, "service pop3-login")
    assert "inet_listener sieve" in block_of(text, "service managesieve-login")
    assert "smtp" not in text


def test_a_closed_listener_has_port_0_and_no_address() -> None:
    shut = listener("imap", is_enabled=False, address="192.0.2.1")
    text = render(make_state(shut))
    assert "  inet_listener imap {\n    port = 0\n  }\n" in text
    assert "192.0.2.1" not in text


@pytest.mark.parametrize(("version", "name"), [(OLD, "address"), (NEW, "listen")])
def test_one_address_is_named(version: tuple[int, int], name: str) -> None:
    text = render(make_state(listener("imap", address="2001:db8::1")), version)
    assert f"    {name} = 2001:db8::1\n" in text


def test_a_protocol_that_is_not_installed_is_not_mentioned() -> None:
    text = render(all_open(), protocols=["imap"])
    assert "imap-login" in text
    assert "pop3" not in text
    assert "sieve" not in text


@pytest.mark.parametrize(
    ("version", "line"),
    [(OLD, f"  ssl_cert = <{LIVE}/imap.pem\n"), (NEW, f"  ssl_server_cert_file = {LIVE}/imap.pem")],
)
def test_a_protocol_may_have_its_own_certificate(version: tuple[int, int], line: str) -> None:
    own = (listener(name, certificate=fingerprint("office")) for name in ("imap", "imaps"))
    text = render(make_state(*own, listener("pop3s"), certificates=TWO), version)
    assert line in block_of(text, "protocol imap")
    assert "protocol pop3" not in text


@pytest.mark.parametrize(
    ("version", "line"), [(OLD, "disable_plaintext_auth = no"), (NEW, "auth_allow_cleartext = yes")]
)
def test_passwords_in_clear_are_allowed_for_that_protocol_alone(
    version: tuple[int, int], line: str
) -> None:
    state = make_state(listener("imap", tls_mode=TlsMode.NONE), listener("pop3"))
    text = render(state, version)
    assert block_of(text, "protocol imap") == f"protocol imap {{\n  ssl = yes\n  {line}\n}}\n"
    assert text.count(line) == 1


def test_a_closed_port_allows_nothing_in_clear() -> None:
    shut = listener("imap", tls_mode=TlsMode.NONE, is_enabled=False)
    assert "protocol imap" not in render(make_state(shut))


@BOTH
def test_a_name_has_a_whole_pair_of_its_own(version: tuple[int, int]) -> None:
    text = render(all_open(sni_bindings=(bind("a.test", "mail"),)), version)
    block = block_of(text, "local_name a.test")
    assert block.count(f"{LIVE}/sni-a.test.pem\n") == 2
    assert ("ssl_alt_cert =\n" in block) is (version == OLD)


# Quoting


@pytest.mark.parametrize("value", ["", "a", "192.0.2.1", "::1", "/a/b.pem", "A:B+C"])
def test_a_plain_value_is_written_as_it_is(value: str) -> None:
    assert dovecot.quote_value(value) == value


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("a b", '"a b"'),
        ("a # b", '"a # b"'),
        ("<a", '"<a"'),
        ("$a", '"$a"'),
        ('a"b', '"a\\"b"'),
        ("a\\", '"a\\\\"'),
        ("{", '"{"'),
        ("'", '"\'"'),
    ],
)
def test_any_other_value_is_quoted(value: str, quoted: str) -> None:
    assert dovecot.quote_value(value) == quoted


@pytest.mark.parametrize("value", ["a\nssl = no", "\r", "\0", "\x1f", "\x7f"])
def test_a_control_character_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        dovecot.quote_value(value)


@given(st.text())
def test_no_value_breaks_out_of_its_quotes(value: str) -> None:
    try:
        quoted = dovecot.quote_value(value)
    except ValueError:
        assert any(ord(character) < 32 or ord(character) == 127 for character in value)
        return
    assert "\n" not in quoted
    assert unquote(quoted) == value


def unquote(text: str) -> str:
    """Read a value as src/config/config-parser.c does."""
    if not text.startswith('"'):
        assert not set(text) & set("<$#'\" \\{}")
        return text
    characters = iter(text[1:])
    value = ""
    for character in characters:
        if character == '"':
            break
        value += next(characters) if character == "\\" else character
    assert next(characters, None) is None
    return value


# What needs a reload


def is_reload_needed(
    before: DesiredState, after: DesiredState, version: tuple[int, int] = OLD
) -> bool:
    old, new = render(before, version), render(after, version)
    assert old != new
    return dovecot.reload_part(old) != dovecot.reload_part(new)


def with_imap(state: DesiredState, **values: Any) -> DesiredState:
    changed = (
        replace(item, **values) if item.service in {"imap", "imaps"} else item
        for item in state.listeners
    )
    return replace(state, listeners=tuple(changed))


BASE = all_open(certificates=TWO)


@BOTH
@pytest.mark.parametrize(
    "after",
    [
        replace(BASE, tls_profile="modern"),
        replace(BASE, default_certificate=""),
        replace(BASE, sni_bindings=(bind("a.test", "mail"),)),
        replace(BASE, sni_bindings=(bind("a.test", "mail"), bind("b.test", "office"))),
        with_imap(BASE, certificate=fingerprint("office")),
    ],
)
def test_certificates_and_tls_versions_need_no_reload(
    after: DesiredState, version: tuple[int, int]
) -> None:
    assert not is_reload_needed(BASE, after, version)
    assert not is_reload_needed(after, BASE, version)


@BOTH
@pytest.mark.parametrize(
    "after",
    [
        with_imap(BASE, is_enabled=False),
        with_imap(BASE, port=2143),
        with_imap(BASE, address="192.0.2.1"),
        with_imap(BASE, tls_mode=TlsMode.NONE),
        with_imap(BASE, tls_mode=TlsMode.NONE, certificate=fingerprint("office")),
    ],
)
def test_listeners_need_a_reload(after: DesiredState, version: tuple[int, int]) -> None:
    assert is_reload_needed(BASE, after, version)


def test_names_need_no_reload_where_no_listener_follows() -> None:
    alone: tuple[ListenerState, ...] = (listener("smtp"),)
    before = make_state(*alone)
    assert not is_reload_needed(before, replace(before, sni_bindings=(bind("a.test", "mail"),)))


def test_anything_somebody_else_wrote_needs_a_reload() -> None:
    text = render(BASE)
    for line in ("mail_debug = yes\n", "ssl = yes\n", "shutdown_clients = yes\n"):
        assert dovecot.reload_part(text + line) != dovecot.reload_part(text)
