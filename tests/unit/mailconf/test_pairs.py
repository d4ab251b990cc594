"""RSA and ECDSA side by side, from the state to the files and to the proof."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from mailadmin.mailconf import dovecot, material, postfix
from mailadmin.mailconf.plan import Change, Effect, describe_changes
from mailadmin.mailconf.proof import Expectation, Seen, expectations, judge
from mailadmin.mailconf.rules import check_state
from mailadmin.mailconf.services import TlsMode
from mailadmin.mailconf.state import CertificateMaterial, DesiredState
from tests.unit.mailconf.builders import (
    LIVE,
    NOW,
    bind,
    certificate,
    fingerprint,
    listener,
    make_state,
    pair_up,
)

MAIL, MAIL_EC = fingerprint("mail"), fingerprint("mail-ec")
ALONE = certificate("office", key_algorithm="rsa")
PAIR = pair_up(certificate("mail"), certificate("mail-ec"))
VERSIONS = ((2, 3), (2, 4))


def side_by_side(*services: str, **values: object) -> DesiredState:
    """Return a state whose default certificate has a companion."""
    certificates = (*PAIR.values(), ALONE)
    listeners = [listener(name) for name in services or ("submission", "imaps")]
    return replace(make_state(*listeners, certificates=certificates), **values)


def separated() -> DesiredState:
    """Return the same without the pair."""
    return side_by_side(certificates=(certificate("mail"), certificate("mail-ec"), ALONE))


def codes(state: DesiredState) -> list[str]:
    return [item.code for item in check_state(state, NOW)]


def changes(before: DesiredState, after: DesiredState) -> list[Change]:
    return list(describe_changes(before, after))


def with_one(state: DesiredState, *certificates: CertificateMaterial) -> DesiredState:
    """Return the state with these in the place of those with the same fingerprint."""
    fresh = {item.fingerprint: item for item in certificates}
    known = {item.fingerprint: item for item in state.certificates}
    return replace(state, certificates=tuple((known | fresh).values()))


# The state


def test_a_companion_is_used_where_its_certificate_is() -> None:
    state = side_by_side()
    assert state.pair_of(MAIL) == (MAIL, MAIL_EC)
    assert state.pair_of(MAIL_EC) == (MAIL_EC, MAIL)
    assert state.pair_of(ALONE.fingerprint) == (ALONE.fingerprint,)
    assert state.pair_of("unheard of") == ("unheard of",)
    assert state.pair_of("") == ()
    assert state.chosen_fingerprints == (MAIL,)
    assert set(state.used_fingerprints) == {MAIL, MAIL_EC}


def test_the_digest_covers_the_pair() -> None:
    assert side_by_side().digest != separated().digest


def test_a_snapshot_of_before_there_were_pairs_reads_as_without() -> None:
    new = ("companion", "key_algorithm")
    told = [item.as_dict(with_pem=False, with_key=False) for item in side_by_side().certificates]
    old = [{name: row[name] for name in row if name not in new} for row in told]
    read = DesiredState.from_dict(side_by_side().as_dict() | {"certificates": old})
    assert read.as_dict()["certificates"] == old
    assert {(item.companion, item.key_algorithm) for item in read.certificates} == {("", "")}
    assert read.used_fingerprints == (MAIL,)


# The files


def test_each_of_a_pair_has_a_file() -> None:
    state = side_by_side(sni_bindings=(bind("a.test", "mail-ec"), bind("b.test", "office")))
    assert material.certificate_files(state) == {
        "default.pem": MAIL,
        "default_alt.pem": MAIL_EC,
        "sni-a.test.pem": MAIL_EC,
        "sni-a.test_alt.pem": MAIL,
        "sni-b.test.pem": ALONE.fingerprint,
    }
    assert material.sni_map(state, "/x").splitlines() == [
        "a.test /x/sni-a.test.pem /x/sni-a.test_alt.pem",
        "b.test /x/sni-b.test.pem",
    ]


def test_a_file_beside_another_is_told_from_that_of_a_host_name() -> None:
    state = make_state(sni_bindings=(bind("a.test", "mail"), bind("a.test.alt", "mail")))
    state = with_one(state, *PAIR.values())
    assert len(material.certificate_files(state)) == 6
    assert material.first_of(material.beside("sni-a.test.pem")) == "sni-a.test.pem"
    assert material.first_of("default.pem") == "default.pem"


def test_the_one_or_the_other_of_the_default_pair_is_the_default() -> None:
    own = listener("imaps", certificate=MAIL_EC)
    state = side_by_side(listeners=(listener("imap"), own))
    assert material.own_certificate_file(state, own) == ""
    assert codes(state) == codes(side_by_side("imap", "imaps"))
    assert material.own_certificate_file(separated(), own) == "imap.pem"


def test_a_reviewer_sees_both_and_which_is_which() -> None:
    shown = material.manifest(side_by_side())
    assert "default_alt.pem\n" in shown
    assert "  key           ECDSA\n  beside        default.pem\n" in shown
    assert "beside" not in material.manifest(separated())


def test_postfix_is_told_both_files() -> None:
    own = listener("submission", certificate="f" * 64)
    state = side_by_side(listeners=(own,))
    port = pair_up(certificate("port", fingerprint="f" * 64), certificate("port-ec"))
    state = with_one(state, *port.values())
    settings = postfix.tls_settings(state, live=LIVE, map_type="hash")
    assert settings["smtpd_tls_chain_files"] == f"{LIVE}/default.pem, {LIVE}/default_alt.pem"
    options = postfix.service_options(state, own, live=LIVE)
    files = f"{LIVE}/submission.pem, {LIVE}/submission_alt.pem"
    assert options["smtpd_tls_chain_files"] == files


@pytest.mark.parametrize("version", VERSIONS)
def test_every_certificate_of_dovecot_sets_the_second_one_too(version: tuple[int, int]) -> None:
    """A host name or protocol that said nothing would be shown the global one (measured)."""
    state = side_by_side(
        "imap", "pop3s", sni_bindings=(bind("a.test", "office"), bind("b.test", "mail"))
    )
    text = dovecot.render(state, version=version, live=LIVE)
    first, second = ("ssl_cert", "ssl_alt_cert")
    if version >= (2, 4):
        first, second = ("ssl_server_cert_file", "ssl_server_alt_cert_file")
    lines = [line.strip() for line in text.splitlines()]
    firsts = [line for line in lines if line.startswith(f"{first} =")]
    seconds = [line.partition("= ")[2].lstrip("<") for line in lines if line.startswith(second)]
    assert len(firsts) == 3
    assert seconds == [f"{LIVE}/default_alt.pem", "", f"{LIVE}/sni-b.test_alt.pem"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_pair_comes_and_goes_without_a_reload_of_dovecot(version: tuple[int, int]) -> None:
    before = dovecot.render(separated(), version=version, live=LIVE)
    after = dovecot.render(side_by_side(), version=version, live=LIVE)
    assert before != after
    assert dovecot.reload_part(before) == dovecot.reload_part(after)


# The rules


def test_a_sound_pair_breaks_no_rule_more() -> None:
    assert codes(side_by_side()) == codes(separated())


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"not_after": NOW}, "certificate.expired"),
        ({"not_before": NOW + timedelta(days=1)}, "certificate.not_yet_valid"),
    ],
)
def test_a_companion_that_is_not_valid_is_told(values: dict[str, object], code: str) -> None:
    state = with_one(side_by_side(), replace(PAIR["mail-ec"], **values))
    (problem,) = (item for item in check_state(state, NOW) if item.code == code)
    assert (problem.subject, problem.params["label"]) == (MAIL_EC, "mail-ec")


def test_a_companion_that_the_state_does_not_carry_is_told() -> None:
    state = side_by_side(certificates=(PAIR["mail"],))
    assert "certificate.unknown" in codes(state)


def test_a_companion_of_fewer_names_is_told() -> None:
    state = with_one(side_by_side(), replace(PAIR["mail-ec"], names=("imap.example.test",)))
    assert codes(state).count("certificate.name_not_covered") == 1
    bound = replace(state, sni_bindings=(bind("mail.example.test", "mail"),))
    assert codes(bound).count("sni.name_not_covered") == 1


@pytest.mark.parametrize("algorithm", ["rsa", "", "ed25519"])
def test_only_rsa_and_ecdsa_stand_side_by_side(algorithm: str) -> None:
    state = with_one(side_by_side(), replace(PAIR["mail-ec"], key_algorithm=algorithm))
    problems = [item for item in check_state(state, NOW) if item.code == "pair.same_algorithm"]
    assert {item.subject for item in problems} == {MAIL, MAIL_EC}
    assert problems[0].params["companion_key"] in {algorithm, "rsa"}


# What is told of a change


def test_a_pair_that_is_made_changed_or_dissolved_is_told() -> None:
    (made,) = changes(separated(), side_by_side())
    assert (made.code, made.effect, made.subject) == ("pair.made", Effect.CERTIFICATE, MAIL)
    assert made.params == {
        "label": "mail",
        "key": "ecdsa",
        "before": "",
        "before_fingerprint": "",
        "after": "mail-ec",
        "after_fingerprint": MAIL_EC,
    }
    (dissolved,) = changes(side_by_side(), separated())
    assert (dissolved.code, dissolved.params["before"]) == ("pair.dissolved", "mail-ec")
    assert dissolved.params["key"] == "ecdsa"
    swapped = with_one(
        side_by_side(),
        *pair_up(certificate("mail"), certificate("mail-ec-2")).values(),
    )
    (changed,) = changes(side_by_side(), swapped)
    assert (changed.code, changed.params["before"], changed.params["after"]) == (
        "pair.changed",
        "mail-ec",
        "mail-ec-2",
    )


def told(before: DesiredState, after: DesiredState) -> list[str]:
    return [item.code for item in changes(before, after)]


def test_which_of_the_two_is_wanted_is_no_change_of_the_pair() -> None:
    after = side_by_side(default_certificate=MAIL_EC)
    assert told(side_by_side(), after) == ["default_certificate.changed"]


def test_a_default_with_a_companion_is_told_as_both() -> None:
    nothing = side_by_side(default_certificate="")
    assert told(nothing, side_by_side()) == ["default_certificate.changed", "pair.made"]
    assert told(side_by_side(), nothing) == ["default_certificate.changed", "pair.gone"]


def test_a_companion_that_goes_on_beside_another_is_not_told_as_gone() -> None:
    renewed = pair_up(certificate("mail-2"), certificate("mail-ec"))
    after = with_one(side_by_side(default_certificate=fingerprint("mail-2")), *renewed.values())
    assert told(side_by_side(), after) == ["default_certificate.changed", "pair.made"]


def test_a_pair_whose_companion_is_unknown_is_told_without_its_key() -> None:
    (change,) = changes(separated(), side_by_side(certificates=(PAIR["mail"],)))
    assert (change.code, change.params["key"], change.params["after"]) == ("pair.made", "", "")


# The proof


def asked(expected: Iterable[Expectation]) -> list[tuple[str, str, str, str]]:
    return [
        (item.service, item.sni_name, item.key_algorithm, item.fingerprint) for item in expected
    ]


def test_each_of_a_pair_is_asked_for_by_its_kind_of_key() -> None:
    state = side_by_side(
        "imaps", sni_bindings=(bind("a.test", "mail-ec"), bind("b.test", "office"))
    )
    assert asked(expectations(state)) == [
        ("imaps", "", "rsa", MAIL),
        ("imaps", "", "ecdsa", MAIL_EC),
        ("imaps", "a.test", "ecdsa", MAIL_EC),
        ("imaps", "a.test", "rsa", MAIL),
        ("imaps", "b.test", "", ALONE.fingerprint),
    ]


def test_a_port_without_tls_and_a_closed_one_are_asked_once() -> None:
    state = side_by_side(
        listeners=(
            listener("imap", tls_mode=TlsMode.NONE),
            listener("imaps", is_enabled=False),
        )
    )
    assert asked(expectations(state)) == [("imap", "", "", ""), ("imaps", "", "", "")]


def test_a_companion_that_is_not_carried_is_not_asked_for() -> None:
    state = side_by_side("imaps", certificates=(PAIR["mail"],))
    assert asked(expectations(state)) == [("imaps", "", "rsa", MAIL)]


def test_the_wrong_one_of_a_pair_is_told_with_the_kind_of_key() -> None:
    _, wanted = expectations(side_by_side("imaps"))
    seen = Seen("imaps", "*", 993, is_open=True, fingerprint=MAIL, key_algorithm="ecdsa")
    assert seen.key == wanted.key
    (problem,) = judge(wanted, seen)
    assert (problem.code, problem.params["key_algorithm"]) == ("probe.other_certificate", "ecdsa")


def test_evidence_and_questions_of_before_there_were_pairs_still_read() -> None:
    (expected, _), seen = expectations(side_by_side("imaps")), Seen("imaps", "*", 993)
    old_question, old_evidence = expected.as_dict(), seen.as_dict()
    del old_question["key_algorithm"], old_evidence["key_algorithm"]
    assert Expectation.from_dict(old_question).key_algorithm == ""
    assert Seen.from_dict(old_evidence) == seen
