"""Tags: words of the admin's own that certificates are found by."""

from __future__ import annotations

import re

from django.db import transaction

from mailadmin.audit.actors import Actor
from mailadmin.audit.services import record_event
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.models import Certificate
from mailadmin.pki.problems import Problem

MOST_TAGS = 10
LONGEST_TAG = 30
# Plain letters: what is stored in JSON is then the same text in every database.
_TAG = re.compile(r"[a-z0-9][a-z0-9._-]{0,29}")


def normalize_tag(text: str) -> str:
    """Return the tag as it is stored. Raises :class:`CertificateRefusedError` (``tag.invalid``)."""
    tag = "-".join(text.lower().split())
    if not _TAG.fullmatch(tag):
        raise CertificateRefusedError(Problem("tag.invalid", params={"limit": LONGEST_TAG}))
    return tag


@transaction.atomic
def add_tag(*, actor: Actor, certificate: Certificate, tag: str) -> str:
    """Add a tag and return it as stored; one that is there already changes nothing.

    Raises :class:`CertificateRefusedError` with ``tag.invalid`` or ``tag.too_many``.
    """
    wanted = normalize_tag(tag)
    row = Certificate.objects.select_for_update().get(pk=certificate.pk)
    if wanted in row.tags:
        return wanted
    if len(row.tags) >= MOST_TAGS:
        raise CertificateRefusedError(Problem("tag.too_many", params={"limit": MOST_TAGS}))
    _change(actor, row, sorted([*row.tags, wanted]), "certificate.tagged")
    return wanted


@transaction.atomic
def remove_tag(*, actor: Actor, certificate: Certificate, tag: str) -> None:
    """Take a tag away; one that is not there changes nothing."""
    row = Certificate.objects.select_for_update().get(pk=certificate.pk)
    if tag in row.tags:
        _change(actor, row, [item for item in row.tags if item != tag], "certificate.untagged")


def _change(actor: Actor, row: Certificate, tags: list[str], verb: str) -> None:
    before, row.tags = row.tags, tags
    row.save(update_fields=["tags"])
    record_event(
        actor=actor,
        verb=verb,
        object_type="certificate",
        object_id=row.pk,
        object_label=row.label,
        before={"tags": before},
        after={"tags": tags},
    )
