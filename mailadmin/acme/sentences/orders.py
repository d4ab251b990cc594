"""What stands against an order, an account or a change, and how an order ended."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

SENTENCES: dict[str, Promise] = {
    "acme.fault": _(
        "The panel made a mistake of its own; its log has the details. What is served stays as it "
        "is, and it is tried again."
    ),
    "acme.title_taken": _("“%(title)s” is there already; choose another name."),
    "acme.account_deactivated": _(
        "The account “%(title)s” was ended at the authority and cannot order any more. Choose "
        "another one."
    ),
    "acme.account_not_valid": _(
        "The account “%(title)s” is not registered at the authority at the moment. Register it "
        "again first."
    ),
    "acme.account_in_use": _(
        "The account “%(title)s” is needed to renew %(where)s. Choose another authority there "
        "first; nothing was changed."
    ),
    "acme.account_has_open_order": _(
        "The key of “%(title)s” was not replaced: the order for %(where)s is under way and signed "
        "with it. Ask again when that order has ended, or give it up first."
    ),
    "acme.account_has_history": _(
        "Orders were made with the account “%(title)s”, and the history names it. It stays in the "
        "list; nothing was changed."
    ),
    "acme.account_without_key": _(
        "The account “%(title)s” has no key here, so nothing can be signed. Add the authority "
        "again."
    ),
    "acme.dns_access_in_use": _(
        "The DNS access “%(title)s” is needed to prove the names of %(where)s. Change these first; "
        "nothing was changed."
    ),
    "acme.names_taken": _(
        "A certificate for exactly these names and this kind of key is had by ACME already: "
        "%(name)s. Renew or change that one."
    ),
    "acme.names_not_its_own": _("At least one of the names does not belong to this certificate."),
    "acme.no_staging": _(
        "“%(title)s” has no place to rehearse, so there is nothing to rehearse at."
    ),
    "acme.order_under_way": _(
        "An order for %(name)s is under way already. Wait until it ended, or give it up."
    ),
    "acme.order_not_cancellable": _(
        "The order cannot be given up now: it has ended, or a worker is just fetching its "
        "certificate. Look again in a minute."
    ),
    "acme.order_invalid": _(
        "The authority declared the order invalid without saying why. It is tried again."
    ),
    "acme.name_refused": _(
        "The authority did not find the proof for %(who)s, and did not say why."
    ),
    "acme.names_refused": _(
        "The authority did not accept %(count)d of the names: %(names)s. One refused name fails "
        "the whole order; what it said about each stands beside the name."
    ),
    "acme.challenge_not_offered": _(
        "The authority does not offer to prove %(who)s by %(wanted)s; it offers %(offered)s. "
        "Choose one of these under *Change*."
    ),
    "acme.record_not_spread": _(
        "After %(minutes)d minutes not all authoritative name servers show the record %(record)s "
        "for %(who)s. Is each of them fed by the one that is written to?"
    ),
    "acme.too_slow": _("The authority did not issue within %(seconds)d seconds."),
    "acme.other_names_issued": _(
        "The authority issued a certificate for other names than were ordered: %(names)s."
    ),
    "acme.deployment_taken_back": _(
        "The certificate was issued, but deployment #%(number)d did not prove it, and was taken "
        "back: the old certificate is served. The deployment's page says why."
    ),
}
