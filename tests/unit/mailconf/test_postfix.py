"""From a state to main.cf and master.cf, and back: what is ours, what stays, what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailadmin.mailconf import block, main_cf, master_cf, postfix
from mailadmin.mailconf.master_cf import Entry
from mailadmin.mailconf.postfix import PostfixFiles
from mailadmin.mailconf.services import TlsMode
from mailadmin.mailconf.state import DesiredState, ListenerState
from mailadmin.pki.problems import Problem, Severity
from tests.unit.mailconf.builders import (
    LIVE,
    bind,
    certificate,
    fingerprint,
    listener,
    make_state,
)

MAIN_CF = "smtpd_tls_security_level = may\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = p/auth\n"
SMTP = "smtp inet n - y - - smtpd\n"
THREE = ("smtp", "submissions", "submission")


def files(master: str = SMTP, main: str = MAIN_CF) -> PostfixFiles:
    return PostfixFiles(main, master)


def render(state: DesiredState, found: PostfixFiles | None = None) -> PostfixFiles:
    return postfix.render(state, found or files(), live=LIVE, map_type="hash")


def parameters(state: DesiredState, main: str = MAIN_CF) -> dict[str, str]:
    return main_cf.read_parameters(render(state, files(main=main)).main_cf)


def ours(rendered: PostfixFiles) -> dict[str, Entry]:
    """Return the active services of our block, by name."""
    entries = master_cf.read_entries(block.read_block(rendered.master_cf))
    return {entry.name: entry for entry in entries}


def problems(state: DesiredState, found: PostfixFiles) -> list[tuple[str, str, str]]:
    return [tell(item) for item in postfix.find_problems(state, found)]


def tell(problem: Problem) -> tuple[str, str, str]:
    return problem.code, str(problem.severity), problem.subject


# main.cf


def test_the_default_certificate_supersedes_the_older_settings() -> None:
    main = f"{MAIN_CF}smtpd_tls_cert_file = /a\nsmtpd_tls_eckey_file = /b\nsmtpd_use_tls = yes\n"
    found = parameters(make_state(listener("smtp")), main)
    assert found["smtpd_tls_chain_files"] == f"{LIVE}/default.pem"
    assert not found.keys() & {"smtpd_tls_cert_file", "smtpd_tls_eckey_file", "smtpd_use_tls"}


def test_without_a_default_certificate_the_admins_stay() -> None:
    main = f"{MAIN_CF}smtpd_tls_cert_file = /a\nsmtpd_use_tls = yes\n"
    found = parameters(make_state(default_certificate=""), main)
    assert found["smtpd_tls_cert_file"] == "/a"
    assert "smtpd_tls_chain_files" not in found
    assert "smtpd_use_tls" not in found


@pytest.mark.parametrize(
    ("profile", "version"), [("intermediate", ">=TLSv1.2"), ("modern", ">=TLSv1.3")]
)
def test_the_profile_sets_the_versions(profile: str, version: str) -> None:
    found = parameters(make_state(listener("smtp"), tls_profile=profile))
    assert found["smtpd_tls_protocols"] == found["smtpd_tls_mandatory_protocols"] == version


def test_names_of_their_own_need_a_map() -> None:
    assert "tls_server_sni_maps" not in parameters(make_state(listener("smtp")))
    named = make_state(listener("smtp"), sni_bindings=(bind("a.test", "mail"),))
    assert parameters(named)["tls_server_sni_maps"] == f"hash:{LIVE}/sni.map"


# master.cf: our services


def test_port_25_gets_no_options_of_ours() -> None:
    assert ours(render(make_state(listener("smtp"))))["25"].words == ()


def test_port_25_without_tls_says_so() -> None:
    entry = ours(render(make_state(listener("smtp", tls_mode=TlsMode.NONE))))["25"]
    assert entry.options == {"smtpd_tls_security_level": "none"}


def test_465_speaks_tls_at_once_and_587_after_starttls() -> None:
    entries = ours(render(make_state(listener("submissions"), listener("submission"))))
    assert entries["465"].options["smtpd_tls_wrappermode"] == "yes"
    assert "smtpd_tls_wrappermode" not in entries["587"].options
    for entry in entries.values():
        assert entry.options["smtpd_tls_security_level"] == "encrypt"
        assert entry.options["smtpd_sasl_auth_enable"] == "yes"
        assert "530 5.7.0 Authentication required" in entry.options["smtpd_sender_restrictions"]


def test_a_certificate_of_its_own_is_named_at_the_service() -> None:
    own = listener("submissions", certificate=fingerprint("office"))
    entry = ours(render(make_state(own, listener("submission"))))
    assert entry["465"].options["smtpd_tls_chain_files"] == f"{LIVE}/submissions.pem"
    assert "smtpd_tls_chain_files" not in entry["587"].options


def test_addresses_and_ports_are_those_of_the_state() -> None:
    moved = listener("submissions", address="2001:db8::25", port=2465)
    assert set(ours(render(make_state(listener("submission", address="192.0.2.1"), moved)))) == {
        "192.0.2.1:587",
        "[2001:db8::25]:2465",
    }


def test_a_new_service_is_chrooted_like_the_others() -> None:
    state = make_state(listener("submission"))
    assert ours(render(state))["587"].columns == ("n", "-", "y", "-", "-")
    alone = files("pickup unix n - n 60 1 pickup\n")
    assert ours(render(state, alone))["587"].columns == ("n", "-", "n", "-", "-")


def test_a_new_service_is_chrooted_like_the_others_also_after_25_was_closed() -> None:
    closed = render(make_state(listener("smtp", is_enabled=False)))
    assert ours(render(make_state(listener("submission")), closed))["587"].columns[2] == "y"


# master.cf: the admin's services


def test_the_admins_service_gives_its_columns_and_foreign_options() -> None:
    master = f"{SMTP}smtps inet n - n - 7 smtpd -v\n  -o content_filter=a:b\n  -o syslog_name=x\n"
    entry = ours(render(make_state(listener("submissions")), files(master)))["465"]
    assert entry.columns == ("n", "-", "n", "-", "7")
    assert entry.words[-3:] == ("-v", "-o", "content_filter=a:b")
    assert entry.options["syslog_name"] == "postfix/submissions"


@pytest.mark.parametrize(
    "option",
    [
        "smtpd_tls_mandatory_protocols=!SSLv2",
        "smtpd_tls_protocols=!SSLv2",
        "smtpd_tls_cert_file=/a.pem",
        "smtpd_tls_auth_only=no",
        "smtpd_tls_security_level=none",
        "smtpd_tls_exclude_ciphers=",
        "tls_server_sni_maps=",
    ],
)
@pytest.mark.parametrize(("name", "port"), [("smtp", "25"), ("submissions", "465")])
def test_no_option_contradicts_the_tls_of_main_cf(option: str, name: str, port: str) -> None:
    master = f"{port} inet n - y - - smtpd\n  -o {option}\n"
    entry = ours(render(make_state(listener(name)), files(master)))[port]
    assert option not in entry.words


def test_on_25_the_admins_restrictions_stay() -> None:
    master = f"{SMTP}  -o smtpd_recipient_restrictions=reject_unauth_destination\n"
    entry = ours(render(make_state(listener("smtp")), files(master)))["25"]
    assert entry.options == {"smtpd_recipient_restrictions": "reject_unauth_destination"}


def test_a_service_on_another_address_is_not_ours() -> None:
    other = "192.0.2.2:465 inet n - y - - smtpd\n"
    state = make_state(listener("submissions", address="192.0.2.1"))
    assert other in render(state, files(other)).master_cf.splitlines(keepends=True)


def test_services_that_a_listener_on_every_address_would_meet_are_set_aside() -> None:
    master = "192.0.2.2:465 inet n - y - - smtpd\n[::1]:smtps inet n - y - - smtpd\n"
    rendered = render(make_state(listener("submissions")), files(master))
    names = [entry.name for entry in master_cf.read_entries(rendered.master_cf)]
    assert names == ["465"]


def test_a_service_known_by_a_port_name_we_do_not_know_stays() -> None:
    odd = "msa inet n - y - - smtpd\n"
    assert odd in render(make_state(listener("submission")), files(odd)).master_cf


def test_when_a_listener_moves_its_usual_port_is_given_up() -> None:
    master = "submission inet n - y - - smtpd\n  -o content_filter=a:b\n"
    rendered = render(make_state(listener("submission", port=2587)), files(master))
    (entry,) = master_cf.read_entries(rendered.master_cf)
    assert (entry.name, entry.options["content_filter"]) == ("2587", "a:b")


def test_of_two_services_with_one_name_the_last_lives_on() -> None:
    master = "465 inet n - y - - smtpd -o a=1\n465 inet n - y - - smtpd -o a=2\n"
    rendered = render(make_state(listener("submissions")), files(master))
    (entry,) = master_cf.read_entries(rendered.master_cf)
    assert entry.options["a"] == "2"


# Off and on


def test_a_closed_service_is_gone_and_its_foreign_options_are_kept() -> None:
    master = f"{SMTP}smtps inet n - y - - smtpd\n  -o content_filter=a:b\n"
    off = render(make_state(listener("submissions", is_enabled=False)), files(master))
    assert ours(off) == {}
    assert "#off#   -o content_filter=a:b\n" in off.master_cf
    on = render(make_state(listener("submissions")), off)
    assert ours(on)["465"].options["content_filter"] == "a:b"
    assert render(make_state(listener("submissions")), files(master)) == on


def test_what_an_admin_wrote_into_our_block_survives_off_and_on() -> None:
    state = make_state(listener("submission"))
    edited = render(state).master_cf.replace(
        "587 inet n - y - - smtpd\n", "587 inet n - y - 9 smtpd\n  -o content_filter=a:b\n"
    )
    shut = replace(state, listeners=(listener("submission", is_enabled=False),))
    again = render(state, render(shut, files(edited)))
    assert ours(again)["587"].columns[-1] == "9"
    assert ours(again)["587"].options["content_filter"] == "a:b"


def test_a_comment_in_our_block_parts_no_service_from_its_options() -> None:
    state = make_state(listener("submissions"), listener("submission"))
    noted = render(state).master_cf.replace(
        "587 inet n - y - - smtpd\n", "# why\n587 inet n - y - 9 smtpd\n"
    )
    assert ours(render(state, files(noted)))["587"].columns[-1] == "9"


def test_a_closed_service_with_nothing_of_its_own_leaves_nothing_behind() -> None:
    state = make_state(listener("submission"))
    shut = replace(state, listeners=(listener("submission", is_enabled=False),))
    assert render(shut, render(state)) == render(shut)


def test_options_stay_with_their_service() -> None:
    master = "465 inet n - y - - smtpd -o a=1\n587 inet n - y - - smtpd -o b=2\n"
    shut = make_state(*(listener(name, is_enabled=False) for name in THREE))
    opened = render(make_state(*map(listener, THREE)), render(shut, files(master)))
    entries = ours(opened)
    assert "b" not in entries["465"].options
    assert "a" not in entries["587"].options
    assert entries["25"].words == ()


# Services of others


POSTSCREEN = "smtp inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd\n"


def test_postscreen_is_left_as_it_is() -> None:
    rendered = render(make_state(listener("smtp")), files(POSTSCREEN))
    assert rendered.master_cf.startswith(POSTSCREEN)
    assert ours(rendered) == {}


def test_postscreen_is_told_but_does_not_forbid_what_it_does_anyway() -> None:
    state = make_state(listener("smtp"))
    (problem,) = postfix.find_problems(state, files(POSTSCREEN))
    assert tell(problem) == ("postfix.service_not_understood", "warning", "smtp")
    assert problem.params == {"entry": "smtp", "command": "postscreen"}


@pytest.mark.parametrize(
    "wanted",
    [
        listener("smtp", is_enabled=False),
        listener("smtp", address="192.0.2.1"),
        listener("smtp", port=2525),
        listener("smtp", tls_mode=TlsMode.NONE),
        listener("smtp", certificate=fingerprint("office")),
    ],
)
def test_a_wish_that_postscreen_cannot_fulfil_is_refused(wanted: ListenerState) -> None:
    code = ("postfix.service_not_understood", "error", "smtp")
    assert problems(make_state(wanted), files(POSTSCREEN)) == [code]


def test_another_program_on_a_client_port_is_refused() -> None:
    found = files("587 inet n - y - - spawn user=x argv=/x\n")
    assert problems(make_state(listener("submission")), found) == [
        ("postfix.service_not_understood", "error", "submission")
    ]


# What speaks against it


@pytest.mark.parametrize(
    ("main", "is_known"),
    [
        ("", False),
        ("smtpd_sasl_type = cyrus\n", False),
        ("smtpd_sasl_type = dovecot\n", True),
        ("smtpd_sasl_path = private/auth\n", True),
    ],
)
def test_passwords_must_be_checked_somewhere(main: str, is_known: bool) -> None:
    found = problems(make_state(listener("submissions")), files(main=main))
    expected = [] if is_known else [("postfix.sasl_not_configured", "error", "submissions")]
    assert found == expected


def test_a_service_may_name_its_own_login_socket() -> None:
    master = "465 inet n - y - - smtpd\n  -o smtpd_sasl_type=dovecot\n"
    assert problems(make_state(listener("submissions")), files(master, main="")) == []


@pytest.mark.parametrize("wanted", [listener("smtp"), listener("submissions", is_enabled=False)])
def test_without_a_client_port_nobody_logs_in(wanted: ListenerState) -> None:
    assert problems(make_state(wanted), files(main="")) == []


MUA = (
    "587 inet n - y - - smtpd\n  -o smtpd_client_restrictions=$mua_client_restrictions\n"
    "  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject\n"
    "  -o smtpd_helo_restrictions=\n"
)


def test_restrictions_that_ours_replace_are_told() -> None:
    (problem,) = postfix.find_problems(make_state(listener("submission")), files(MUA))
    assert tell(problem) == ("postfix.restrictions_replaced", "warning", "submission")
    assert problem.params == {"settings": "smtpd_client_restrictions = $mua_client_restrictions"}


def test_restrictions_are_told_once() -> None:
    state = make_state(listener("submission"))
    assert problems(state, render(state, files(MUA))) == []


def test_the_usual_restrictions_lose_nothing() -> None:
    usual = MUA.replace("$mua_client_restrictions", "permit_sasl_authenticated,reject")
    assert problems(make_state(listener("submission")), files(usual)) == []


@pytest.mark.parametrize("name", ["main.cf", "master.cf"])
def test_damaged_marks_are_told(name: str) -> None:
    state = make_state(listener("smtp"))
    done = render(state)
    main, master = (
        text.replace(f"{block.END}\n", "") if file == name else text
        for file, text in (("main.cf", done.main_cf), ("master.cf", done.master_cf))
    )
    assert problems(state, PostfixFiles(main, master)) == [
        ("postfix.block_damaged", Severity.ERROR, name)
    ]


# Reading


def test_a_fresh_debian_listens_on_25_alone() -> None:
    smtp, submissions, submission = postfix.read_listeners(files())
    assert smtp == listener("smtp")
    assert submissions == listener("submissions", is_enabled=False)
    assert submission == listener("submission", is_enabled=False)


def test_an_absent_service_is_expected_where_25_is() -> None:
    found = postfix.read_listeners(files("192.0.2.1:25 inet n - y - - smtpd\n"))
    assert [item.address for item in found] == ["192.0.2.1"] * 3


def test_without_any_port_every_address_is_expected() -> None:
    found = postfix.read_listeners(files(""))
    assert [(item.address, item.is_enabled) for item in found] == [("*", False)] * 3


def test_what_was_rendered_is_read_back() -> None:
    wanted = (
        listener("smtp", tls_mode=TlsMode.NONE),
        listener("submissions", address="::1", port=2465),
        listener("submission", address="192.0.2.1"),
    )
    other = files(f"{SMTP}192.0.2.9:587 inet n - y - - smtpd\n")
    assert tuple(postfix.read_listeners(render(make_state(*wanted), other))) == wanted


@pytest.mark.parametrize(
    ("main", "options", "mode"),
    [
        ("", "", TlsMode.NONE),
        ("smtpd_tls_security_level = may\n", "", TlsMode.STARTTLS),
        ("smtpd_tls_security_level = encrypt\n", "", TlsMode.STARTTLS),
        ("smtpd_tls_security_level = none\n", "", TlsMode.NONE),
        ("smtpd_use_tls = yes\n", "", TlsMode.STARTTLS),
        ("smtpd_use_tls = yes\nsmtpd_tls_security_level = none\n", "", TlsMode.NONE),
        ("smtpd_tls_security_level = may\n", " -o smtpd_tls_security_level=none", TlsMode.NONE),
        ("", " -o smtpd_tls_security_level=may", TlsMode.STARTTLS),
    ],
)
def test_whether_25_offers_tls_is_read(main: str, options: str, mode: TlsMode) -> None:
    found = files(f"smtp inet n - y - - smtpd{options}\n", main)
    assert postfix.read_listeners(found)[0].tls_mode is mode


def test_certificates_are_read_also_where_set_aside() -> None:
    main = "smtpd_tls_cert_file = /a.pem\nsmtpd_tls_key_file = /a.key\n"
    done = render(make_state(listener("smtp")), files(main=main))
    found = postfix.read_certificate_settings(done)
    assert found == [f"{LIVE}/default.pem", "/a.pem", "/a.key"]


def test_every_file_of_a_list_is_read_once() -> None:
    main = "smtpd_tls_chain_files = /a.pem, /b.pem\nsmtpd_tls_cert_file = /a.pem\n"
    assert postfix.read_certificate_settings(files(main=main)) == ["/a.pem", "/b.pem"]


def test_a_state_without_postfix_listeners_takes_nothing() -> None:
    state = make_state(listener("imap"), certificates=(certificate("mail"),))
    assert render(state).master_cf.startswith(SMTP)
