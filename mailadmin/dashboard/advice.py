"""What an admin could do better, said on the overview: one sentence and where to do it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mailadmin.acme.models import AcmeOrder
from mailadmin.acme.selectors import orders_without_place
from mailadmin.dashboard.matrix import Matrix, Row
from mailadmin.dashboard.sentences import say_in_clear
from mailadmin.deployments.sentences.drift import say_drift, say_upgrade
from mailadmin.mailconf.services import TlsMode
from mailadmin.pki.names import both_forms, is_covered


@dataclass(frozen=True, slots=True)
class Advice:
    """One sentence, and the link to follow."""

    sentence: str
    action: str
    address: str


def find_advice(matrix: Matrix) -> list[Advice]:
    """Return what could be better with what is applied, the most pressing first."""
    return [*_drifted(matrix), *_in_clear(matrix), *_self_signed(matrix), *_uncovered(matrix)]


def _drifted(matrix: Matrix) -> Iterator[Advice]:
    """What was changed outside the panel, unless somebody decided to leave it, and upgrades."""
    if matrix.upgrade:
        yield Advice(say_upgrade(matrix.upgrade), _("Review"), reverse("deployments:review"))
    if matrix.drift and not matrix.drift.is_left:
        yield Advice(say_drift(matrix.drift), _("Decide…"), reverse("deployments:drift"))


def _in_clear(matrix: Matrix) -> Iterator[Advice]:
    for row in matrix.open_rows:
        if not row.is_in_clear:
            continue
        wanted = matrix.desired.listener(row.listener.service)
        is_ending = wanted is not None and (
            not wanted.is_enabled or wanted.tls_mode is not TlsMode.NONE
        )
        if is_ending:
            ends = _("Your pending changes end this.")
            yield Advice(f"{say_in_clear(row)} {ends}", _("Review"), reverse("deployments:review"))
        else:
            listeners = reverse("listeners:list")
            address = f"{listeners}#listener-{row.listener.service}"
            words = _("Offer TLS…") if row.listener.service == "smtp" else _("Close it…")
            yield Advice(say_in_clear(row), words, address)


def _self_signed(matrix: Matrix) -> Iterator[Advice]:
    rows = [row for row in _encrypted(matrix) if row.certificate and row.certificate.is_self_signed]
    if not rows:
        return
    said = ngettext(
        "%(n)d port serves a self-signed certificate: mail programs warn before they connect.",
        "%(n)d ports serve a self-signed certificate: mail programs warn before they connect.",
        len(rows),
    ) % {"n": len(rows)}
    order = _find_without_place(matrix)
    if order is None or order.certificate is None:
        yield Advice(said, _("Get one…"), reverse("certificates:add"))
    elif order.certificate.fingerprint in matrix.desired.used_fingerprints:
        ends = _("Your pending changes end this.")
        yield Advice(f"{said} {ends}", _("Review"), reverse("deployments:review"))
    else:
        here = _("One from %(ca)s is issued for %(name)s, and waits to be put in place.")
        about = {"ca": order.account.title, "name": order.acme_certificate.label}
        address = order.acme_certificate.get_absolute_url()
        yield Advice(f"{said} {here % about}", _("Put it in place…"), address)


def _find_without_place(matrix: Matrix) -> AcmeOrder | None:
    """Return an order whose certificate is here and not applied."""
    rows = orders_without_place().filter(acme_certificate__server=matrix.server)
    used = matrix.applied.used_fingerprints
    found = (row for row in rows if row.certificate and row.certificate.fingerprint not in used)
    return next(found, None)


def _uncovered(matrix: Matrix) -> Iterator[Advice]:
    """Certificates that do not cover the server's name, by what the applied state says of them."""
    host = matrix.applied.host_name
    used = {matrix.applied.certificate_for(row.listener) for row in _encrypted(matrix)}
    for fingerprint in sorted(used):
        certificate = matrix.applied.certificate(fingerprint)
        if certificate is None or is_covered(host, certificate.names):
            continue
        said = _("The certificate %(label)s does not cover %(host)s: mail programs warn or refuse.")
        about = {"label": certificate.label, "host": both_forms(host)}
        yield Advice(said % about, _("Certificates"), reverse("certificates:list"))


def _encrypted(matrix: Matrix) -> list[Row]:
    return [row for row in matrix.open_rows if row.listener.is_encrypted]
