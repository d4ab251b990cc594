"""What the authority said, of an order or of the proof for a name.

Its own words are put behind these sentences by :func:`mailadmin.acme.sentences.say`.
"""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

SENTENCES: dict[str, Promise] = {
    # issuance.problem_documents: the account
    "acme.account_gone": _(
        "The authority does not know this account any more. Nothing was ordered, and certificates "
        "in use stay as they are. Register the account again."
    ),
    "acme.external_account_required": _(
        "The authority opens accounts only with a key that it hands out itself (EAB), and none "
        "was given or it was not accepted. No account was opened. Get a key ID and an HMAC key "
        "from its website and enter both."
    ),
    "acme.contact_refused": _(
        "The authority does not accept the e-mail address of the account. Nothing was ordered. "
        "Enter one that can be written to, or none."
    ),
    "acme.user_action_required": _(
        "The authority waits for something a person has to do, usually to agree to new terms. "
        "Nothing is issued before, and certificates in use stay as they are. Read its page, then "
        "agree on the page of the account."
    ),
    "acme.key_refused": _(
        "The authority does not accept the key of the account. Nothing was ordered. Replace the "
        "key of the account by another kind."
    ),
    "acme.signature_refused": _(
        "The authority does not accept the way in which this account signs. Nothing was ordered. "
        "Replace the key of the account by another kind."
    ),
    "acme.nonce_refused": _(
        "The authority refused message after message as outdated. Nothing was issued, and it is "
        "tried again by itself. If that goes on, its service is broken."
    ),
    # limits
    "acme.rate_limited": _(
        "The authority has counted too many requests and takes no more for now. Certificates in "
        "use stay as they are, and it is tried again by itself. More attempts by hand make the "
        "wait longer."
    ),
    "acme.rate_limited_until": _(
        "The authority has counted too many requests and takes no more before %(retry_at)s. "
        "Certificates in use stay as they are, and it is tried again after that by itself."
    ),
    "acme.paused": _(
        "The authority takes no more orders for %(who)s, because the proof failed too often in a "
        "row. The certificate in use stays as it is. Remove the cause, then open the authority’s "
        "page and end the pause there: %(url)s"
    ),
    # the order
    "acme.already_replaced": _(
        "The authority says that another order has already taken the place of this certificate. "
        "It is ordered again without that link; nothing needs to be done."
    ),
    "acme.already_revoked": _(
        "The certificate was revoked before. Nothing was changed. Order a new one if it is still "
        "served."
    ),
    "acme.revocation_reason_refused": _(
        "The authority does not accept that reason for revoking. The certificate was not revoked. "
        "Choose another reason."
    ),
    "acme.request_refused": _(
        "The authority does not accept the certificate request (CSR), mostly because of the kind "
        "of key. Nothing was issued, and the certificate in use stays as it is. Choose another "
        "kind of key and order again."
    ),
    "acme.profile_refused": _(
        "The authority does not offer this profile, or not for these names. Nothing was ordered. "
        "Choose another profile, or none."
    ),
    "acme.malformed": _(
        "The authority cannot make sense of the order. Nothing was issued, and the certificate in "
        "use stays as it is. Look at the names; its words say which part it means."
    ),
    "acme.order_not_ready": _(
        "The authority was asked for the certificate before it had accepted all proofs. Nothing "
        "was issued, and it is tried again by itself."
    ),
    "acme.name_rejected": _(
        "The authority issues nothing for %(who)s, by its own rules. Nothing was issued, and the "
        "certificate in use stays as it is. Leave the name out, or choose another authority."
    ),
    "acme.names_rejected": ngettext_lazy(
        "By its own rules the authority issues nothing for %(count)d name: %(names)s. Nothing was "
        "issued, and the certificate in use stays as it is. Leave it out, or choose another "
        "authority.",
        "By its own rules the authority issues nothing for %(count)d names, among them %(names)s. "
        "Nothing was issued, and the certificate in use stays as it is. Leave them out, or choose "
        "another authority.",
        "count",
    ),
    "acme.several_refused": ngettext_lazy(
        "The authority refused because of %(count)d name: %(names)s. Nothing was issued, and the "
        "certificate in use stays as it is. Remove the cause, or order without it.",
        "The authority refused because of %(count)d names, among them %(names)s. Nothing was "
        "issued, and the certificate in use stays as it is. Remove the causes, or order without "
        "them.",
        "count",
    ),
    "acme.identifier_unsupported": _(
        "The authority does not issue for this kind of name: %(who)s. Nothing was ordered. Leave "
        "it out, or choose another authority or profile."
    ),
    # the proof for a name
    "acme.refused_by_caa": _(
        "A CAA record of the domain forbids this authority to issue for %(who)s. Nothing was "
        "issued, and the certificate in use stays as it is. Add the authority to the CAA records, "
        "or remove them, then order again."
    ),
    "acme.host_not_reached": _(
        "The authority could not connect to %(who)s on port 80. Nothing was issued, and the "
        "certificate in use stays as it is. Check that the A and AAAA records lead to this host "
        "and that port 80 is open from the internet, over IPv4 and IPv6."
    ),
    "acme.dns_not_answered": _(
        "The authority got no usable answer from the DNS for %(who)s. Nothing was issued, and the "
        "certificate in use stays as it is. Check that the records exist and that all name "
        "servers of the domain answer, with valid DNSSEC if it is signed."
    ),
    "acme.proof_wrong": _(
        "The authority found an answer for %(who)s, but not the one that was put there. Nothing "
        "was issued, and the certificate in use stays as it is. Check whether another host or a "
        "proxy answers, or whether old records are still there."
    ),
    "acme.unauthorized": _(
        "The authority did not find the proof that %(who)s is yours, or does not let this account "
        "ask for it. Nothing was issued, and the certificate in use stays as it is. Check that "
        "the name leads to this host and that nothing else answers for it."
    ),
    "acme.tls_failed": _(
        "The authority could not make a TLS connection to %(who)s. Nothing was issued, and the "
        "certificate in use stays as it is. Check whether port 80 redirects to a page whose TLS "
        "is broken."
    ),
    # its own trouble
    "acme.authority_broken": _(
        "The authority has trouble of its own. Nothing was issued, certificates in use stay as "
        "they are, and it is tried again by itself."
    ),
    "acme.refused": _(
        "The authority refused. Nothing was issued, and the certificate in use stays as it is. It "
        "is tried again by itself; its words say what is to be changed."
    ),
    # issuance.directories
    "acme.about_letsencrypt": _(
        "Free, no registration before, and a staging directory to rehearse with. It sends no "
        "reminders by e-mail any more; this panel does. It allows 50 new certificates a week for "
        "one registered domain, and five failed proofs an hour for one name."
    ),
    "acme.about_zerossl": _(
        "Needs a key ID and an HMAC key (EAB) from the developer page of a ZeroSSL account. It "
        "has no staging directory, so nothing can be rehearsed. CAA records have to name "
        "sectigo.com."
    ),
    "acme.about_google": _(
        "Needs a key ID and an HMAC key (EAB) from a Google Cloud project, to be used within 7 "
        "days; its staging directory needs a pair of its own. CAA records have to name pki.goog."
    ),
    "acme.about_buypass": _(
        "Buypass ended its certificates for servers in October 2025: nothing can be ordered or "
        "renewed there. Choose another authority."
    ),
}
