"""What is seen before ordering: addresses, the challenge path, CAA, limits."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

SENTENCES: dict[str, Promise] = {
    # issuance.preflight: addresses
    "acme.dns_bogus": _(
        "The DNSSEC signatures of %(at)s are wrong (%(detail_words)s), so no authority gets an "
        "answer for %(who)s. Nothing was ordered. Repair them in the DNS: mostly it is an outdated "
        "DS record, or signatures that expired."
    ),
    "acme.name_unknown": _(
        "%(who)s does not exist in the DNS. Nothing was ordered. Add an A or AAAA record that "
        "leads to this host, or leave the name out."
    ),
    "acme.name_without_address": _(
        "%(who)s has no A and no AAAA record, so the authority cannot look on port 80. Nothing was "
        "ordered. Add one that leads to this host, or prove the name by a DNS record."
    ),
    "acme.lookup_failed": _(
        "The DNS gave no usable answer for the %(record)s record of %(who)s (%(rcode_words)s). "
        "Nothing was ordered. Check that all name servers of the domain answer."
    ),
    "acme.lookup_failed_partly": _(
        "The DNS gave no usable answer for the %(record)s record of %(who)s (%(rcode_words)s); the "
        "other kind of address was found. An authority may refuse because of that. Check that all "
        "name servers of the domain answer."
    ),
    "acme.address_not_public": _(
        "%(who)s leads to %(address)s, which the internet cannot reach. Nothing was ordered. Let "
        "its A and AAAA records lead to a public address of this host, or prove the name by a DNS "
        "record."
    ),
    "acme.address_not_public_partly": _(
        "%(who)s leads to %(address)s, which the internet cannot reach, and to %(other)s. An "
        "authority may try the wrong one. Remove the record of the first from the public DNS."
    ),
    # the challenge path
    "acme.path_silent": _(
        "Nothing came from port 80 of %(address)s, where %(who)s leads, as if a firewall drops it. "
        "Nothing was ordered. Open port 80 from the internet, or correct the A or AAAA record. If "
        "only this host cannot reach that address of its own, order all the same."
    ),
    "acme.path_closed": _(
        "Nobody listens on port 80 of %(address)s, where %(who)s leads. Nothing was ordered. Let "
        "the mail server or this panel answer there, or correct the A or AAAA record."
    ),
    "acme.path_not_http": _(
        "What answers on port 80 of %(address)s, where %(who)s leads, is no web server. Nothing "
        "was ordered. Check which program has the port."
    ),
    "acme.path_unanswered_partly": _(
        "%(who)s leads to %(address)s, too, and nobody answers on port 80 there; %(other)s answers "
        "as it should. Some authorities try the second address, others do not. Open port 80 there, "
        "or remove the record."
    ),
    "acme.path_not_seen": _(
        "%(who)s leads to %(address)s, which cannot be reached from here at all, so nobody can "
        "tell what the authority will find there. If the address is not one of yours, remove the "
        "record."
    ),
    "acme.path_status": _(
        "The web server at %(address)s answers for %(who)s with status %(status)s where the proof "
        "should be. Nothing was ordered. Let it leave /.well-known/acme-challenge/ alone, or "
        "choose the way to answer that fits it."
    ),
    "acme.path_answers_other": _(
        "Something else than the proof comes from %(address)s for %(who)s. Nothing was ordered. "
        "Check whether the A and AAAA records lead to this host, and whether another web server or "
        "a proxy answers there."
    ),
    "acme.path_redirected": _(
        "%(address)s redirects for %(who)s%(location_words)s, and the proof is not there. Nothing "
        "was ordered. Leave /.well-known/acme-challenge/ out of the redirect."
    ),
    # the TXT record
    "acme.record_aliased": _(
        "A CNAME record leads from %(record)s to %(target)s, so the proof is written there."
    ),
    "acme.record_not_writable": _(
        "The proof for %(who)s belongs into %(record)s, and the DNS access that was chosen does "
        "not write into the zone %(zone)s. Nothing was ordered. Choose another access, or write "
        "the record by hand."
    ),
    # issuance.caa
    "acme.caa_lookup_failed": _(
        "The DNS gave no usable answer for the CAA records of %(at)s (%(rcode_words)s), and "
        "authorities issue nothing for %(who)s then. Nothing was ordered. Check that all name "
        "servers of the domain answer."
    ),
    "acme.caa_bogus": _(
        "The DNSSEC signatures of the CAA records of %(at)s are wrong, and authorities issue "
        "nothing for %(who)s then. Nothing was ordered. Repair them in the DNS."
    ),
    "acme.caa_critical_tag": _(
        "A CAA record of %(at)s is marked as critical and says something that not every authority "
        "understands (%(tag)s), which forbids to issue for %(who)s. Nothing was ordered. Remove "
        "the record, or its mark."
    ),
    "acme.caa_other_issuer": _(
        "The CAA records of %(at)s let only these issue for %(who)s: %(allowed_words)s. Nothing "
        "was ordered. Choose one of them, or add this record: %(caa_line)s"
    ),
    "acme.caa_other_account": _(
        "The CAA records of %(at)s let this authority issue for %(who)s, but only with another "
        "account. Nothing was ordered. Write the address of this account into the record "
        "(accounturi): %(account_words)s"
    ),
    "acme.caa_other_method": _(
        "The CAA records of %(at)s let this authority issue for %(who)s only after another kind "
        "of proof: %(methods)s. Nothing was ordered. Choose that kind, or add %(challenge)s to "
        "validationmethods in the record."
    ),
    "acme.caa_issuer_unknown": _(
        "The CAA records of %(at)s let only these issue for %(who)s: %(allowed_words)s. The "
        "authority does not say what it is called in such records, so nobody can tell before "
        "whether it is one of them."
    ),
    # issuance.budgets
    "acme.budget_new_orders": _(
        "This account has made %(used)s new orders of %(limit)s that the authority takes in 3 "
        "hours. Nothing was ordered. The next one is free at %(free_at)s."
    ),
    "acme.budget_domain": _(
        "%(used)s new certificates of the %(limit)s a week that the authority issues for %(who)s "
        "are used up. Nothing was ordered. The next one is free at %(free_at)s. Renewals with the "
        "same names are not counted."
    ),
    "acme.budget_same_names": _(
        "%(used)s certificates of the %(limit)s a week with exactly these names are used up. "
        "Nothing was ordered. The next one is free at %(free_at)s. Revoking does not help; "
        "another set of names does."
    ),
    "acme.budget_failures": _(
        "The proof for %(who)s has failed %(used)s times, and the authority takes %(limit)s "
        "failures an hour. Nothing was ordered. The next attempt is free at %(free_at)s. Use the "
        "time to remove the cause."
    ),
    "acme.budget_paused": _(
        "The proof for %(who)s has failed %(used)s times in a row; after %(limit)s the authority "
        "takes no more orders for it. Remove the cause, order once, and open the page that its "
        "answer then names."
    ),
    "acme.budget_nearly_spent": ngettext_lazy(
        "%(used)d of %(limit)s is used for %(kind_words)s.",
        "%(used)d of %(limit)s are used for %(kind_words)s. Use what is left with care: a "
        "rehearsal does not count.",
        "used",
    ),
}

BUDGETS: dict[str, Promise] = {
    "new_orders": _("new orders in 3 hours"),
    "domain": _("new certificates in a week for %(who)s"),
    "same_names": _("certificates in a week with exactly these names"),
    "failures": _("failed proofs in an hour for %(who)s"),
    "paused": _("failed proofs in a row for %(who)s"),
}
