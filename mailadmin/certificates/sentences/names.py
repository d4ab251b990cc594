"""Sentences for host names."""

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
}
