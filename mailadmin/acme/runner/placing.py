"""Putting one proof where the authority will look: on port 80, or in the DNS; and away again."""

from __future__ import annotations

from django.utils import timezone

from mailadmin.acme.client import Authority
from mailadmin.acme.dns import delegation, waiting
from mailadmin.acme.dns.writers import open_writer
from mailadmin.acme.http01 import find_way
from mailadmin.acme.models import AcmeAuthorization, AcmeCertificate, AcmeOrder
from mailadmin.issuance.challenges import (
    persist_value,
    persistent_record_name,
    record_name,
    txt_value,
)

# The agent withdraws an answer by itself after this many seconds, if nobody else does.
_SECONDS = 3600

Challenge = AcmeCertificate.Challenge


def put_in_place(order: AcmeOrder, authority: Authority, row: AcmeAuthorization) -> None:
    """Answer for one name where it is looked for; may be repeated at any time."""
    if row.challenge == Challenge.HTTP_01:
        way = find_way(order.acme_certificate)
        way.present(row.token, authority.key_authorization(row.token), _SECONDS)
        return
    if not row.record_name:
        _note_record(authority, row)
    access = order.acme_certificate.dns_access
    if access is not None:
        open_writer(access).add_txt(row.record_name, row.record_value)


def is_in_place(row: AcmeAuthorization) -> bool:
    """Tell whether the authority would find it; of a DNS record, on every server of the zone.

    What each server showed is kept in the row, for the page that asks somebody to write it.
    """
    if row.challenge == Challenge.HTTP_01:
        return True
    look = waiting.look(row.record_name, row.record_value)
    row.sight = look.as_dict() | {"at": timezone.now().isoformat()}
    row.save(update_fields=["sight"])
    return look.is_everywhere


def take_away(order: AcmeOrder, row: AcmeAuthorization) -> None:
    """Undo :func:`put_in_place`; what is not there any more is no error."""
    if row.challenge == Challenge.HTTP_01:
        find_way(order.acme_certificate).withdraw(row.token)
        return
    access = order.acme_certificate.dns_access
    # A persistent record is there to stay; one written by hand is for the hand to take away.
    if access is not None and row.record_name and row.challenge == Challenge.DNS_01:
        open_writer(access).remove_txt(row.record_name, row.record_value)


def _note_record(authority: Authority, row: AcmeAuthorization) -> None:
    """Write down which record is wanted, before it is written anywhere."""
    if row.challenge == Challenge.DNS_01:
        asked = record_name(row.name)
        row.record_name = delegation.find_record(asked).record_name
        row.record_value = txt_value(authority.key_authorization(row.token))
    else:
        row.record_name = persistent_record_name(row.name)
        row.record_value = persist_value(
            row.token, authority.account_url, is_wildcard=row.is_wildcard
        )
    row.save(update_fields=["record_name", "record_value"])
