"""Sentences for two certificates side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

SENTENCES: dict[str, StrPromise] = {
    # certificates.pairing
    "pairing.same_algorithm": _(
        "%(label)s (%(key)s) and %(other)s (%(other_key)s) cannot be served side by side: one "
        "must have an RSA key and the other an ECDSA key, so that each client finds one that it "
        "can use. Choose another one."
    ),
    "pairing.taken": _(
        "%(label)s (%(key)s) already stands beside another certificate (%(other)s). Separate the "
        "two on its page first."
    ),
    "pairing.key_missing": _(
        "The private key of %(label)s (%(key)s) is neither here nor on the mail server, so it "
        "cannot be served. Upload it with its key."
    ),
    "pairing.expired": _(
        "%(label)s (%(key)s) expired on %(not_after)s: mail programs that want its kind of key "
        "would refuse to connect. Renew it first."
    ),
    "pairing.names_missing": ngettext_lazy(
        "The certificate with the key %(key)s does not cover %(names)s, which the one with the "
        "key %(other_key)s does: clients that are shown it will be warned when they connect to "
        "that name.",
        "The certificate with the key %(key)s does not cover %(count)d names of the one with the "
        "key %(other_key)s, among them %(names)s: clients that are shown it will be warned when "
        "they connect to those.",
        "count",
    ),
    "pairing.none": _(
        "No other certificate is served beside %(label)s (%(key)s), so there is nothing to "
        "separate."
    ),
}
