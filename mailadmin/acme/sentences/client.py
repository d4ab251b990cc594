"""Why an ACME authority could not be asked, in words. What it says itself is told elsewhere."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

PROBLEMS: dict[str, Promise] = {
    "ca.url_invalid": _(
        "“%(url)s” is no address of an ACME directory, so nothing was asked. It begins with "
        "https:// and holds no password; the authority's documentation has it."
    ),
    "ca.name_unknown": _(
        "The authority could not be asked: the name %(host)s cannot be found from here. Check the "
        "address of its directory, and this machine's DNS."
    ),
    "ca.address_refused": _(
        "The authority was not asked: %(host)s leads to %(address)s, which is not on the internet. "
        "If it is an authority in your own network, set MAILADMIN_ACME_PRIVATE=1."
    ),
    "ca.unreachable": _(
        "The authority could not be asked: no connection to %(host)s (%(detail)s). It may be down; "
        "if not, check whether this machine may reach it."
    ),
    "ca.timed_out": _(
        "The authority could not be asked: %(host)s did not answer within %(seconds)s seconds. It "
        "may be busy; if not, check whether this machine may reach it."
    ),
    "ca.untrusted": _(
        "The authority was not asked: the certificate that %(host)s shows is not trusted "
        "(%(detail)s). If it is an authority in your own network, add the root it uses for its "
        "directory to the account; otherwise somebody may be in between."
    ),
    "ca.tls_failed": _(
        "The authority could not be asked: %(host)s and this panel found no way to encrypt "
        "(%(detail)s). Check the address and the port of its directory."
    ),
    "ca.bad_answer": _(
        "What %(host)s answered is not HTTP, or it hung up. Check the address and the port of the "
        "authority's directory."
    ),
    "ca.too_large": _(
        "%(host)s answered with more than %(limit)s KiB, which no ACME authority does, and was cut "
        "off. Check the address of its directory."
    ),
    "ca.redirected": _(
        "%(host)s sent the panel elsewhere (%(target)s), and it did not go: a signed request goes "
        "to the authority itself, and not round in circles. Give the address of the directory as "
        "the authority publishes it."
    ),
    "ca.not_acme": _(
        "What %(host)s answered is not ACME: status %(status)s, content type “%(content_type)s”. "
        "The address may be that of another service, or something between here and there answers "
        "in its place."
    ),
    "ca.refused": _(
        "%(host)s answered with status %(status)s and did not say why. Its own status page may."
    ),
    "ca.busy": _(
        "The authority is busy or down for maintenance: %(host)s answered with status %(status)s. "
        "Ask again later."
    ),
    "ca.busy_until": _(
        "The authority is busy or down for maintenance: %(host)s answered with status %(status)s. "
        "It wants to be left alone for %(seconds)s seconds."
    ),
    "ca.nonces_refused": _(
        "%(host)s refused %(times)s requests in a row because of their nonces, which it had just "
        "given out itself. The fault is there; try again later."
    ),
    "ca.bundle_invalid": _(
        "The roots that the account trusts for the directory cannot be read. Give them as PEM: "
        "text that begins with -----BEGIN CERTIFICATE-----."
    ),
    "ca.eab_key_invalid": _(
        "The key of the external account (EAB) is not base64. Copy it once more from the "
        "authority's website, whole and without spaces; nothing was sent."
    ),
    "ca.key_unusable": _(
        "The account's key cannot sign ACME requests: it is neither RSA nor ECDSA, or not to be "
        "read. Make another account, or give this one a new key."
    ),
    "ca.key_taken": _(
        "The new key has an account of its own at the authority already, so it was not given to "
        "this one, which keeps the key it has. Have the key replaced once more: another is made."
    ),
    "ca.csr_unreadable": _(
        "The certificate request cannot be read, so nothing was sent. Order the certificate again."
    ),
    "ca.not_offered": _(
        "The authority does not offer this (%(what)s is not in its directory), so nothing changed."
    ),
}
