"""The desired state: what it says of itself, and its JSON form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mailadmin.mailconf.services import TlsMode
from mailadmin.mailconf.state import CertificateMaterial, DesiredState, StateError
from tests.unit.mailconf.builders import (
    CHAIN,
    all_open,
    bind,
    certificate,
    fingerprint,
    listener,
    make_state,
)

MAIL, OFFICE = fingerprint("mail"), fingerprint("office")


def test_a_listener_serves_its_own_certificate_or_the_default_one() -> None:
    state = make_state(listener("imaps"), listener("pop3s", certificate=OFFICE))
    assert [state.certificate_for(item) for item in state.listeners] == [MAIL, OFFICE]
    assert replace(state, default_certificate="").certificate_for(state.listeners[0]) == ""


def test_a_listener_without_tls_is_not_encrypted() -> None:
    assert listener("imap").is_encrypted
    assert not listener("imap", tls_mode=TlsMode.NONE).is_encrypted


def test_what_the_state_does_not_speak_of_is_not_found() -> None:
    state = make_state(listener("imaps"))
    assert state.listener("imaps") == listener("imaps")
    assert state.listener("imap") is None
    assert state.certificate(MAIL) == certificate("mail")
    assert state.certificate(OFFICE) is None


def test_every_certificate_that_a_file_needs_is_used() -> None:
    state = make_state(
        listener("imaps", certificate=OFFICE),
        listener("pop3s", certificate="closed", is_enabled=False),
        listener("imap", certificate="clear", tls_mode=TlsMode.NONE),
        sni_bindings=(bind("a.test", "wild"),),
    )
    assert state.used_fingerprints == tuple(sorted([MAIL, OFFICE, fingerprint("wild")]))
    assert replace(make_state(), default_certificate="").used_fingerprints == ()


def test_open_listeners_are_those_switched_on() -> None:
    state = make_state(listener("imaps"), listener("imap", is_enabled=False))
    assert state.enabled_listeners == (listener("imaps"),)


# Secrets


def test_no_pem_is_in_a_repr() -> None:
    material = certificate("mail", leaf_pem="LEAF", chain_pem="CHAIN", key_pem="SECRET")
    shown = repr(make_state(certificates=(material,)))
    assert "SECRET" not in shown
    assert "LEAF" not in shown
    assert "mail" in shown


def test_a_snapshot_has_neither_pem_nor_key() -> None:
    state = make_state(certificates=(certificate("mail", leaf_pem="LEAF", key_pem="SECRET"),))
    for shown in (state.as_dict(), state.as_dict(with_pem=True)):
        assert "SECRET" not in str(shown)
    assert "LEAF" not in str(state.as_dict())
    assert "LEAF" in str(state.as_dict(with_pem=True))


# The digest


def test_the_digest_is_the_same_with_and_without_the_key() -> None:
    state = make_state(certificates=(certificate("mail", key_pem="SECRET"),))
    assert state.digest == make_state().digest
    assert len(state.digest) == 64


@pytest.mark.parametrize(
    "other",
    [
        make_state(listener("imap"), host_name="other.test"),
        make_state(listener("imap"), tls_profile="modern"),
        make_state(listener("imap"), is_dovecot_split=True),
        make_state(listener("imap"), default_certificate=OFFICE),
        make_state(listener("imap", port=144)),
        make_state(listener("imap"), sni_bindings=(bind("a.test", "mail"),)),
        make_state(listener("imap"), certificates=(certificate("mail", chain_pem=""),)),
        make_state(listener("imap"), certificates=(certificate("mail", chain_pem="x"),)),
    ],
)
def test_anything_else_changes_the_digest(other: DesiredState) -> None:
    assert other.digest != make_state(listener("imap")).digest


def test_a_snapshot_remembers_which_chain_there_was() -> None:
    (read,) = DesiredState.from_dict(make_state().as_dict()).certificates
    assert read.chain_pem == ""
    assert read.chain_digest == certificate("mail").chain_digest
    assert certificate("mail", chain_pem=f"\n{CHAIN}\n").chain_digest == read.chain_digest
    assert certificate("mail", chain_pem=" ").chain_digest == ""


# JSON


def test_the_whole_state_survives() -> None:
    state = all_open(
        certificates=(certificate("mail", leaf_pem="leaf", key_pem="key"),),
        sni_bindings=(bind("a.test", "mail"),),
    )
    assert DesiredState.from_dict(state.as_dict(with_pem=True, with_key=True)) == state


def test_other_material_can_take_its_place() -> None:
    assert make_state().with_certificates([]).certificates == ()


def spoil(part: str, **values: Any) -> dict[str, Any]:
    """Return the JSON form of a state with something wrong in the first row of a part."""
    whole: dict[str, Any] = make_state(
        listener("imap"), listener("imaps"), sni_bindings=(bind("a.test", "mail"),)
    ).as_dict(with_pem=True)
    if part:
        whole[part][0] |= values
    else:
        whole |= values
    return whole


@pytest.mark.parametrize(
    ("part", "values", "words"),
    [
        ("", {"host_name": 1}, "host_name is not text"),
        ("", {"host_name": "\ud800"}, "host_name is not text"),
        ("", {"tls_profile": None}, "tls_profile is not text"),
        ("", {"is_dovecot_split": 1}, "is_dovecot_split is not true or false"),
        ("", {"listeners": {}}, "listeners is not a list of objects"),
        ("", {"listeners": ["imap"]}, "listeners is not a list of objects"),
        ("", {"certificates": "x"}, "certificates is not a list of objects"),
        ("", {"sni_bindings": [[]]}, "sni_bindings is not a list of objects"),
        ("listeners", {"service": "http"}, "service is not in the registry"),
        ("listeners", {"service": "imaps"}, "service is named twice"),
        ("listeners", {"port": 0}, "port is not between 1 and 65535"),
        ("listeners", {"port": 65536}, "port is not between 1 and 65535"),
        ("listeners", {"port": True}, "port is not between 1 and 65535"),
        ("listeners", {"port": "143"}, "port is not between 1 and 65535"),
        ("listeners", {"tls_mode": "ssl3"}, "tls_mode is unknown"),
        ("listeners", {"is_enabled": 1}, "is_enabled is not true or false"),
        ("listeners", {"is_login_required": None}, "is_login_required is not true or false"),
        ("listeners", {"address": 1}, "address is not text"),
        ("sni_bindings", {"host_name": 1}, "host_name is not text"),
        ("certificates", {"names": "a.test"}, "names is not a list of text"),
        ("certificates", {"names": [1]}, "names is not a list of text"),
        ("certificates", {"names": ["\udcff"]}, "names is not a list of text"),
        ("certificates", {"not_after": "soon"}, "not_after is not a time"),
        ("certificates", {"not_after": "2027-01-01T00:00:00"}, "not_after has no time zone"),
        ("certificates", {"key_pem": []}, "key_pem is not text"),
    ],
)
def test_another_form_is_refused_and_the_part_named(
    part: str, values: dict[str, Any], words: str
) -> None:
    with pytest.raises(StateError, match=words):
        DesiredState.from_dict(spoil(part, **values))


def test_a_name_that_is_bound_twice_is_refused() -> None:
    whole = spoil("")
    whole["sni_bindings"] *= 2
    with pytest.raises(StateError, match="host_name is named twice"):
        DesiredState.from_dict(whole)


def test_what_is_left_out_is_empty() -> None:
    read = DesiredState.from_dict({})
    assert read == DesiredState("", (), tls_profile="")


@pytest.mark.parametrize("is_split", [True, False])
def test_two_instances_of_dovecot_are_told_only_where_there_are_two(is_split: bool) -> None:
    state = make_state(listener("imap"), is_dovecot_split=is_split)
    assert ("is_dovecot_split" in state.as_dict()) is is_split
    assert DesiredState.from_dict(state.as_dict()).is_dovecot_split is is_split


def test_an_error_holds_no_value() -> None:
    with pytest.raises(StateError) as caught:
        DesiredState.from_dict(spoil("certificates", key_pem=["SECRET"]))
    assert "SECRET" not in str(caught.value)


def test_a_certificate_without_a_chain_stays_without() -> None:
    material = certificate("mail", chain_pem="")
    read = DesiredState.from_dict(make_state(certificates=(material,)).as_dict(with_pem=True))
    assert read.certificates == (material,)
    assert isinstance(read.certificates[0], CertificateMaterial)
