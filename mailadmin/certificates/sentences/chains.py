"""Sentences for chains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

SENTENCES: dict[str, StrPromise] = {
    # pki.chain
    "chain.too_many": ngettext_lazy(
        "The upload holds %(count)d certificate beside that of the server, more than is looked "
        "at (%(limit)s).",
        "The upload holds %(count)d certificates beside that of the server, more than are looked "
        "at (%(limit)s). Upload only those that the authority sent with it.",
        "count",
    ),
    "chain.expired": _(
        "The intermediate certificate “%(name)s” expired on %(not_after)s, so mail programs may "
        "refuse the whole chain. Download the authority's current one and upload it with the "
        "certificate."
    ),
    "chain.not_yet_valid": _(
        "The intermediate certificate “%(name)s” is not valid before %(not_before)s, so mail "
        "programs refuse the whole chain until then. Use the authority's current one."
    ),
    "chain.path_too_long": _(
        "“%(name)s” may not have so many authorities below it, so mail programs refuse the whole "
        "chain. Ask the authority for the right chain."
    ),
    "chain.missing_intermediate": _(
        "The certificate of “%(issuer)s” is missing. Browsers may hide that, but mail programs "
        "will refuse to connect. Add the intermediate certificate that the authority offers, often "
        "called “chain” or “CA bundle”; go on without it only if “%(issuer)s” is a root that "
        "all your mail programs know."
    ),
    "chain.root_unknown": _(
        "The chain ends at “%(issuer)s”, which is not among the public roots known here. That is "
        "right for an authority of your own, if your mail programs know it; otherwise an "
        "intermediate certificate is missing."
    ),
    "chain.stranger": _(
        "“%(name)s”, issued by “%(issuer)s”, is not part of this certificate's chain and is left "
        "aside."
    ),
    "chain.duplicates": ngettext_lazy(
        "%(count)d certificate was there twice; it is used once.",
        "%(count)d certificates were there more than once; each is used once.",
        "count",
    ),
    "chain.root_left_out": _(
        "“%(name)s” is the root of the chain and is left out: a mail program believes only a copy "
        "that it has already."
    ),
    "chain.completed": _(
        "The intermediate certificate “%(name)s” was missing in the upload and is added from those "
        "known here."
    ),
}
