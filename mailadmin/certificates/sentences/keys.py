"""Sentences for private keys, and their custody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

SENTENCES: dict[str, StrPromise] = {
    # pki.keys
    "key.password_needed": _(
        "The private key is protected by a password. Enter the password, and the key is read."
    ),
    "key.password_wrong": _(
        "The private key could not be opened with this password. Check it and try again; the key "
        "itself may also be damaged."
    ),
    "key.unreadable": _(
        "The private key is damaged or in a form that is not understood. Copy it again, with its "
        "BEGIN and END lines."
    ),
    "key.unsupported": _(
        "The key is of a kind that mail programs do not accept (%(key)s). Use an RSA key of at "
        "least 2048 bits or an ECDSA key on P-256 or P-384."
    ),
    "key.rsa_too_small": _(
        "The RSA key of %(name)s has only %(bits)s bits: mail programs refuse fewer than "
        "%(minimum)s. Create a new request with a larger key."
    ),
    "key.encryption_unsupported": _(
        "The private key is encrypted with a method that is not understood here. Encrypt it with "
        "AES, for example with: openssl pkcs8 -topk8 -v2 aes256 -in KEY -out NEW-KEY."
    ),
    "key.encryption_too_slow": _(
        "The private key is encrypted so that opening it would take very long. Encrypt it again "
        "with fewer rounds, for example with: openssl pkcs8 -topk8 -in KEY -out NEW-KEY."
    ),
    "key.mismatch": _(
        "The private key belongs to another certificate, not to the one for %(name)s: no mail "
        "program could connect. Upload the key that this certificate was requested with."
    ),
    "key.missing": _(
        "The private key for %(name)s is missing: it is not in the upload, and no request made "
        "here has it. Upload the key together with the certificate."
    ),
    "key.unused": _(
        "The uploaded private key does not belong to the certificate for %(name)s and is left "
        "aside. The right key is here already, so this changes nothing."
    ),
    # certificates.custody
    "custody.master_key_missing": ngettext_lazy(
        "The master key %(path)s is missing, and %(count)d private key here can be opened only "
        "with it. Nothing was changed. Put the file back from your backup.",
        "The master key %(path)s is missing, and %(count)d private keys here can be opened only "
        "with it. Nothing was changed. Put the file back from your backup.",
        "count",
    ),
    "custody.master_key_exposed": _(
        "Others can read the master key %(path)s (mode %(mode)s), so it is not used and nothing "
        "was changed. Take their access away: chmod 600 %(path)s"
    ),
    "custody.master_key_unreadable": _(
        "The master key %(path)s cannot be read, or does not hold 32 bytes in base64 per line. "
        "Nothing was changed. Check who owns the file, or put it back from your backup."
    ),
    "custody.master_key_not_kept": _(
        "The master key cannot be written to %(path)s, and without it no private key can be "
        "stored. Nothing was changed. Check that the folder exists, is writable and has room."
    ),
    "custody.master_key_not_replaced": _(
        "The new master key cannot be written to %(path)s. The file is as it was, and every "
        "private key can still be opened. Check who owns the file and its folder, that both are "
        "writable, and that the file is not mounted by itself; then run this again."
    ),
    "custody.rotation_under_way": _(
        "The master key %(path)s is being replaced by another program just now. Nothing was "
        "changed here. Wait until that one is done."
    ),
    "custody.keys_not_opened": ngettext_lazy(
        "%(count)d private key cannot be opened with the master key %(path)s, so the master key is "
        "not replaced: %(labels)s. Every other private key still opens. Put the newest copy of "
        "that file back from your backup, upload the private key again, or delete its certificate.",
        "%(count)d private keys cannot be opened with the master key %(path)s, so the master key "
        "is not replaced: %(labels)s. Every other private key still opens. Put the newest copy of "
        "that file back from your backup, upload the private keys again, or delete their "
        "certificates.",
        "count",
    ),
    "custody.master_key_other": _(
        "The private key (%(key)s) cannot be opened with the master key %(path)s: it was stored "
        "with the master key %(master_key_id)s, which is not in that file. Perhaps the file is a "
        "copy from before the master key was replaced. Put the newest copy back from your backup, "
        "or upload the private key again."
    ),
    "custody.key_damaged": _(
        "The private key (%(key)s) cannot be opened with the master key %(path)s although it was "
        "stored with it: its row in the database was damaged or changed. Restore the database "
        "from your backup, or upload the private key again."
    ),
    "custody.key_not_opened": _(
        "The private key (%(key)s) cannot be opened with the master key %(path)s: it was stored "
        "with another one. Put that file back from your backup, or upload the private key again."
    ),
}
