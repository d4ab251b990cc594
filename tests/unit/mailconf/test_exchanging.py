"""One certificate takes the place of another in a state, and the rest stays to the letter."""

from __future__ import annotations

from dataclasses import replace

from mailadmin.mailconf.exchanging import carry_material, exchange_certificate
from mailadmin.mailconf.state import CertificateMaterial, DesiredState, SniBinding
from tests.unit.mailconf.builders import certificate, listener, make_state

OLD, NEW, OTHER, BESIDE = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)


def material(fingerprint: str, companion: str = "") -> CertificateMaterial:
    return certificate("any", fingerprint=fingerprint, companion=companion)


def chosen(*certificates: CertificateMaterial, **values: object) -> DesiredState:
    state = replace(make_state(), default_certificate=OLD, certificates=certificates)
    return replace(state, **values)  # type: ignore[arg-type]


def names(state: DesiredState) -> dict[str, str]:
    return {item.host_name: item.certificate for item in state.sni_bindings}


def test_every_use_is_exchanged_and_no_other() -> None:
    listeners = (
        listener("smtp", certificate=OLD),
        listener("imap", certificate=OTHER),
        listener("imaps"),
    )
    bindings = (SniBinding("a.test", OLD), SniBinding("b.test", OTHER))
    state = chosen(listeners=listeners, sni_bindings=bindings)
    after = exchange_certificate(state, OLD, NEW)
    assert after.default_certificate == NEW
    assert [item.certificate for item in after.listeners] == [NEW, OTHER, ""]
    assert names(after) == {"a.test": NEW, "b.test": OTHER}
    assert exchange_certificate(after, NEW, OLD) == state


def test_names_that_the_new_one_lost_keep_the_old_one() -> None:
    bindings = (SniBinding("a.test", OLD), SniBinding("z.test", OTHER))
    state = chosen(sni_bindings=bindings)
    after = exchange_certificate(state, OLD, NEW, ["a.test", "m.test", "z.test"])
    assert names(after) == {"a.test": OLD, "m.test": OLD, "z.test": OTHER}
    assert [item.host_name for item in after.sni_bindings] == ["a.test", "m.test", "z.test"]


def test_material_arrives_and_what_nobody_needs_goes() -> None:
    state = exchange_certificate(chosen(material(OLD), material(OTHER)), OLD, NEW)
    after = carry_material(state, [material(NEW)])
    assert [item.fingerprint for item in after.certificates] == [NEW]


def test_what_is_kept_for_a_name_keeps_its_material() -> None:
    state = exchange_certificate(chosen(material(OLD)), OLD, NEW, ["a.test"])
    after = carry_material(state, [material(NEW)])
    assert [item.fingerprint for item in after.certificates] == [OLD, NEW]


def test_the_companion_goes_along() -> None:
    pair = (material(OLD, BESIDE), material(BESIDE, OLD))
    state = exchange_certificate(chosen(*pair), OLD, NEW)
    after = carry_material(state, [material(NEW, BESIDE)])
    beside = {item.fingerprint: item.companion for item in after.certificates}
    assert beside == {NEW: BESIDE, BESIDE: NEW}


def test_the_old_one_stands_alone_where_it_is_kept() -> None:
    pair = (material(OLD, BESIDE), material(BESIDE, OLD))
    state = exchange_certificate(chosen(*pair), OLD, NEW, ["a.test"])
    after = carry_material(state, [material(NEW, BESIDE)])
    beside = {item.fingerprint: item.companion for item in after.certificates}
    assert beside == {OLD: "", NEW: BESIDE, BESIDE: NEW}


def test_the_chosen_one_of_a_pair_may_be_the_companion() -> None:
    pair = (material(OLD, BESIDE), material(BESIDE, OLD))
    state = chosen(*pair, default_certificate=BESIDE)
    after = carry_material(exchange_certificate(state, OLD, NEW), [material(NEW, BESIDE)])
    beside = {item.fingerprint: item.companion for item in after.certificates}
    assert (after.default_certificate, beside) == (BESIDE, {NEW: BESIDE, BESIDE: NEW})


def test_a_companion_of_its_own_arrives_too() -> None:
    state = exchange_certificate(chosen(material(OLD)), OLD, NEW)
    after = carry_material(state, [material(NEW, OTHER), material(OTHER, NEW)])
    assert [item.fingerprint for item in after.certificates] == [NEW, OTHER]


def test_a_companion_that_stood_alone_is_taken() -> None:
    state = exchange_certificate(chosen(material(OLD), material(OTHER)), OLD, NEW)
    after = carry_material(state, [material(NEW, OTHER)])
    beside = {item.fingerprint: item.companion for item in after.certificates}
    assert beside == {NEW: OTHER, OTHER: NEW}
