"""One certificate in the place of another: everywhere it is wanted, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from mailadmin.mailconf.state import CertificateMaterial, DesiredState, SniBinding


def exchange_certificate(
    state: DesiredState, old: str, new: str, keeps_old_for: Collection[str] = ()
) -> DesiredState:
    """Return the state with ``new`` wherever ``old`` is chosen, both by fingerprint.

    The host names of ``keeps_old_for`` go on being shown the old one; those that had no
    certificate of their own get it as theirs. Says nothing of companions and material.
    """

    def exchange(fingerprint: str) -> str:
        return new if fingerprint == old else fingerprint

    kept = set(keeps_old_for)
    bindings = {
        item.host_name: item
        if item.host_name in kept
        else replace(item, certificate=exchange(item.certificate))
        for item in state.sni_bindings
    }
    for name in kept - bindings.keys():
        bindings[name] = SniBinding(name, old)
    return replace(
        state,
        default_certificate=exchange(state.default_certificate),
        listeners=tuple(
            replace(item, certificate=exchange(item.certificate)) for item in state.listeners
        ),
        sni_bindings=tuple(bindings[name] for name in sorted(bindings)),
    )


def carry_material(state: DesiredState, arriving: Iterable[CertificateMaterial]) -> DesiredState:
    """Return the state with what arrives, and without what it has no use for any more.

    An arriving certificate takes its companion with it: whoever stood beside that one before
    stands alone.
    """
    known = {item.fingerprint: item for item in state.certificates}
    for item in arriving:
        known[item.fingerprint] = item
        companion = known.get(item.companion)
        if companion is None or companion.companion == item.fingerprint:
            continue
        partner = known.get(companion.companion)
        if partner is not None:
            known[partner.fingerprint] = replace(partner, companion="")
        known[companion.fingerprint] = replace(companion, companion=item.fingerprint)
    needed = set(_needed(state, known))
    return state.with_certificates(known[name] for name in sorted(known) if name in needed)


def _needed(state: DesiredState, known: dict[str, CertificateMaterial]) -> Iterator[str]:
    """Yield what is chosen, be it for a closed port, with what stands beside it."""
    chosen = {state.default_certificate, *(item.certificate for item in state.listeners)}
    chosen |= {item.certificate for item in state.sni_bindings}
    for name in chosen & known.keys():
        yield from (name, known[name].companion)
