"""Sentences for one certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

SENTENCES: dict[str, StrPromise] = {
    # pki.certificate
    "certificate.unreadable": _(
        "This is not a certificate, or it is damaged. Copy it again, with its BEGIN and END lines."
    ),
    # pki.malformed
    "certificate.malformed": _(
        "Part %(part)s holds a certificate that no mail program can read: %(fault_words)s. Ask the "
        "authority for a new one, made by another program."
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
    "certificate.no_server_usage": _(
        "The certificate for %(name)s does not say what it may be used for. Most mail programs "
        "take it, but those of Apple want it to say that it is for servers (serverAuth). Ask the "
        "authority for one that does."
    ),
    "certificate.any_usage": _(
        "The certificate for %(name)s may be used for anything (anyExtendedKeyUsage), and strict "
        "mail programs refuse that. Ask the authority for one that is only for servers."
    ),
    "certificate.signs_certificates": _(
        "The certificate for %(name)s may sign other certificates though it is not an authority’s. "
        "Strict programs refuse that. Ask for one without the use keyCertSign."
    ),
    "certificate.must_staple": _(
        "The certificate for %(name)s asks the server to send along a proof that it is not revoked "
        "(must-staple), which Postfix and Dovecot cannot do: programs that insist on it will not "
        "connect. Ask the authority for one without it."
    ),
    # pki.lifetimes
    "certificate.dates_reversed": _(
        "The certificate for %(name)s ends (%(not_after)s) before it begins (%(not_before)s), so "
        "it is never valid. Ask the authority for a right one."
    ),
    "certificate.long_lived": _(
        "The certificate for %(name)s is valid for %(days)s days, and public authorities may give "
        "no more than %(limit)s. That is in order for one from an authority of your own; if it is "
        "from a public one, some mail programs refuse it, and you should ask for another."
    ),
    "certificate.longer_than_apple": _(
        "The certificate for %(name)s is valid for %(days)s days. Mail programs of Apple refuse "
        "every server certificate that is valid for more than %(limit)s. Make or ask for a shorter "
        "one if anybody here uses them."
    ),
    "certificate.no_real_end": _(
        "The certificate for %(name)s is valid until %(not_after)s, which is as good as for ever: "
        "if its key is stolen, nothing ends that. Make or ask for a shorter one."
    ),
    "certificate.short_lived": _(
        "The certificate for %(name)s is valid for only %(days)s days. Make sure that it is "
        "renewed without anybody having to think of it."
    ),
    # pki.san
    "certificate.common_name_not_covered": _(
        "The certificate “%(name)s” has %(common_name)s as its common name but not among its "
        "alternative names (SAN). Mail programs look only at those and will not connect to "
        "%(common_name)s. If you need that name, ask for a certificate that lists it."
    ),
    "certificate.wildcard_public_suffix": ngettext_lazy(
        "%(count)d name in the certificate for %(name)s stands for the domains of other people "
        "(%(names)s). No honest authority signs that, and mail programs refuse it. Ask for one "
        "that lists only names of your own.",
        "%(count)d names in the certificate for %(name)s stand for the domains of other people, "
        "among them %(names)s. No honest authority signs that, and mail programs refuse it. Ask "
        "for one that lists only names of your own.",
        "count",
    ),
    "certificate.names_control_characters": ngettext_lazy(
        "%(count)d name in the certificate for %(name)s holds a space or an invisible character "
        "(%(names)s), which is a known way to deceive programs. Do not use this certificate; ask "
        "the authority for a right one.",
        "%(count)d names in the certificate for %(name)s hold a space or an invisible character, "
        "among them %(names)s. That is a known way to deceive programs. Do not use this "
        "certificate; ask the authority for a right one.",
        "count",
    ),
    "certificate.wildcard_misplaced": ngettext_lazy(
        "%(count)d name in the certificate for %(name)s has a * where no mail program accepts it: "
        "%(names)s. It may only be the whole first part, as in *.example.org.",
        "%(count)d names in the certificate for %(name)s have a * where no mail program accepts "
        "it, among them %(names)s. It may only be the whole first part, as in *.example.org.",
        "count",
    ),
    "certificate.names_not_ascii": ngettext_lazy(
        "%(count)d name in the certificate for %(name)s is written with letters such as ü instead "
        "of its form for machines (xn--…), and no mail program matches it: %(names)s. Ask the "
        "authority for a right one.",
        "%(count)d names in the certificate for %(name)s are written with letters such as ü "
        "instead of their form for machines (xn--…), and no mail program matches them, among them "
        "%(names)s. Ask the authority for a right one.",
        "count",
    ),
    "certificate.names_idn_invalid": ngettext_lazy(
        "%(count)d name in the certificate for %(name)s begins with xn-- but stands for no real "
        "name: %(names)s. Mail programs may refuse it.",
        "%(count)d names in the certificate for %(name)s begin with xn-- but stand for no real "
        "name, among them %(names)s. Mail programs may refuse them.",
        "count",
    ),
    "certificate.names_underscore": ngettext_lazy(
        "%(count)d name in the certificate for %(name)s has an underscore, which host names may "
        "not have: %(names)s. Mail programs may refuse it, and public authorities no longer sign "
        "it.",
        "%(count)d names in the certificate for %(name)s have an underscore, which host names may "
        "not have, among them %(names)s. Mail programs may refuse them, and public authorities no "
        "longer sign them.",
        "count",
    ),
    "certificate.names_trailing_dot": ngettext_lazy(
        "%(count)d name in the certificate for %(name)s ends with a dot and can match no host: "
        "%(names)s. Ask for one with the name without it.",
        "%(count)d names in the certificate for %(name)s end with a dot and can match no host, "
        "among them %(names)s. Ask for one with the names without it.",
        "count",
    ),
    "certificate.addresses_as_names": ngettext_lazy(
        "%(count)d address in the certificate for %(name)s is written as if it were a host name, "
        "where mail programs do not look for it: %(names)s. Ask for one that lists it as an IP "
        "address.",
        "%(count)d addresses in the certificate for %(name)s are written as if they were host "
        "names, where mail programs do not look for them, among them %(names)s. Ask for one that "
        "lists them as IP addresses.",
        "count",
    ),
    "certificate.san_not_critical": _(
        "The certificate “%(name)s” has no subject and does not mark its names as critical, as the "
        "rules want it then. A few strict programs refuse it. Ask the authority for a right one."
    ),
    # pki.structure
    "certificate.not_version_3": _(
        "The certificate “%(name)s” is of version %(version)s, from before 1996: mail programs "
        "refuse it. Ask the authority for one of version 3."
    ),
    "certificate.serial_invalid": _(
        "The serial number of the certificate “%(name)s” is negative or too long, and strict mail "
        "programs refuse that. Ask the authority for a right one."
    ),
    "certificate.serial_zero": _(
        "The serial number of the certificate “%(name)s” is zero. A few strict programs refuse "
        "that. Make the next one with a number of its own."
    ),
    "certificate.issuer_empty": _(
        "The certificate “%(name)s” does not say who issued it: mail programs refuse it. Ask the "
        "authority for a right one."
    ),
    "certificate.algorithms_differ": _(
        "The certificate “%(name)s” says in two places how it is signed, and they differ: mail "
        "programs refuse it. Ask the authority for a right one."
    ),
    "certificate.extension_twice": _(
        "A part of the certificate “%(name)s” is there twice (%(extensions)s), so that nobody can "
        "say which one counts: mail programs refuse it. Ask the authority for a right one."
    ),
    "certificate.extension_unreadable": _(
        "A part of the certificate “%(name)s” is malformed (%(extensions)s): mail programs refuse "
        "it. Ask the authority for a right one."
    ),
    "certificate.usages_empty": _(
        "The certificate “%(name)s” lists what it may be used for (extKeyUsage), and the list is "
        "empty: mail programs refuse it. Ask the authority for one that is for servers."
    ),
    "certificate.extensions_too_many": _(
        "The certificate “%(name)s” has more than %(limit)s extensions, which no real one has, so "
        "the rest was not looked at. Ask the authority for a right one."
    ),
    "certificate.extension_unknown": _(
        "The certificate “%(name)s” says that nobody may use it who does not understand a part "
        "that mail programs do not know (%(extensions)s), so they refuse it. Ask the authority "
        "for one that is for a TLS server."
    ),
    "certificate.precertificate": _(
        "“%(name)s” is only the announcement of a certificate, as public logs hold it "
        "(precertificate): mail programs refuse it. Upload the certificate that the authority sent."
    ),
    "certificate.signature_unknown": _(
        "The certificate “%(name)s” is signed with a method that mail programs do not know, so "
        "they refuse it. Ask the authority for one signed with RSA or ECDSA and SHA-256."
    ),
    "certificate.signature_sha224": _(
        "The certificate “%(name)s” is signed with %(hash)s, which guidelines already phase out "
        "and some mail programs refuse. Ask the authority for one signed with SHA-256."
    ),
    "certificate.signature_rare": _(
        "The certificate “%(name)s” is signed with %(algorithm)s, which few mail programs can "
        "check; the others refuse it. Ask the authority for one signed with RSA or ECDSA and "
        "SHA-256."
    ),
}

# What is wrong with a certificate that cannot be read; see pki.malformed.Fault.
FAULTS: dict[str, StrPromise] = {
    "version": _("it says that it is of X.509 version %(detail)s, and there are only 1, 2 and 3"),
    "algorithm": _("how it is signed is not told in the way that this method demands"),
    "name": _("a name in it is not written in letters that a name may have"),
    "time": _("a time in it is not written as a time"),
    "extension": _(
        "its extension %(detail)s says in so many words that it is not critical, where strict "
        "programs allow no word"
    ),
    "form": _("it has the outline of a certificate, but what is in it is not in the form of one"),
}
