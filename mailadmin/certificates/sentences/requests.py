"""Sentences for signing requests (CSR)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

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
    "csr.weak_signature": _(
        "This request is signed with %(hash)s, which can be forged, so no authority will take it. "
        "Make it again with SHA-256, for example with: openssl req -new -sha256 -key KEY."
    ),
    "csr.empty": _("There is nothing to read. Choose the file of the request, or paste its text."),
    "csr.too_large": _(
        "This is more than %(limit)s KiB, which no request for a hundred names is. It was not "
        "read. Check that it is the right file."
    ),
    "csr.several": ngettext_lazy(
        "There is %(count)d request in this text.",
        "There are %(count)d requests in this text, and each waits for a certificate of its own. "
        "Bring one at a time.",
        "count",
    ),
    "csr.is_certificate": _(
        "This is a certificate, not a request. To add a certificate, use “I have files”."
    ),
    "csr.is_key": _(
        "This is a private key, not a request. It was not read and not kept. Bring only the "
        "request; the key stays where it is."
    ),
    # pki.csr_judging
    "csr.no_usable_name": _(
        "The request “%(name)s” names no host, and a certificate for it could be used by no mail "
        "server. Make it again with the names of your server as alternative names (SAN)."
    ),
    "csr.unusable_names": ngettext_lazy(
        "%(count)d name in the request can match no host: %(names)s. Authorities may refuse the "
        "whole request because of it.",
        "%(count)d names in the request can match no host, among them %(names)s. Authorities may "
        "refuse the whole request because of them.",
        "count",
    ),
    "csr.names_in_common_name": _(
        "The request lists no alternative names (SAN), only the common name %(name)s. Many "
        "authorities take that as the one name; some refuse the request. Mail programs look only "
        "at alternative names, so check the certificate that comes."
    ),
    "csr.too_many_names": ngettext_lazy(
        "The request asks for %(count)d name, more than public authorities accept (%(limit)s).",
        "The request asks for %(count)d names; public authorities accept no more than %(limit)s, "
        "so only a private one can answer it.",
        "count",
    ),
    "csr.asks_for_uses": _(
        "The request asks for a use beside that of a server (%(uses)s). Public authorities do not "
        "give it any more, and some refuse the whole request (Google does for clientAuth). Make "
        "it again without an extended key usage, unless a private authority will answer it."
    ),
    "csr.asks_for_server_use": _(
        "The request names its use (serverAuth). That is right, but not needed: the authority "
        "puts it into the certificate by itself."
    ),
    "csr.asks_to_be_ca": _(
        "The request asks for the certificate of an authority (CA). Public authorities refuse it, "
        "and mail programs accept no such certificate from a server. Make it again without that."
    ),
    "csr.asks_for_stapling": _(
        "The request asks for a certificate that needs OCSP stapling (“must staple”). Postfix and "
        "Dovecot do not staple, so mail programs that check it would refuse to connect. Make it "
        "again without that."
    ),
    "csr.challenge_password": _(
        "The request holds a challenge password, which everybody who gets the request can read. "
        "If you use that password anywhere else, change it there."
    ),
    "csr.names_missing": ngettext_lazy(
        "%(count)d name was asked for and is not in the certificate: %(names)s. Mail programs "
        "that use it will refuse to connect.",
        "%(count)d names were asked for and are not in the certificate, among them %(names)s. "
        "Mail programs that use them will refuse to connect.",
        "count",
    ),
    "csr.names_added": ngettext_lazy(
        "%(count)d name is in the certificate that was not asked for: %(names)s. Authorities add "
        "some by themselves; it does no harm if the name is yours.",
        "%(count)d names are in the certificate that were not asked for, among them %(names)s. "
        "Authorities add some by themselves; it does no harm if the names are yours.",
        "count",
    ),
    "csr.all_names_came": _("The certificate has exactly the names that were asked for."),
    "csr.other_key": _(
        "A request for %(name)s waits here, but this certificate is not its answer: it was made "
        "for another key (%(came)s; the one that waits is %(asked)s). If it should be the answer, "
        "the authority was given another request."
    ),
    # pki.renewal
    "csr.renewal_names_left_out": ngettext_lazy(
        "%(count)d name of the old certificate is left out, because it can match no host and no "
        "authority would sign it: %(names)s.",
        "%(count)d names of the old certificate are left out, because they can match no host and "
        "no authority would sign them, among them %(names)s.",
        "count",
    ),
    "csr.renewal_names_cut": ngettext_lazy(
        "The old certificate has %(count)d name, more than one request can hold (%(limit)s).",
        "The old certificate has %(count)d names. One request can hold %(limit)s, so only the "
        "first are filled in; make another request for the others.",
        "count",
    ),
    "csr.renewal_field_left_out": _(
        "The field “%(field_words)s” of the old certificate is left empty, because what it says "
        "fits into no request. Fill it in if your authority asks for it."
    ),
    # certificates.requesting and certificates.answering
    "csr.not_pending": _(
        "This request does not wait for a certificate any more, so there is nothing to cancel."
    ),
    "csr.tracked_already": _(
        "This request is here already: it was added on %(created_at)s and waits for its "
        "certificate. Nothing was added."
    ),
    "csr.key_waits_already": _(
        "Another request with the same key waits here: that for %(name)s. One certificate answers "
        "both, so bring the answer there; or cancel that request first."
    ),
    "csr.key_not_here": _(
        "The private key of %(label)s is not here, so no request can be signed with it. Nothing "
        "was stored. Take a new key, or make the request where the key is."
    ),
    "csr.answered": _("It answers the request for %(name)s that waits here."),
    "csr.key_elsewhere": _(
        "The request for %(name)s was made elsewhere, and so was its private key: the certificate "
        "is stored without it. It can be served once the key is uploaded here, or if the key is in "
        "a file that Postfix or Dovecot on the mail server use now: the agent looks there when "
        "you review the changes."
    ),
    "csr.key_of_tracked": _(
        "This key belongs to the request for %(name)s, whose certificate has not come yet. The key "
        "was not kept: upload it together with the certificate."
    ),
    "key.on_mail_server": _(
        "Another certificate with the same key as that for %(name)s is here without its private "
        "key, so this one is stored without it, too. It can be served if the key is in a file that "
        "Postfix or Dovecot on the mail server use now: the agent looks there when you review the "
        "changes. Or upload the key with it."
    ),
    "key.completes_stored": _(
        "This is the private key of the certificate for %(name)s, which is stored here without it."
    ),
}

# What became of the key of a request that was given up; see certificates.requesting.KeyFate.
CANCELLED: dict[str, StrPromise] = {
    "destroyed": _("The request was cancelled and its private key destroyed."),
    "still_used": _(
        "The request was cancelled. Its private key is in use by a certificate and stays here."
    ),
    "elsewhere": _(
        "The request was cancelled. Its private key was never here; destroy it where it is."
    ),
}
