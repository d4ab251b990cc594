"""Sentences for one certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

SENTENCES: dict[str, StrPromise] = {
    # pki.certificate
    "certificate.unreadable": _(
        "This is not a certificate, or it is damaged. Copy it again, with its BEGIN and END lines."
    ),
    "certificate.expired": _(
        "The certificate for %(name)s expired on %(not_after)s: mail programs refuse it. Get a "
        "new one from the authority and upload that."
    ),
    "certificate.not_yet_valid": _(
        "The certificate for %(name)s is not valid before %(not_before)s: until then mail "
        "programs refuse it. Upload it again after that time; if the time seems wrong, check the "
        "clock of this machine."
    ),
    "certificate.not_for_servers": _(
        "The certificate for %(name)s may not be used by a server (it lacks %(lacks)s): mail "
        "programs refuse it. Ask the authority for a TLS server certificate."
    ),
    "certificate.is_ca": _(
        "%(name)s is the certificate of an authority, which signs others: mail programs refuse it "
        "as a server's. Upload the certificate that was issued for your server, or make a "
        "self-signed one here."
    ),
    "certificate.no_usable_name": _(
        "The certificate “%(name)s” names no host: mail programs look only at its alternative "
        "names (SAN), and none of them can be used. Ask for one that lists the names of your "
        "server."
    ),
    "certificate.weak_signature": _(
        "The certificate “%(name)s” is signed with a method that can be forged (%(hash)s): mail "
        "programs refuse it. Ask the authority for one signed with SHA-256."
    ),
    "certificate.self_signed": _(
        "The certificate for %(name)s is signed by nobody but itself: mail programs warn their "
        "users before they connect. It does for a start; replace it by one from an authority."
    ),
    "certificate.expires_soon": ngettext_lazy(
        "The certificate for %(name)s ends on %(not_after)s, in %(days)d day. Renew it now.",
        "The certificate for %(name)s ends on %(not_after)s, in %(days)d days. It is time to "
        "renew it.",
        "days",
    ),
    "certificate.unusable_names": ngettext_lazy(
        "%(count)d name in the certificate for %(name)s can match no host and will be ignored by "
        "mail programs: %(names)s. The others work.",
        "%(count)d names in the certificate for %(name)s can match no host and will be ignored by "
        "mail programs, among them %(names)s. The others work.",
        "count",
    ),
    "certificate.long_lived": _(
        "The certificate for %(name)s is valid for %(days)s days. Public authorities may give no "
        "more than %(limit)s, so it comes from a private one; some mail programs refuse it."
    ),
}
