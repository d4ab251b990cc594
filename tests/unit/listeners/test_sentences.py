"""Every code of the pure layer has words; none is lost between a state and a page."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import replace
from datetime import UTC, datetime
from types import ModuleType

import pytest

from mailadmin.listeners.sentences import (
    CHANGES,
    DEEDS,
    PROBLEMS,
    address_words,
    advise,
    effect_words,
    login_words,
    say_change,
    say_deed,
    say_problem,
    service_words,
    subject_words,
    tls_mode_help,
    tls_mode_words,
)
from mailadmin.mailconf import plan, rules
from mailadmin.mailconf.plan import Change, Effect, describe_changes
from mailadmin.mailconf.services import SERVICES, TlsMode
from mailadmin.mailconf.state import (
    CertificateMaterial,
    DesiredState,
    ListenerState,
    SniBinding,
)
from mailadmin.pki.problems import Problem, Severity

CODE = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+")


def codes_in(module: ModuleType) -> set[str]:
    tree = ast.parse(inspect.getsource(module))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return {text for text in texts if isinstance(text, str) and CODE.fullmatch(text)}


def listener(service: str, **values: object) -> ListenerState:
    definition = SERVICES[service]
    state = ListenerState(
        service, True, "*", definition.port, definition.usual_tls_mode, service != "smtp"
    )
    return replace(state, **values)


def material(fingerprint: str, label: str = "mail.example.org") -> CertificateMaterial:
    begins, ends = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    return CertificateMaterial(fingerprint, label, (label,), begins, ends)


def say_all(before: DesiredState, after: DesiredState) -> list[str]:
    changes = describe_changes(before, after)
    for change in changes:
        told = say_deed(change)
        assert told.endswith(".")
        assert "%(" not in told
        assert " will " not in told
        assert told != say_change(change)
    return [say_change(change) for change in changes]


BASE = DesiredState("mail.example.org", (listener("imaps"),))
OLD, NEW = "a" * 64, "b" * 64


def test_every_change_the_plan_can_find_has_a_sentence() -> None:
    assert codes_in(plan) == set(CHANGES)


def test_every_change_has_a_sentence_without_tense_too() -> None:
    assert set(DEEDS) == set(CHANGES)


def test_every_problem_the_rules_can_find_has_a_sentence() -> None:
    found = codes_in(rules)
    assert "imap.none_left" in found
    assert found <= set(PROBLEMS)


def test_every_service_mode_and_effect_has_words() -> None:
    for name, service in SERVICES.items():
        assert service_words(name) != name
        assert advise(name, is_enabled=True) != advise(name, is_enabled=False)
        for mode in service.tls_modes:
            assert tls_mode_words(mode, name) != mode
            assert tls_mode_help(mode, name)
    assert all(effect_words(effect) != effect for effect in Effect)


def test_opening_and_closing_name_the_service_and_its_port() -> None:
    shut = replace(BASE, listeners=(listener("submissions", is_enabled=False),))
    opened = replace(BASE, listeners=(listener("submissions"),))
    assert say_all(shut, opened) == ["Submission with TLS (465) will be opened."]
    assert say_all(opened, shut) == ["Submission with TLS (465) will be closed."]


def test_opening_on_one_address_names_it() -> None:
    shut = replace(BASE, listeners=(listener("imaps", is_enabled=False, address="192.0.2.1"),))
    opened = replace(BASE, listeners=(listener("imaps", address="192.0.2.1"),))
    assert say_all(shut, opened) == ["IMAP with TLS (993) will be opened on 192.0.2.1."]


def test_moving_shows_both_places_with_ipv6_in_brackets() -> None:
    moved = replace(BASE, listeners=(listener("imaps", address="2001:db8::1", port=1993),))
    assert say_all(BASE, moved) == ["IMAP with TLS will move from *:993 to [2001:db8::1]:1993."]


@pytest.mark.parametrize(
    ("service", "mode", "words"),
    [
        ("smtp", TlsMode.NONE, "no longer offer STARTTLS"),
        ("smtp", TlsMode.STARTTLS, "will offer STARTTLS."),
        ("imap", TlsMode.NONE, "passwords may travel in clear"),
        ("imap", TlsMode.STARTTLS, "will require STARTTLS before the login."),
        ("imaps", TlsMode.IMPLICIT, "encrypted from the first byte"),
    ],
)
def test_a_tls_mode_is_told_by_what_it_means(service: str, mode: TlsMode, words: str) -> None:
    other = TlsMode.NONE if mode is not TlsMode.NONE else TlsMode.STARTTLS
    before = replace(BASE, listeners=(listener(service, tls_mode=other),))
    after = replace(BASE, listeners=(listener(service, tls_mode=mode),))
    assert words in say_all(before, after)[0]


def test_login_changes_are_told() -> None:
    free = replace(BASE, listeners=(listener("submission", is_login_required=False),))
    bound = replace(BASE, listeners=(listener("submission"),))
    assert say_all(bound, free) == ["Submission will take mail without a login."]
    assert say_all(free, bound) == ["Submission will ask for a login."]


def test_a_renewed_certificate_of_the_same_name_is_told_by_fingerprints() -> None:
    before = replace(BASE, default_certificate=OLD, certificates=(material(OLD),))
    after = replace(BASE, default_certificate=NEW, certificates=(material(NEW),))
    (said,) = say_all(before, after)
    assert "will serve mail.example.org (bbbbbbbb) instead of mail.example.org (aaaaaaaa)." in said


def test_the_first_and_the_last_default_certificate_are_told() -> None:
    with_one = replace(BASE, default_certificate=OLD, certificates=(material(OLD),))
    assert say_all(BASE, with_one) == [
        "Ports without a certificate of their own will serve mail.example.org."
    ]
    assert say_all(with_one, BASE) == [
        "Ports without a certificate of their own will have none (until now mail.example.org)."
    ]


def test_a_certificate_of_its_own_is_told_beside_the_default() -> None:
    certificates = (material(OLD), material(NEW, "imap.example.org"))
    base = replace(BASE, default_certificate=OLD, certificates=certificates)
    own = replace(base, listeners=(listener("imaps", certificate=NEW),))
    pinned = replace(base, listeners=(listener("imaps", certificate=OLD),))
    assert say_all(base, own) == [
        "IMAP with TLS will serve imap.example.org instead of mail.example.org."
    ]
    assert say_all(own, base) == [
        "IMAP with TLS will serve the default certificate (mail.example.org)."
    ]
    assert say_all(base, pinned) == [
        "IMAP with TLS will keep serving mail.example.org, whatever becomes the default."
    ]


def test_a_certificate_without_any_default_is_told() -> None:
    none = replace(BASE, certificates=(material(NEW),))
    own = replace(none, listeners=(listener("imaps", certificate=NEW),))
    assert say_all(none, own) == ["IMAP with TLS will serve mail.example.org."]
    assert say_all(own, none) == [
        "IMAP with TLS will have no certificate of its own, and there is no default one."
    ]


def test_a_name_is_told_in_both_forms() -> None:
    name = "mail.xn--bcher-kva.example"
    certificates = (material(OLD), material(NEW, "b.example.org"))
    none = replace(BASE, certificates=certificates)
    bound = replace(none, sni_bindings=(SniBinding(name, OLD),))
    rebound = replace(none, sni_bindings=(SniBinding(name, NEW),))
    shown = f"mail.bücher.example ({name})"
    assert say_all(none, bound) == [f"Clients that ask for {shown} will be shown mail.example.org."]
    assert say_all(bound, rebound) == [
        f"Clients that ask for {shown} will be shown b.example.org instead of mail.example.org."
    ]
    (said,) = say_all(bound, none)
    assert said.startswith(f"Clients that ask for {shown} will be shown what all others are shown")


def test_the_server_itself_is_told() -> None:
    other = replace(BASE, host_name="mx.example.org", tls_profile="modern")
    assert say_all(BASE, other) == [
        "The server will be called mx.example.org instead of mail.example.org.",
        "Encrypted connections will use TLS 1.3 only instead of TLS 1.2 and 1.3.",
    ]


def test_two_instances_of_dovecot_and_one_again_are_told() -> None:
    two = replace(BASE, is_dovecot_split=True)
    assert say_all(BASE, two) == ["Dovecot’s ports will be served by an instance of their own."]
    assert say_all(two, BASE) == ["Dovecot’s ports will be served by its main instance again."]


def test_a_stored_change_is_told_like_a_fresh_one() -> None:
    change = Change("listener.closed", Effect.CLOSES, "imap", {"address": "*", "port": 143})
    assert say_change(change.as_dict()) == say_change(change) == "IMAP (143) will be closed."


def test_codes_of_another_time_are_shown_as_they_are() -> None:
    assert say_change({"code": "x.y", "subject": "imap", "params": {}}) == "x.y (imap)"
    assert say_problem(Problem("x.y", subject="imap")) == "x.y"


def test_problems_of_names_are_told_by_the_app_that_judges_them() -> None:
    assert "“x”" in say_problem(Problem("name.not_qualified", params={"name": "x"}))


def test_a_clear_text_port_is_told_with_its_danger() -> None:
    problem = Problem("login.in_clear", Severity.WARNING, "pop3", {"port": 110})
    said = "Port 110 (POP3) will take passwords in clear: anyone on the way can read them."
    assert say_problem(problem) == said
    assert say_problem(problem.as_dict()) == said


SAMPLES = {
    "other": "imap",
    "port": 25,
    "address": "192.0.2.1",
    "tls_mode": "implicit",
    "label": "mail.example.org",
    "host_name": "xn--bcher-kva.example",
    "name": "x y",
    "not_after": "2026-01-01T00:00:00+00:00",
    "companion": "b.test",
    "key": "rsa",
    "companion_key": "rsa",
    "not_before": "2026-01-01T00:00:00+00:00",
}


@pytest.mark.parametrize("code", sorted(PROBLEMS))
@pytest.mark.parametrize("subject", ["smtp", "imaps", "imap"])
def test_every_problem_can_be_told(code: str, subject: str) -> None:
    sentence = say_problem(Problem(code, subject=subject, params=SAMPLES))
    assert sentence.endswith(".")
    assert "%" not in sentence


def test_two_listeners_on_one_port_name_each_other_and_the_place() -> None:
    params = {"other": "submission", "port": 465, "address": "*"}
    assert say_problem(
        Problem("listener.duplicate_port", subject="submissions", params=params)
    ) == (
        "Submission with TLS and Submission would both listen on *:465. Give one of them another "
        "port or address, or switch it off."
    )


def test_an_impossible_mode_says_why() -> None:
    def said(service: str) -> str:
        return say_problem(Problem("listener.tls_mode_impossible", subject=service))

    assert "RFC 3207" in said("smtp")
    assert "RFC 8314" in said("imaps")
    assert "STARTTLS" in said("imap")


def test_small_words() -> None:
    assert subject_words("server") == "the server"
    assert subject_words("imaps") == "IMAP with TLS"
    assert subject_words("mail.example.org") == "mail.example.org"
    assert login_words("submission", is_required=True) == "required"
    assert login_words("submission", is_required=False) == "not required"
    assert login_words("smtp", is_required=False) == "none"
    assert address_words("192.0.2.1", 25) == "192.0.2.1:25"
    assert tls_mode_words("starttls", "smtp") == "STARTTLS offered"
    assert tls_mode_words("starttls") == "STARTTLS required"


def test_a_pair_is_told_with_both_fingerprints_and_the_kind_of_key() -> None:
    rsa = replace(material(OLD), companion=NEW, key_algorithm="rsa")
    ecdsa = replace(material(NEW), companion=OLD, key_algorithm="ecdsa")
    alone = replace(BASE, default_certificate=OLD, certificates=(material(OLD), material(NEW)))
    beside = replace(alone, certificates=(rsa, ecdsa))
    assert say_all(alone, beside) == [
        (
            "Wherever mail.example.org (aaaaaaaa) is served, mail.example.org (bbbbbbbb) will be "
            "served beside it, to clients that want ECDSA."
        )
    ]
    assert say_all(beside, alone) == [
        (
            "mail.example.org (bbbbbbbb) will no longer be served beside mail.example.org "
            "(aaaaaaaa): clients that know only ECDSA will not connect."
        )
    ]
    other = replace(material("c" * 64), companion=OLD, key_algorithm="ecdsa")
    swapped = replace(beside, certificates=(replace(rsa, companion="c" * 64), other))
    assert say_all(beside, swapped) == [
        (
            "Beside mail.example.org (aaaaaaaa), clients that want ECDSA will be shown "
            "mail.example.org (cccccccc) instead of mail.example.org (bbbbbbbb)."
        )
    ]


def test_two_of_one_kind_side_by_side_are_told_with_their_keys() -> None:
    params = {"label": "a.test", "companion": "b.test", "key": "rsa", "companion_key": ""}
    said = say_problem(Problem("pair.same_algorithm", subject=OLD, params=params))
    assert "and these have RSA and an unknown kind of key" in said
