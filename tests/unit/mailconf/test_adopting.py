"""What an admin's own files say: read, taken over, and taken from what is still to be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from mailadmin.mailconf import block, dovecot, postfix
from mailadmin.mailconf.adopting.base import Base, DaemonBase, FileGroup, FoundListener
from mailadmin.mailconf.adopting.dovecot_files import read_dovecot
from mailadmin.mailconf.adopting.expansion import expand
from mailadmin.mailconf.adopting.keeping import Remaining, subtract
from mailadmin.mailconf.adopting.postfix_files import (
    PostfixSource,
    own_address,
    read_postfix,
    table_sources,
)
from mailadmin.mailconf.adopting.taking_over import adopt
from mailadmin.mailconf.dovecot_settings import read_settings
from mailadmin.mailconf.postfix import PostfixFiles, tls_level
from mailadmin.mailconf.proof import Expectation, Seen, judge
from mailadmin.mailconf.services import Daemon, TlsMode
from mailadmin.mailconf.state import CertificateMaterial, DesiredState, SniBinding
from tests.unit.mailconf.builders import certificate, fingerprint

MASTER = "smtp inet n - y - - smtpd\n"
CERTIFICATES = "smtpd_tls_cert_file = /c.pem\nsmtpd_tls_key_file = /k.pem\n"
TLS = f"smtpd_tls_security_level = may\n{CERTIFICATES}"
DOVECOT = """protocols = imap
listen = *
ssl = required
ssl_cert = </c.pem
ssl_key = </k.pem
service imap-login {
  inet_listener imap {
    port = 143
  }
}
"""
ONE, TWO = fingerprint("one"), fingerprint("two")
FILES: FileGroup = ("/c.pem", "/k.pem")


def read(
    main: str = TLS, master: str = MASTER, tables: Mapping[str, str] | None = None
) -> DaemonBase:
    return read_postfix(PostfixSource(PostfixFiles(main, master), {"data": "/d"}, tables or {}))


def listener(base: DaemonBase, service: str) -> FoundListener:
    return next(item for item in base.listeners if item.state.service == service)


def codes(base: DaemonBase) -> list[str]:
    return [f"{item.code} {item.subject}" for item in base.findings]


@pytest.mark.parametrize(
    ("value", "expanded"),
    [
        ("$a/x", "1/x"),
        ("${a}$(a)", "11"),
        ("$$a", "$a"),
        ("$none", ""),
        ("${a?yes}${none?no}${none:{no}}${a:yes}", "yesno"),
        ("$b", "1"),
        ("$loop", "$loop"),
    ],
)
def test_references_are_expanded(value: str, expanded: str) -> None:
    assert expand(value, {"a": "1", "b": "$a", "loop": "$loop"}) == expanded


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ({"smtpd_tls_security_level": "encrypt"}, "encrypt"),
        ({"smtpd_tls_security_level": "none", "smtpd_use_tls": "yes"}, "none"),
        ({"smtpd_enforce_tls": "yes"}, "encrypt"),
        ({"smtpd_use_tls": "yes"}, "may"),
        ({}, "none"),
    ],
)
def test_the_level_of_tls_is_read_from_old_settings_too(
    settings: dict[str, str], level: str
) -> None:
    assert tls_level(settings) == level


@pytest.mark.parametrize(
    ("main", "mode", "files"),
    [
        (TLS, TlsMode.STARTTLS, FILES),
        (CERTIFICATES, TlsMode.NONE, FILES),
        ("smtpd_tls_security_level = may\n", TlsMode.NONE, ()),
        ("smtpd_tls_security_level=may\nsmtpd_tls_cert_file=none\n", TlsMode.NONE, ()),
        (
            "smtpd_tls_security_level=may\nsmtpd_tls_cert_file=$data/c\n",
            TlsMode.STARTTLS,
            ("/d/c",),
        ),
        (f"{TLS}smtpd_tls_chain_files = /a, /b\n", TlsMode.STARTTLS, ("/a", "/b")),
    ],
)  # fmt: skip
def test_port_25_offers_tls_where_it_has_a_certificate(
    main: str, mode: TlsMode, files: FileGroup
) -> None:
    found = listener(read(main), "smtp")
    assert (found.state.tls_mode, found.files, found.has_own_files) == (mode, files, False)


SASL = "-o smtpd_sasl_auth_enable=yes"


@pytest.mark.parametrize(
    ("options", "is_required"),
    [
        ("", False),
        (SASL, False),
        (f"{SASL} -o smtpd_client_restrictions=permit_sasl_authenticated,reject", True),
        (f"{SASL} -o smtpd_client_restrictions=permit_mynetworks,reject", False),
        (f"{SASL} -o smtpd_relay_restrictions=reject_non_fqdn_sender", False),
    ],
)
def test_a_login_is_required_where_nobody_else_may_pass(options: str, *, is_required: bool) -> None:
    entry = f"submission inet n - y - - smtpd -o smtpd_tls_security_level=encrypt {options}\n"
    found = listener(read(master=MASTER + entry), "submission").state
    assert (found.tls_mode, found.is_login_required) == (TlsMode.STARTTLS, is_required)


def test_a_service_with_files_of_its_own_serves_those() -> None:
    entry = "465 inet n - y - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_tls_chain_files=/o\n"
    found = listener(read("", master=MASTER + entry), "submissions")
    assert (found.files, found.has_own_files) == (("/o",), True)
    assert found.state.tls_mode is TlsMode.IMPLICIT


@pytest.mark.parametrize(
    ("value", "address"),
    [("", "*"), ("all", "*"), ("192.0.2.1", "192.0.2.1"), ("[::1]", "::1"), ("a, b", "*")],
)
def test_the_only_interface_is_the_address(value: str, address: str) -> None:
    assert own_address({"inet_interfaces": value}) == address


def test_a_service_without_an_address_listens_on_the_only_interface() -> None:
    assert (
        listener(read(f"{TLS}inet_interfaces = 192.0.2.1\n"), "smtp").state.address == "192.0.2.1"
    )
    named = listener(read(f"{TLS}inet_interfaces = 192.0.2.1\n", f"[::1]:{MASTER}"), "smtp")
    assert named.state.address == "::1"


def test_what_stays_is_told_with_its_line() -> None:
    main = f"# one\n{TLS}smtpd_tls_loglevel = 1\nmulti_instance_directories =\nmynetworks = x\n"
    main += "multi_instance_directories = /etc/other\n"
    main += "inet_interfaces = a, b\ninet_interfaces = a,\n b\n"
    master = MASTER + "# two\n10025 inet n - y - - smtpd\n587 inet n - y - - postscreen\n"
    master += "[::1]:25 inet n - y - - smtpd\npickup unix n - y 60 1 pickup\n"
    assert codes(read(main, master)) == [
        "found.other_port master.cf:3",
        "found.other_program master.cf:4",
        "found.second_service master.cf:5",
        "found.setting main.cf:5",
        "found.other_instance main.cf:6",
        "found.other_instance main.cf:8",
        "found.several_addresses main.cf:9",
        "found.several_addresses main.cf:10",
    ]
    assert codes(read(f"{TLS}inet_interfaces = all, x\nmulti_instance_directories =\n")) == []


def test_the_table_of_host_names_is_read() -> None:
    main = f"{TLS}tls_server_sni_maps = hash:$data/sni, cdb:/gone\n"
    table = "# names\n\nOne.Test /k, /c\n.two.test /x\none.test /later\n"
    base = read(main, tables={"/d/sni": table})
    assert base.names == {"one.test": ("/k", "/c")}
    assert codes(base) == ["found.name_pattern /d/sni:4", "found.sni_map_unreadable /gone:0"]
    assert table_sources(PostfixFiles(main, ""), {"data": "/d"})[1] == ("cdb", "/gone")


def test_dovecot_is_read() -> None:
    text = DOVECOT + (
        'local_name "One.test two.test" {\n  ssl_cert = </n.pem\n  ssl_key = </n.pem\n}\n'
        "local_name *.x.test {\n  ssl_cert = </n.pem\n}\n"
        "protocol imap {\n  ssl_cert = </i.pem\n}\n"
        "service lmtp {\n  inet_listener lmtp {\n    port = 24\n  }\n}\n"
        "service pop3-login {\n  inet_listener old {\n    port = 109\n  }\n}\n"
        "service auth {\n  unix_listener x {\n    mode = 0600\n  }\n}\n"
    )
    texts = {"c": "# nothing\n", "d": text + "local 192.0.2.1 {\n}\nssl_min_protocol = TLSv1.2\n"}
    base = read_dovecot(read_settings(text), texts)
    assert base.names == {"one.test": ("/n.pem", "/n.pem"), "two.test": ("/n.pem", "/n.pem")}
    assert (base.files, listener(base, "imap").files) == (FILES, ("/i.pem",))
    assert codes(base) == [
        "found.name_pattern d:15", "found.other_port d:22", "found.filter d:36",
        "found.setting d:38",
    ]  # fmt: skip


def test_names_in_a_section_of_2_4_are_met_once_and_told_without_a_line() -> None:
    name = "local_name {} {{\n  ssl_server {{\n    cert_file = /n\n    key_file = /m\n  }}\n"
    name += "  a = b\n}}\n"
    text = DOVECOT + name.format("one.test") + name.format("*.two.test")
    base = read_dovecot(read_settings(text), {})
    assert base.names == {"one.test": ("/n", "/m")}
    assert codes(base) == ["found.name_pattern dovecot:0"]


# Taking over


def base_of(
    leaves: Mapping[FileGroup, frozenset[str]] | None = None,
    dovecot: str = DOVECOT,
    main: str = TLS,
    master: str = MASTER,
    tables: Mapping[str, str] | None = None,
) -> Base:
    return Base(
        read(main, master, tables),
        read_dovecot(read_settings(dovecot), {}),
        {FILES: frozenset({ONE})} if leaves is None else leaves,
    )


def known(*kinds: str) -> dict[str, CertificateMaterial]:
    made = [certificate("one", "mail.example.test"), certificate("two", "mail.example.test")]
    return {
        item.fingerprint: replace(item, key_algorithm=kind)
        for item, kind in zip(made, kinds or ("rsa", "ecdsa"), strict=True)
    }


def taken(base: Base, *kinds: str) -> DesiredState:
    return adopt("mail.example.test", base, known(*kinds)).state


def remaining(state: DesiredState, base: Base) -> Remaining:
    return subtract(state, base)


def test_what_is_taken_over_leaves_nothing_to_write() -> None:
    base = base_of()
    state = taken(base)
    assert state.default_certificate == ONE
    left = remaining(state, base)
    assert all(not part.listeners and not part.default_certificate for part in left.parts)
    assert left.kept_services == {item.service for item in state.listeners}


def test_a_pair_is_taken_over_as_one() -> None:
    base = base_of({FILES: frozenset({ONE, TWO}), ("/same",): frozenset({ONE, TWO})})
    state = taken(base)
    assert state.default_certificate == ONE
    assert state.pair_of(ONE) == (ONE, TWO)
    assert remaining(state, base).parts[0].listeners == ()


@pytest.mark.parametrize(
    ("leaves", "kinds"),
    [
        (frozenset[str](), ("rsa", "ecdsa")),
        (frozenset({ONE, TWO}), ("rsa", "rsa")),
        (frozenset({ONE, "unknown"}), ("rsa", "ecdsa")),
    ],
)
def test_what_cannot_be_told_is_left_alone(leaves: frozenset[str], kinds: tuple[str, ...]) -> None:
    base = base_of({FILES: leaves})
    adopted = adopt("mail.example.test", base, known(*kinds))
    assert adopted.state.default_certificate == ""
    assert [item.code for item in adopted.findings] == ["found.certificate_unreadable"]
    assert remaining(adopted.state, base_of({})).parts[0].listeners == ()


NAMED = "local_name a.test {\n  ssl_cert = </n\n}\n"
SNI = f"{TLS}tls_server_sni_maps = hash:/sni\n"


def test_names_that_both_daemons_show_are_taken_over() -> None:
    leaves = {FILES: frozenset({ONE}), ("/n",): frozenset({TWO})}
    base = base_of(leaves, DOVECOT + NAMED, SNI, tables={"/sni": "a.test /n\nb.test /n\n"})
    adopted = adopt("mail.example.test", base, known())
    assert adopted.state.sni_bindings == (SniBinding("a.test", TWO),)
    assert [item.params["text"] for item in adopted.findings] == ["b.test"]
    assert remaining(adopted.state, base).parts[0].sni_bindings == ()
    without = replace(adopted.state, sni_bindings=())
    assert [item.code for item in remaining(without, base).problems] == ["kept.name_in_files"]
    other = replace(adopted.state, sni_bindings=(SniBinding("a.test", ONE),))
    assert remaining(other, base).parts[1].sni_bindings == other.sni_bindings


def test_a_name_with_two_certificates_is_left_alone() -> None:
    leaves = {FILES: frozenset({ONE}), ("/n",): frozenset({TWO})}
    base = base_of(leaves, DOVECOT + NAMED, SNI, tables={"/sni": "a.test /c.pem /k.pem\n"})
    adopted = adopt("mail.example.test", base, known())
    assert adopted.state.sni_bindings == ()
    assert [item.code for item in adopted.findings] == ["found.name_one_sided"]


# What is still to be written


def changed(state: DesiredState, service: str, **values: object) -> DesiredState:
    return replace(
        state,
        listeners=tuple(
            replace(item, **values) if item.service == service else item  # type: ignore[arg-type]
            for item in state.listeners
        ),
    )


def test_only_the_port_that_differs_is_written() -> None:
    base = base_of()
    state = changed(taken(base), "submissions", is_enabled=True)
    left = remaining(state, base)
    assert [(item.service, item.certificate) for item in left.postfix.listeners] == [
        ("submissions", "")
    ]
    assert left.dovecot.listeners == ()
    assert base.of(Daemon.DOVECOT).file_groups == {FILES}


def test_another_default_certificate_is_written_for_all() -> None:
    base = base_of()
    state = replace(taken(base), default_certificate=TWO)
    left = remaining(state, base)
    assert [part.default_certificate for part in left.parts] == [TWO, TWO]
    assert left.postfix.listeners == ()
    assert left.kept_services == set()


def test_a_port_can_be_given_a_certificate_of_its_own() -> None:
    base = base_of()
    left = remaining(changed(taken(base), "smtp", certificate=TWO), base)
    assert (left.postfix.listeners[0].certificate, left.postfix.default_certificate) == (TWO, "")


def test_closing_a_port_names_no_certificate() -> None:
    base = base_of()
    left = remaining(changed(taken(base), "imap", is_enabled=False), base)
    assert [(item.service, item.certificate) for item in left.dovecot.listeners] == [("imap", "")]


def test_a_port_that_the_host_gives_another_certificate_keeps_it() -> None:
    entry = "465 inet n - y - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_tls_chain_files=/o\n"
    leaves = {FILES: frozenset({ONE}), ("/o",): frozenset({TWO})}
    base = base_of(leaves, master=MASTER + entry)
    state = taken(base)
    assert [item.certificate for item in state.listeners if item.certificate] == [TWO]
    assert remaining(state, base).postfix.listeners == ()


def test_under_the_profile_nothing_is_written_of_what_is_kept() -> None:
    found = PostfixFiles(TLS, MASTER)
    base = base_of()
    left = remaining(taken(base), base)
    assert postfix.render(left.postfix, found, live="/live", map_type="hash") == found
    assert dovecot.render(left.dovecot, version=(2, 3), live="/live") == ""


def test_under_the_profile_a_change_says_only_itself() -> None:
    base = base_of()
    state = replace(taken(base), default_certificate=TWO)
    state = changed(changed(state, "smtp", port=2525), "imap", address="192.0.2.1")
    left = remaining(state, base)
    files = postfix.render(left.postfix, PostfixFiles(TLS, MASTER), live="/l", map_type="hash")
    assert "smtpd_tls_chain_files = /l/default.pem" in files.main_cf
    assert "\nsmtpd_tls_security_level = may" not in block.read_block(files.main_cf)
    assert "-o smtpd_tls_security_level=may" in files.master_cf
    for version, words in (((2, 3), "disable_plaintext_auth = yes"), ((2, 4), "cleartext = no")):
        text = dovecot.render(left.dovecot, version=version, live="/l")
        assert words in text
        assert "ssl_min_protocol" not in text


def test_whom_a_kept_port_lets_in_is_not_judged() -> None:
    expected = Expectation("imap", "127.0.0.1", 143, True, TlsMode.STARTTLS)
    seen = Seen("imap", "127.0.0.1", 143, is_open=True, is_clear_login_offered=True)
    assert judge(expected, seen)
    assert not judge(replace(expected, is_kept=True), seen)
