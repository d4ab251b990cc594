"""One sentence for every problem of :mod:`mailadmin.pki`: what is wrong, and what to do.

The parameters are those of the problem; times are told in UTC and host names in both forms.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from mailadmin.accounts.relative_time import exact_words
from mailadmin.pki.names import both_forms
from mailadmin.pki.problems import Param, Problem

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
    # pki.keys
    "key.password_needed": _(
        "The private key is protected by a password. Enter the password, and the key is read."
    ),
    "key.password_wrong": _(
        "The private key could not be opened with this password. Check it and try again; the key "
        "itself may also be damaged."
    ),
    "key.unreadable": _(
        "The private key is damaged or in a form that is not understood. Copy it again, with its "
        "BEGIN and END lines."
    ),
    "key.unsupported": _(
        "The key is of a kind that mail programs do not accept (%(key)s). Use an RSA key of at "
        "least 2048 bits or an ECDSA key on P-256 or P-384."
    ),
    "key.rsa_too_small": _(
        "The RSA key of %(name)s has only %(bits)s bits: mail programs refuse fewer than "
        "%(minimum)s. Create a new request with a larger key."
    ),
    "key.encryption_unsupported": _(
        "The private key is encrypted with a method that is not understood here. Encrypt it with "
        "AES, for example with: openssl pkcs8 -topk8 -v2 aes256 -in KEY -out NEW-KEY."
    ),
    "key.encryption_too_slow": _(
        "The private key is encrypted so that opening it would take very long. Encrypt it again "
        "with fewer rounds, for example with: openssl pkcs8 -topk8 -in KEY -out NEW-KEY."
    ),
    "key.mismatch": _(
        "The private key belongs to another certificate, not to the one for %(name)s: no mail "
        "program could connect. Upload the key that this certificate was requested with."
    ),
    "key.missing": _(
        "The private key for %(name)s is missing: it is not in the upload, and no request made "
        "here has it. Upload the key together with the certificate."
    ),
    "key.unused": _(
        "The uploaded private key does not belong to the certificate for %(name)s and is left "
        "aside. The right key is here already, so this changes nothing."
    ),
    # pki.certificate
    "certificate.unreadable": _(
        "This is not a certificate, or it is damaged. Copy it again, with its BEGIN and END lines."
    ),
    "certificate.expired": _(
        "The certificate for %(name)s expired on %(not_after)s: mail programs refuse it. Get a "
        "new one from the authority and upload that."
    ),
    "certificate.not_yet_valid": _(
        "The certificate for %(name)s is not valid before %(not_before)s: until then mail "
        "programs refuse it. Upload it again after that time; if the time seems wrong, check the "
        "clock of this machine."
    ),
    "certificate.not_for_servers": _(
        "The certificate for %(name)s may not be used by a server (it lacks %(lacks)s): mail "
        "programs refuse it. Ask the authority for a TLS server certificate."
    ),
    "certificate.is_ca": _(
        "%(name)s is the certificate of an authority, which signs others: mail programs refuse it "
        "as a server's. Upload the certificate that was issued for your server, or make a "
        "self-signed one here."
    ),
    "certificate.no_usable_name": _(
        "The certificate “%(name)s” names no host: mail programs look only at its alternative "
        "names (SAN), and none of them can be used. Ask for one that lists the names of your "
        "server."
    ),
    "certificate.weak_signature": _(
        "The certificate “%(name)s” is signed with a method that can be forged (%(hash)s): mail "
        "programs refuse it. Ask the authority for one signed with SHA-256."
    ),
    "certificate.self_signed": _(
        "The certificate for %(name)s is signed by nobody but itself: mail programs warn their "
        "users before they connect. It does for a start; replace it by one from an authority."
    ),
    "certificate.expires_soon": ngettext_lazy(
        "The certificate for %(name)s ends on %(not_after)s, in %(days)d day. Renew it now.",
        "The certificate for %(name)s ends on %(not_after)s, in %(days)d days. It is time to "
        "renew it.",
        "days",
    ),
    "certificate.unusable_names": ngettext_lazy(
        "%(count)d name in the certificate for %(name)s can match no host and will be ignored by "
        "mail programs: %(names)s. The others work.",
        "%(count)d names in the certificate for %(name)s can match no host and will be ignored by "
        "mail programs, among them %(names)s. The others work.",
        "count",
    ),
    "certificate.long_lived": _(
        "The certificate for %(name)s is valid for %(days)s days. Public authorities may give no "
        "more than %(limit)s, so it comes from a private one; some mail programs refuse it."
    ),
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
        "“%(name)s” is the root of the chain and is left out: mail programs have their own copy "
        "of it."
    ),
    "chain.completed": _(
        "The intermediate certificate “%(name)s” was missing in the upload and is added: it was "
        "here already."
    ),
    # pki.parts
    "bundle.empty": _(
        "There is nothing to read. Choose the files that the authority sent, or paste their text."
    ),
    "bundle.too_large": _(
        "Part %(part)s is larger than %(limit)s KiB, which no certificate or key is, so it was not "
        "read. Check that it is the right file."
    ),
    "bundle.too_many_blocks": _(
        "There are more than %(limit)s certificates and keys; the rest was not read. Upload only "
        "one server's certificate with its chain and its key."
    ),
    "bundle.too_many_keys": _(
        "There are more than %(limit)s private keys; the rest was not read. Upload only the one "
        "that belongs to the certificate."
    ),
    "bundle.garbage": _(
        "Part %(part)s holds no certificate and no key that is understood here. Files in PEM form "
        "have lines that begin with -----BEGIN. A .pfx, .p12 or .p7b file must be converted "
        "first, for example with: openssl pkcs12 -in FILE -out NEW-FILE.pem."
    ),
    "bundle.block_unreadable": _(
        "In part %(part)s, the block “%(label)s” that begins in line %(line)s is incomplete or "
        "damaged. Copy it again, from its BEGIN line to the end of its END line."
    ),
    "bundle.block_ignored": ngettext_lazy(
        "%(count)d block “%(label)s” is not needed here and was left aside.",
        "%(count)d blocks “%(label)s” are not needed here and were left aside.",
        "count",
    ),
    "bundle.several_keys": ngettext_lazy(
        "The upload holds %(count)d private key; only the one that belongs to the certificate is "
        "used.",
        "The upload holds %(count)d different private keys; only the one that belongs to the "
        "certificate is used.",
        "count",
    ),
    # pki.bundle
    "bundle.no_certificate": _(
        "There is no certificate in the upload. Add the one that the authority sent."
    ),
    "bundle.no_leaf": _(
        "There are only certificates of authorities: %(names)s. Add the one that was issued for "
        "your server."
    ),
    "bundle.several_leaves": ngettext_lazy(
        "There are several server certificates for %(names)s, and it is not clear which one to "
        "use. Upload one at a time, with its key.",
        "There are certificates for %(count)d servers (%(names)s), and it is not clear which one "
        "to use. Upload one at a time, with its key.",
        "count",
    ),
    # certificates.custody
    "custody.master_key_missing": ngettext_lazy(
        "The master key %(path)s is missing, and %(count)d private key here can be opened only "
        "with it. Nothing was changed. Put the file back from your backup.",
        "The master key %(path)s is missing, and %(count)d private keys here can be opened only "
        "with it. Nothing was changed. Put the file back from your backup.",
        "count",
    ),
    "custody.master_key_exposed": _(
        "Others can read the master key %(path)s (mode %(mode)s), so it is not used and nothing "
        "was changed. Take their access away: chmod 600 %(path)s"
    ),
    "custody.master_key_unreadable": _(
        "The master key %(path)s cannot be read, or does not hold 32 bytes in base64. Nothing was "
        "changed. Check who owns the file, or put it back from your backup."
    ),
    "custody.master_key_not_kept": _(
        "The master key cannot be written to %(path)s, and without it no private key can be "
        "stored. Nothing was changed. Check that the folder exists, is writable and has room."
    ),
    "custody.key_not_opened": _(
        "The private key (%(key)s) cannot be opened with the master key %(path)s: it was stored "
        "with another one. Put that file back from your backup, or upload the private key again."
    ),
    # certificates.services and its pages
    "certificate.in_use": _(
        "This certificate is still used: %(where)s. Choose another one there first, and apply "
        "that; then it can be deleted."
    ),
    "certificate.deleted": _("The certificate %(label)s is deleted already."),
    "csr.not_pending": _(
        "This request does not wait for a certificate any more, so there is nothing to cancel."
    ),
    "upload.confirmation_needed": _(
        "Before this is saved, confirm that you want it although the intermediate certificate is "
        "missing. Or add the missing certificate below."
    ),
    "upload.too_large": _(
        "This is more than %(limit)s KiB, far more than a certificate with its chain and key. "
        "Nothing was read. Check that these are the right files."
    ),
    "upload.gone": _(
        "What you uploaded is not here any more: it is kept for 15 minutes only, because it may "
        "hold a private key. Nothing was stored. Choose the files again."
    ),
}

_FIELDS: dict[str, StrPromise] = {
    "common_name": _("Common name"),
    "organization": _("Organization"),
    "organizational_unit": _("Organizational unit"),
    "locality": _("City"),
    "state": _("State or province"),
    "country": _("Country"),
}
_HASHES = {"sha1": "SHA-1", "md5": "MD5"}


def say(problem: Problem) -> str:
    """Return the problem as a sentence, or its code if it has none here.

    Another layer may use one of these codes with parameters of its own; that is not ours to say.
    """
    sentence = SENTENCES.get(problem.code)
    if sentence is None:
        return problem.code
    try:
        return sentence % _words(problem)
    except KeyError:
        return problem.code


def _words(problem: Problem) -> dict[str, object]:
    words: dict[str, object] = {name: _word(name, value) for name, value in problem.params.items()}
    if "field" in problem.params:
        field = str(problem.params["field"])
        words["field_words"] = _FIELDS.get(field, field)
    return words


def _word(name: str, value: Param) -> Param:
    """Return a parameter as people read it."""
    if name == "name":
        return both_forms(str(value))
    if name in ("not_before", "not_after"):
        return exact_words(datetime.fromisoformat(str(value)))
    if name == "hash":
        return _HASHES.get(str(value), str(value))
    return value
