"""Sentences for signing requests (CSR)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

SENTENCES: dict[str, StrPromise] = {
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
    # certificates.requesting
    "csr.not_pending": _(
        "This request does not wait for a certificate any more, so there is nothing to cancel."
    ),
}
