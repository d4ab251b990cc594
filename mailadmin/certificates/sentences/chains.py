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
    "chain.issuer_is_no_authority": _(
        "This chain is signed by “%(name)s”, which may not sign certificates (it lacks %(lacks)s), "
        "so every mail program refuses it. Get the certificate from a real authority, or correct "
        "the one of your own authority and have it sign again."
    ),
    # pki.path_rules
    "chain.not_for_servers": _(
        "“%(name)s” may not issue certificates for servers (it is limited to: %(usages)s), so mail "
        "programs that check this, among them all that use OpenSSL, refuse the chain. Ask the "
        "authority for a certificate from its authority for servers (TLS)."
    ),
    "chain.key_id_differs": _(
        "“%(name)s” says that it was signed with another key than that of “%(issuer)s” (authority "
        "and subject key identifier differ). Mail programs that use OpenSSL then find no issuer "
        "and refuse the chain. Ask the authority for the issuer's certificate that fits."
    ),
    "chain.constraints_unreadable": _(
        "“%(name)s” limits the names below it (name constraints) in a way that cannot be read, so "
        "mail programs refuse the whole chain. The authority must make that certificate again."
    ),
    "chain.names_excluded": ngettext_lazy(
        "“%(name)s” excludes a name that “%(below)s” has: %(names)s. Mail programs refuse the "
        "whole chain for it. Ask the authority for a certificate without that name, or get it from "
        "another one.",
        "“%(name)s” excludes %(count)d names that “%(below)s” has, among them %(names)s. Mail "
        "programs refuse the whole chain for one of them. Ask the authority for a certificate "
        "without these names, or get it from another one.",
        "count",
    ),
    "chain.names_not_permitted": ngettext_lazy(
        "“%(name)s” does not permit a name that “%(below)s” has: %(names)s. Mail programs refuse "
        "the whole chain for it. Ask the authority for a certificate without that name, or get it "
        "from another one.",
        "“%(name)s” does not permit %(count)d names that “%(below)s” has, among them %(names)s. "
        "Mail programs refuse the whole chain for one of them. Ask the authority for a certificate "
        "without these names, or get it from another one.",
        "count",
    ),
    "chain.names_not_comparable": ngettext_lazy(
        "“%(name)s” limits names of a kind of which “%(below)s” has one that cannot be compared: "
        "%(names)s. Mail programs then refuse the whole chain, or pass over the limit if it is not "
        "marked as critical. Ask the authority for a certificate without that name.",
        "“%(name)s” limits names of kinds of which “%(below)s” has %(count)d that cannot be "
        "compared, among them %(names)s. Mail programs then refuse the whole chain, or pass over "
        "the limit if it is not marked as critical. Ask the authority for a certificate without "
        "these names.",
        "count",
    ),
    # pki.chain
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
