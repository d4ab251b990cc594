"""What DNS did not answer or did not take, and what name servers show, in words."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

PROBLEMS: dict[str, Promise] = {
    # acme.sealing
    "acme.secret_not_opened": _(
        "A secret of this account or DNS access cannot be opened with the master key: the file "
        "holds another key than it was sealed with, or the row was changed. Enter the secret "
        "again, or put the newest copy of the master key back from your backup."
    ),
    # acme.preflight
    "acme.preflight_out_of_time": _(
        "The look at %(subject)s was not over in time: name servers or the addresses of the name "
        "answer too slowly. Nothing is known of it. Look again."
    ),
    # acme.dns.wire, resolving
    "dns.server_invalid": _(
        "“%(subject)s” is not the address of a name server. Write 192.0.2.53, 192.0.2.53:5353 or "
        "[2001:db8::53]:5353; names are not looked up here."
    ),
    "dns.port_invalid": _("“%(subject)s” is not a port: it is a number from 1 to 65535."),
    "dns.name_invalid": _("“%(subject)s” is not a name that DNS can hold."),
    "dns.no_resolver": _(
        "This machine has no name server that looks up names for it (/etc/resolv.conf). Set one "
        "there, or MAILADMIN_DNS_RESOLVERS."
    ),
    "dns.no_answer": _(
        "No name server answered in time when asked for %(subject)s (%(kind)s). Nothing is known "
        "of the name. Check the network of this machine and its resolver."
    ),
    "dns.bogus": _(
        "The DNSSEC signatures over %(subject)s are wrong, so every validating resolver, also an "
        "authority’s, gets no answer (%(kind)s; the resolver says: %(explanation)s). Renew the "
        "zone’s signatures, or correct the DS record in the zone above it."
    ),
    "dns.lookup_failed": _(
        "%(subject)s cannot be looked up: the resolver answers %(rcode)s (%(kind)s; it says: "
        "%(explanation)s). An authority will hardly fare better. Check that the zone’s servers "
        "answer."
    ),
    # acme.dns.delegation
    "dns.alias_loop": _(
        "The CNAME records of %(subject)s lead in a circle: %(chain)s. Remove one of them."
    ),
    "dns.alias_too_long": _(
        "%(subject)s leads through more CNAME records than an authority follows: %(chain)s. "
        "Let the first point to the last name."
    ),
    "dns.zone_unknown": _("No zone is found that %(subject)s belongs to."),
    "dns.zone_without_servers": _(
        "None of the name servers of the zone %(subject)s has an address (%(servers)s), so nobody "
        "can ask them. Correct the zone’s NS records."
    ),
    # acme.dns.writers
    "dns.access_incomplete": _(
        "The DNS access “%(subject)s” lacks something that is needed. Open it and fill it in again."
    ),
    # acme.dns.updating
    "dns.update_host_unknown": _(
        "The name server %(subject)s that takes updates has no address: its name does not resolve."
    ),
    "dns.update_unreachable": _(
        "The name server %(server)s did not answer, neither by UDP nor by TCP. Nothing is known to "
        "have changed. Check its address and port, and the firewall between here and there."
    ),
    "dns.update_no_zone": _(
        "The name server %(server)s does not serve a zone that %(subject)s belongs to. Nothing was "
        "changed. Check the server’s address, or set the zone in the DNS access."
    ),
    "dns.update_not_its_zone": _(
        "The name server %(server)s says that it is not the one for the zone %(zone)s (%(rcode)s). "
        "Nothing was changed. Updates go to the primary server of the zone."
    ),
    "dns.update_outside_zone": _(
        "%(subject)s is not in the zone %(zone)s of this DNS access. Nothing was changed. Use the "
        "access of its own zone."
    ),
    "dns.update_refused": _(
        "The name server %(server)s does not let the key %(key_name)s change %(subject)s "
        "(%(rcode)s). Nothing was changed. Allow this key to update TXT records of that name in "
        "the server’s configuration."
    ),
    "dns.update_not_offered": _(
        "The name server %(server)s does not take dynamic updates (%(rcode)s). Nothing was changed."
    ),
    "dns.update_failed": _(
        "The name server %(server)s did not make the change to %(subject)s: it answers %(rcode)s. "
        "Its own log says why."
    ),
    # acme.dns.signing
    "dns.tsig_algorithm": _(
        "The key %(subject)s cannot sign with %(algorithm)s: only %(known)s are strong enough. "
        "Make a new key for one of them on the name server."
    ),
    "dns.tsig_secret_invalid": _(
        "The secret of the key %(subject)s is not base64. Copy it as it stands in the name "
        "server’s configuration."
    ),
    "dns.tsig_key_unknown": _(
        "The name server %(server)s does not know the key %(key_name)s with this algorithm, or "
        "does not take it for the zone %(zone)s (%(rcode)s). Nothing was changed. Name and "
        "algorithm must be as in its configuration."
    ),
    "dns.tsig_secret_wrong": _(
        "The name server %(server)s has another secret for the key %(key_name)s. Nothing was "
        "changed. Enter the secret of its configuration again."
    ),
    "dns.tsig_clock_ahead": _(
        "The clock of this machine is %(seconds)s seconds ahead of that of the name server "
        "%(server)s, which refuses the signature for it. Nothing was changed. Set both clocks by "
        "NTP."
    ),
    "dns.tsig_clock_behind": _(
        "The clock of this machine is %(seconds)s seconds behind that of the name server "
        "%(server)s, which refuses the signature for it. Nothing was changed. Set both clocks by "
        "NTP."
    ),
    "dns.tsig_time_refused": _(
        "The name server %(server)s refuses the time of the signature: its clock and that of this "
        "machine differ. Nothing was changed. Set both clocks by NTP."
    ),
    "dns.tsig_answer_wrong": _(
        "What answered for the name server %(server)s does not know the key %(key_name)s: the "
        "answer is not signed with it. It is not known whether %(subject)s was changed. Look "
        "whether something stands between here and there and answers DNS itself."
    ),
    # acme.dns.providers
    "dns.provider_unknown": _("There is no DNS provider “%(subject)s” to choose."),
    "dns.provider_not_installed": _(
        "What the DNS provider %(subject)s needs is not installed on this machine. Install "
        "“dns-lexicon[%(subject)s]” into the panel’s Python environment, or use another way."
    ),
    "dns.provider_option_unknown": _("%(provider)s has no option “%(subject)s”."),
    "dns.provider_option_invalid": _(
        "The value of “%(subject)s” does not suit %(provider)s: it is too long, not one of the "
        "choices, or the path of a file."
    ),
    "dns.provider_denied": _(
        "%(provider)s did not let us in, or does not have the zone %(zone)s in this account (HTTP "
        "status: %(status)s). %(subject)s was not changed. Check the account’s data and what the "
        "token may do."
    ),
    "dns.provider_unreachable": _(
        "%(provider)s cannot be reached. %(subject)s was not changed. Check that this machine may "
        "open connections to it; it is tried again."
    ),
    "dns.provider_slow": _(
        "%(provider)s did not finish in time. It is not known whether %(subject)s was changed; it "
        "is tried again."
    ),
    "dns.provider_stuck": _(
        "Several calls to DNS providers hang, so %(provider)s was not asked and %(subject)s not "
        "changed. If this lasts, restart the worker."
    ),
    "dns.provider_not_written": _("%(provider)s did not write the record %(subject)s."),
    "dns.provider_failed": _(
        "%(provider)s did not make the change to %(subject)s in the zone %(zone)s (HTTP status: "
        "%(status)s; kind of failure: %(kind)s). What it said is not shown, as it may hold secrets."
    ),
}

# acme.dns.waiting.Sight
SIGHTS: dict[str, Promise] = {
    "seen": _("shows it"),
    "not_yet": _("does not show it yet"),
    "astray": _("does not serve this zone"),
    "unreachable": _("cannot be reached from here"),
}
