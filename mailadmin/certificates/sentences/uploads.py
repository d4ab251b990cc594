"""Sentences for uploads, and for what the pages refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

SENTENCES: dict[str, StrPromise] = {
    # pki.parts
    "bundle.empty": _(
        "There is nothing to read. Choose the files that the authority sent, or paste their text."
    ),
    "bundle.too_large": _(
        "Part %(part)s is larger than %(limit)s KiB, which no certificate or key is, so it was not "
        "read. Check that it is the right file."
    ),
    "bundle.too_many_blocks": _(
        "There are more than %(limit)s certificates and keys; the rest was not read. Upload only "
        "one server's certificate with its chain and its key."
    ),
    "bundle.too_many_keys": _(
        "There are more than %(limit)s private keys; the rest was not read. Upload only the one "
        "that belongs to the certificate."
    ),
    "bundle.garbage": _(
        "Part %(part)s holds no certificate and no key that is understood here. Files in PEM form "
        "have lines that begin with -----BEGIN. A .pfx, .p12 or .p7b file must be converted "
        "first, for example with: openssl pkcs12 -in FILE -out NEW-FILE.pem."
    ),
    "bundle.block_unreadable": _(
        "In part %(part)s, the block “%(label)s” that begins in line %(line)s is incomplete or "
        "damaged. Copy it again, from its BEGIN line to the end of its END line."
    ),
    "bundle.block_ignored": ngettext_lazy(
        "%(count)d block “%(label)s” is not needed here and was left aside.",
        "%(count)d blocks “%(label)s” are not needed here and were left aside.",
        "count",
    ),
    "bundle.several_keys": ngettext_lazy(
        "The upload holds %(count)d private key; only the one that belongs to the certificate is "
        "used.",
        "The upload holds %(count)d different private keys; only the one that belongs to the "
        "certificate is used.",
        "count",
    ),
    # pki.bundle
    "bundle.no_certificate": _(
        "There is no certificate in the upload. Add the one that the authority sent."
    ),
    "bundle.no_leaf": _(
        "There are only certificates of authorities: %(names)s. Add the one that was issued for "
        "your server."
    ),
    "bundle.several_leaves": ngettext_lazy(
        "There are several server certificates for %(names)s, and it is not clear which one to "
        "use. Upload one at a time, with its key.",
        "There are certificates for %(count)d servers (%(names)s), and it is not clear which one "
        "to use. Upload one at a time, with its key.",
        "count",
    ),
    # certificates.services and its pages
    "certificate.in_use": _(
        "This certificate is still used: %(where)s. Choose another one there first, and apply "
        "that; then it can be deleted."
    ),
    "certificate.deleted": _("The certificate %(label)s is deleted already."),
    "upload.confirmation_needed": _(
        "Before this is saved, confirm that you want it although the intermediate certificate is "
        "missing. Or add the missing certificate below."
    ),
    "upload.too_large": _(
        "This is more than %(limit)s KiB, far more than a certificate with its chain and key. "
        "Nothing was read. Check that these are the right files."
    ),
    "upload.gone": _(
        "What you uploaded is not here any more: it is kept for 15 minutes only, because it may "
        "hold a private key. Nothing was stored. Choose the files again."
    ),
}
