"""Sentences for host names and signing requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

SENTENCES: dict[str, StrPromise] = {
    # pki.names
    "name.empty": _("Write a host name, such as mail.example.org."),
    "name.invalid": _(
        "“%(name)s” is not a host name. A host name has letters, digits and hyphens in parts "
        "separated by dots, such as mail.example.org."
    ),
    "name.not_qualified": _(
        "“%(name)s” is not a full host name, and no authority gives a certificate for it. Write it "
        "with its domain, such as mail.example.org."
    ),
    "name.wildcard_misplaced": _(
        "In “%(name)s” the * stands where no mail program accepts it. It may only be the whole "
        "first part, as in *.example.org."
    ),
    "name.wildcard_not_allowed": _(
        "“%(name)s” is a wildcard, and here one exact name is needed. Write it in full."
    ),
    "name.public_suffix": _(
        "“%(name)s” would stand for the domains of other people, and no mail program accepts it. "
        "Write a name below your own domain."
    ),
    "name.none_given": _("A certificate needs at least one name. Write the name of the server."),
    "name.too_many": ngettext_lazy(
        "%(count)d name is more than a certificate can hold here (%(limit)s).",
        "%(count)d names are more than authorities put into one certificate (%(limit)s). Divide "
        "them among several requests.",
        "count",
    ),
    # pki.csr
    "csr.field_too_long": _(
        "The field “%(field_words)s” has more than %(limit)s characters, which is the most a "
        "certificate can hold. Shorten it, or leave it empty."
    ),
    "csr.field_unprintable": _(
        "The field “%(field_words)s” holds a line break or another character that cannot be "
        "printed. Write it again by hand."
    ),
    "csr.country_invalid": _(
        "“%(country)s” is not a country code. Write the two letters, such as DE or IT, or leave "
        "it empty."
    ),
    "csr.unreadable": _(
        "This is not a certificate request, or it is damaged. Copy it again, with its BEGIN and "
        "END lines."
    ),
    "csr.signature_wrong": _(
        "This request was changed after it was signed, so no authority will take it. Create it "
        "again."
    ),
}
