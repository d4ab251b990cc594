"""What can be ordered, and how it is proven: names, profiles, challenges."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

SENTENCES: dict[str, Promise] = {
    # issuance.names
    "acme.no_names": _("No name is given. Enter at least one host name of the mail server."),
    "acme.too_many_names": ngettext_lazy(
        "This is %(count)d name, and one certificate with this profile holds %(limit)s.",
        "These are %(count)d names, and one certificate with this profile holds %(limit)s. "
        "Nothing was ordered. Order two certificates, or choose another profile.",
        "count",
    ),
    "acme.name_twice": _("%(who)s is given twice. Leave it once."),
    "acme.name_covered": _(
        "%(who)s is covered by %(wildcard)s already, and authorities refuse an order with both. "
        "Leave one of them out."
    ),
    "acme.name_is_suffix": _(
        "%(who)s is a name below which others register theirs, so no authority issues for it. "
        "Leave it out."
    ),
    "acme.address_needs_profile": _(
        "%(who)s is an IP address, and this profile allows host names only. Leave it out, or "
        "choose a profile for addresses (shortlived at Let’s Encrypt)."
    ),
    "acme.name_never_public": _(
        "%(who)s ends in .%(suffix)s, which is not part of the public DNS. A public authority "
        "will refuse it; only one of your own network can issue for it."
    ),
    "acme.no_challenge_for_all": _(
        "A wildcard can be proven by a DNS record only, an IP address by a page on port 80 only. "
        "Nothing proves both in one order. Order them apart."
    ),
    # issuance.challenges
    "acme.tls_alpn_not_offered": _(
        "The challenge TLS-ALPN-01 is not offered: the authority would connect to port 443 and "
        "nowhere else, and want a certificate of a special kind there. The ports of a mail server "
        "are others. Use a page on port 80 or a DNS record."
    ),
    # issuance.profiles
    "acme.profile_default": _("The authority chooses what its certificates are like."),
    "acme.profile_classic": _(
        "Classic: valid for %(days)s days, up to %(limit)s names, with a common name. Suits every "
        "mail program. Let’s Encrypt shortens it to 64 days in February 2027 and to 45 days in "
        "February 2028; renewals follow by themselves."
    ),
    "acme.profile_tlsserver": _(
        "For TLS servers: valid for %(days)s days, up to %(limit)s names, without a common name. "
        "Suits mail programs that look at alternative names, as all current ones do."
    ),
    "acme.profile_shortlived": _(
        "Short-lived: valid for %(hours)s hours, up to %(limit)s names, also IP addresses. "
        "Renewed every three days: if renewals fail over a weekend, mail stops. Choose it only if "
        "somebody reads the alarms within hours."
    ),
    "acme.profile_ended": _(
        "The profile %(profile)s was for clients and is not offered any more since July 2026. "
        "Nothing was ordered. Choose another one."
    ),
    "acme.profile_unknown": _(
        "The profile %(profile)s is one of this authority’s own. Its documentation says how long "
        "such certificates are valid and what they hold."
    ),
    "acme.profile_not_offered": _(
        "The authority does not offer the profile %(profile)s, but these: %(offered)s. Nothing "
        "was ordered. Choose one of them, or none."
    ),
}
