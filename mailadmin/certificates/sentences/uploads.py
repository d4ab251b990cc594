"""Sentences for uploads, and for what the pages refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

_TO_PKCS12 = _(
    "Export it as PKCS#12: keytool -importkeystore -srckeystore FILE -destkeystore NEW-FILE.p12 "
    "-deststoretype pkcs12."
)

# What "kind" stands for, and what to do about it.
KINDS: dict[str, tuple[StrPromise, StrPromise]] = {
    "pkcs7": (_("a PKCS#7 file"), _("Ask for the certificates in PEM form.")),
    "jks": (_("a Java keystore"), _TO_PKCS12),
    "jceks": (_("a Java keystore"), _TO_PKCS12),
    "putty": (
        _("a key of PuTTY"),
        _("A mail server needs the key that its certificate was requested with."),
    ),
    "pdf": (_("a PDF document"), _("Choose the files of the certificate itself.")),
    **dict.fromkeys(
        ("7z", "rar", "gzip", "bzip2", "xz"),
        (_("a packed file of another kind than zip"), _("Unpack it and choose the files in it.")),
    ),
}

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
        "Part %(part)s holds no certificate and no key that is understood here: it is none of PEM, "
        "DER, PKCS#7, PKCS#12 and zip, or it is damaged. Check that it is the right file, and copy "
        "it again."
    ),
    "bundle.foreign": _("Part %(part)s is %(kind_words)s, which is not read here. %(advice)s"),
    "bundle.file_unreadable": _(
        "Part %(part)s is %(kind_words)s, and not all of it could be read. Download it again; if "
        "it stays like that, ask the authority for the certificates in PEM form."
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
    # pki.pkcs12
    "pkcs12.password_needed": _(
        "The PKCS#12 file (part %(part)s) is protected by a password. Enter the one that was "
        "chosen when it was exported, and it is read."
    ),
    "pkcs12.password_wrong": _(
        "The PKCS#12 file (part %(part)s) was not written with this password, or it was damaged "
        "since. Check the password and try again; if it is right, export the file anew."
    ),
    "pkcs12.unsupported": _(
        "The PKCS#12 file (part %(part)s) is protected with a method that is not understood here "
        "(%(method)s), so the password may well be right. Export it anew with AES-256, for example "
        "with: openssl pkcs12 -export -in CERTIFICATES -inkey KEY -out NEW-FILE.p12."
    ),
    "pkcs12.too_slow": _(
        "The PKCS#12 file (part %(part)s) is protected so that opening it would take very long. "
        "Export it anew with fewer rounds, for example with: openssl pkcs12 -export -iter 10000 "
        "-in CERTIFICATES -inkey KEY -out NEW-FILE.p12."
    ),
    "pkcs12.locked_inside": _(
        "The password is that of the PKCS#12 file (part %(part)s), but something in it has "
        "another one and stays closed. Export it anew, with one password for all."
    ),
    "pkcs12.unreadable": _(
        "The PKCS#12 file (part %(part)s) is damaged: not all of it could be read. Copy or export "
        "it again."
    ),
    # pki.zips
    "zip.unreadable": _(
        "The zip file (part %(part)s) is damaged. Download it again, or unpack it and choose the "
        "files in it."
    ),
    "zip.too_many_files": _(
        "The zip file (part %(part)s) holds more than %(limit)s files, so it was not read. Unpack "
        "it and choose only the certificate, its chain and its key."
    ),
    "zip.too_large": _(
        "The zip file (part %(part)s) would unpack to more than %(limit)s KiB, or far more than "
        "its own size, so it was not read. Unpack it and choose only the certificate, its chain "
        "and its key."
    ),
    "zip.encrypted": _(
        "The file “%(member)s” in the zip file (part %(part)s) is protected by a password of the "
        "zip file. Unpack it and choose the files in it."
    ),
    "zip.method": _(
        "The file “%(member)s” in the zip file (part %(part)s) is packed in a way that is not "
        "understood here. Unpack it and choose the files in it."
    ),
    "zip.nested": _(
        "The file “%(member)s” in the zip file (part %(part)s) is a zip file itself and was not "
        "opened. Unpack it and choose the files in it."
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
