"""Sentences for what is trusted, and for what is fetched to complete a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

SENTENCES: dict[str, StrPromise] = {
    # certificates.authorities
    "authority.nothing": _(
        "There is no certificate in what you gave, so nothing was added. Take the root certificate "
        "of your authority, as a .pem, .crt or .cer file."
    ),
    "authority.several": ngettext_lazy(
        "%(count)d certificate was given; only one at a time can be trusted: %(names)s.",
        "%(count)d certificates were given, and nothing was added: trust is given to one at a "
        "time. Found: %(names)s.",
        "count",
    ),
    "authority.not_a_ca": _(
        "“%(name)s” is not the certificate of an authority, so nothing was added. A server's "
        "certificate belongs under “Add a certificate”."
    ),
    "authority.not_self_signed": _(
        "“%(name)s” is an intermediate certificate, issued by “%(issuer)s”, so nothing was added. "
        "Trust is given to the root: add the certificate of “%(issuer)s”."
    ),
    "authority.cannot_sign": _(
        "“%(name)s” may not sign certificates (its key usage lacks keyCertSign), so no chain can "
        "end there and nothing was added. Ask your authority for its root certificate."
    ),
    "authority.expired": _(
        "“%(name)s” expired on %(not_after)s, so nothing was added. Ask your authority for its "
        "current root certificate."
    ),
    "authority.not_yet_valid": _(
        "“%(name)s” is not valid before %(not_before)s, so nothing was added. Add it then, or ask "
        "your authority for the one that is valid now."
    ),
    "authority.key_present": _(
        "There is a private key in what you gave. The private key of an authority must never leave "
        "the place where it signs, so all of it was refused and nothing was kept. Give only the "
        "certificate."
    ),
    "authority.known": _("“%(name)s” is on the list already; nothing changed."),
    "authority.public": _(
        "“%(name)s” is a public authority that is trusted already, so nothing needs to be added."
    ),
    # certificates.fetching
    "fetch.address_invalid": _(
        "“%(address)s” is no address that can be asked, so nothing was fetched. Download the "
        "certificate from your authority's website and add it here."
    ),
    "fetch.port_refused": _(
        "Nothing was fetched from %(address)s: only the ports of the web (80 and 443) are asked, "
        "not %(port)s. Download the certificate yourself and add it here."
    ),
    "fetch.name_unknown": _(
        "Nothing was fetched from %(address)s: the name %(host)s cannot be found from here. Check "
        "this machine's DNS, or download the certificate elsewhere and add it here."
    ),
    "fetch.not_public": _(
        "Nothing was fetched from %(address)s: %(host)s is %(ip)s, which is not on the internet "
        "but in a private network, and a certificate must not send this panel there. If it is an "
        "authority of your own, download its certificate and add it here, or set "
        "MAILADMIN_FETCH_PRIVATE=1."
    ),
    "fetch.unreachable": _(
        "Nothing was fetched from %(address)s: no connection to %(host)s. If this machine may not "
        "reach the web, download the certificate elsewhere and add it here."
    ),
    "fetch.tls_failed": _(
        "Nothing was fetched from %(address)s: no trusted connection (TLS) to %(host)s. Download "
        "the certificate from your authority's website and add it here."
    ),
    "fetch.timed_out": _(
        "Nothing was fetched from %(address)s: no whole answer within %(seconds)s seconds. Try "
        "again, or download the certificate yourself and add it here."
    ),
    "fetch.bad_answer": _(
        "Nothing was fetched from %(address)s: what answers there is no web server, or its answer "
        "breaks off. Download the certificate from your authority's website and add it here."
    ),
    "fetch.refused": _(
        "Nothing was fetched from %(address)s: the server answered with error %(status)s. Download "
        "the certificate from your authority's website and add it here."
    ),
    "fetch.redirected": _(
        "Nothing was fetched from %(address)s: the server points elsewhere (%(target)s), which is "
        "not followed. Download the certificate from there yourself and add it here."
    ),
    "fetch.too_large": _(
        "Nothing was fetched from %(address)s: the file is larger than %(limit)s KiB, which no "
        "certificate is. Download it from your authority's website and add it here."
    ),
    # certificates.fetching_issuers
    "fetch.no_certificate": _(
        "What was fetched from %(address)s is no certificate, so it was not taken. Download the "
        "certificate from your authority's website and add it here."
    ),
    "fetch.not_the_issuer": _(
        "What was fetched from %(address)s did not sign this certificate, so it was not taken. The "
        "missing one is that of “%(issuer)s”: download it from your authority's website."
    ),
    "fetch.not_offered": _(
        "This certificate does not say that anything is at %(address)s, so nothing was fetched."
    ),
}
