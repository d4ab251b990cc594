"""Sentences for taking a private key out of the panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

SENTENCES: dict[str, StrPromise] = {
    # certificates.exporting
    "certificate.key_not_here": _(
        "The private key of %(label)s is not stored here, so there is nothing to export. It lies "
        "on the mail server, or wherever the certificate was requested."
    ),
    "export.reason_missing": _(
        "Say in a few words what the key is needed for: whoever reads the audit log later wants "
        "to know."
    ),
    "export.reason_too_long": _("The reason is longer than %(limit)s characters. Shorten it."),
    "export.password_length": _(
        "The password for the file needs %(minimum)s to %(limit)s characters: whoever finds the "
        "file can try as many passwords as they like."
    ),
    "export.password_not_plain": _(
        "Use only letters without accents, digits and signs of an English keyboard: programs read "
        "other characters in a password differently, and the file might never open again."
    ),
    "export.password_guessable": _(
        "This password is too easy to guess. Take the one that is suggested, or several words "
        "that do not belong together."
    ),
    "export.password_own": _(
        "This is the password you log in with. Choose another one for the file, because you will "
        "hand it to somebody or something else."
    ),
    "export.passwords_differ": _("The two passwords differ. Type the same one twice."),
    "export.own_password_wrong": _(
        "This is not the password you log in with. Nothing was exported."
    ),
    "export.file_exists": _(
        "%(path)s exists already and is never overwritten. Nothing was exported. Choose another "
        "name for the file."
    ),
    "export.file_not_written": _(
        "%(path)s cannot be written (%(why)s). Check the folder, its permissions and its room; "
        "then try again."
    ),
}
