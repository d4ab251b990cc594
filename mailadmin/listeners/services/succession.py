"""Letting a certificate take the place of the one that it replaces."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.models import Certificate
from mailadmin.certificates.pairing import hand_over_companion
from mailadmin.listeners.selectors import read_wanted
from mailadmin.listeners.services.storing import Difference, store_state
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Problem
from mailadmin.servers.errors import ChangeRefusedError
from mailadmin.servers.models import MailServer
from mailadmin.servers.services import lock_server, take_certificate


@transaction.atomic
def take_place(
    *, actor: Actor, server: MailServer, certificate: Certificate, now: datetime
) -> bool:
    """Use the certificate wherever the one is used that it replaces, and beside its companion.

    The companion stays where it is if the two cannot be a pair (``pairing.judge_handover``).
    Returns whether that changed anything. Raises :class:`ChangeRefusedError` for a deleted
    certificate, or one of which it is not known what it replaces.
    """
    row = lock_server(server)
    new = take_certificate(certificate)
    if new is None or new.replaces is None:
        raise ChangeRefusedError(Problem("succession.none", subject=certificate.fingerprint))
    old = new.replaces
    wanted = read_wanted(row)
    current = wanted.as_state()
    is_used = old.fingerprint in wanted.certificates
    difference = store_state(wanted, _exchanged(current, old.fingerprint, new.fingerprint))
    if is_used:
        _note_companion(old, new, now, difference)
    if difference:
        record_event(
            actor=actor,
            verb="certificate.took_place",
            object_type="certificate",
            object_id=new.pk,
            object_label=new.label,
            before=difference.before,
            after=difference.after,
        )
    return bool(difference)


def _exchanged(state: DesiredState, old: str, new: str) -> DesiredState:
    def exchange(fingerprint: str) -> str:
        return new if fingerprint == old else fingerprint

    return replace(
        state,
        default_certificate=exchange(state.default_certificate),
        listeners=tuple(
            replace(item, certificate=exchange(item.certificate)) for item in state.listeners
        ),
        sni_bindings=tuple(
            replace(item, certificate=exchange(item.certificate)) for item in state.sni_bindings
        ),
    )


def _note_companion(
    old: Certificate, new: Certificate, now: datetime, difference: Difference
) -> None:
    companion = hand_over_companion(old, new, now)
    if companion is not None:
        beside = {"served_beside": companion.fingerprint}
        difference.note(old.fingerprint, beside, {"served_beside": ""})
        difference.note(new.fingerprint, {"served_beside": ""}, beside)
