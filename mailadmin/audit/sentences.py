"""The log in words: verbs, kinds of objects and reasons, marked for translation."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# Read as "<person> <verb> <object>".
VERBS: dict[str, Promise] = {
    "listener.enabled": _("switched on"),
    "listener.disabled": _("switched off"),
    "listener.changed": _("changed the settings of"),
    "listeners.created": _("took over the listeners of"),
    "certificate.uploaded": _("uploaded certificate"),
    "certificate.self_signed": _("made a self-signed certificate"),
    "certificate.completed": _("added what was missing to certificate"),
    "certificate.restored": _("brought back certificate"),
    "certificate.found": _("found on the mail server the certificate"),
    "certificate.assigned": _("assigned certificate"),
    "certificate.took_place": _("put in the place of the one it replaces the certificate"),
    "certificate.key_imported": _("took from the mail server the private key of certificate"),
    "certificate.key_exported": _("exported the private key of certificate"),
    "certificate.tagged": _("added a tag to certificate"),
    "certificate.untagged": _("took a tag away from certificate"),
    "certificate.predecessor_changed": _("changed which other one is replaced by certificate"),
    "certificate.deleted": _("deleted certificate"),
    "certificate.paired": _("put another one beside certificate"),
    "certificate.separated": _("took away what stood beside certificate"),
    "authority.trusted": _("put on the list of trusted authorities"),
    "authority.distrusted": _("took off the list of trusted authorities"),
    "authority.fetched": _("fetched from the internet the certificate of"),
    "intermediates.updated": _("replaced the store of"),
    "known_keys.updated": _("replaced the"),
    "master_key.rotation_begun": _("began to replace the master key"),
    "master_key.rotated": _("replaced the master key; it is now"),
    "csr.created": _("created certificate request"),
    "csr.tracked": _("added the certificate request made elsewhere"),
    "csr.cancelled": _("cancelled certificate request"),
    "name.bound": _("chose a certificate for host name"),
    "name.unbound": _("removed the certificate for host name"),
    "server.adopted": _("took over, as it was found, mail server"),
    "server.handed_back": _("wants to be as its own files say, mail server"),
    "server.registered": _("registered mail server"),
    "server.changed": _("changed mail server"),
    "change.undone": _("undid a pending change of"),
    "changes.discarded": _("discarded the pending changes of"),
    "deployment.requested": _("asked to apply"),
    "deployment.joined": _("added changes to the waiting"),
    "deployment.succeeded": _("applied and proved"),
    "deployment.rolled_back": _("took back"),
    "deployment.confirmed": _("confirmed"),
    "drift.found": _("found changes from outside the panel on"),
    "drift.left": _("decided to leave the changes from outside the panel on"),
    "drift.taken_over": _("took over the changes from outside the panel on"),
    "deployment.failed": _("could not complete"),
    "deployment.refused": _("refused"),
    "state.restored": _("went back to the state of"),
    "user.created": _("created user"),
    "user.role_changed": _("changed the role of"),
    "user.switched_on": _("switched on the account of"),
    "user.switched_off": _("switched off the account of"),
    "user.logged_in": _("logged in"),
    "user.login_failed": _("failed to log in as"),
    "user.logged_out": _("logged out"),
    "user.password_changed": _("changed the password of"),
    "user.mfa_changed": _("changed the second factor of"),
    "destination.added": _("added the notification destination"),
    "destination.changed": _("changed the notification destination"),
    "destination.deleted": _("deleted the notification destination"),
    "destination.switched_on": _("switched on the notifications to"),
    "destination.switched_off": _("switched off the notifications to"),
    "destination.tested": _("sent a test to"),
    "acme_account.added": _("opened an account at the authority"),
    "acme_account.changed": _("changed the account at the authority"),
    "acme_account.registered_again": _("asked again to register the account at the authority"),
    "acme_account.key_replacement_asked": _("asked to replace the key of the account at"),
    "acme_account.deactivation_asked": _("asked to end the account at the authority"),
    "acme_account.deleted": _("forgot the account at the authority"),
    "acme_account.register_done": _("registered the account at the authority"),
    "acme_account.register_failed": _("could not register the account at the authority"),
    "acme_account.update_done": _("told the new mail address to the authority"),
    "acme_account.update_failed": _("could not tell the new mail address to the authority"),
    "acme_account.roll_over_done": _("replaced the key of the account at the authority"),
    "acme_account.roll_over_failed": _("could not replace the key of the account at"),
    "acme_account.deactivate_done": _("ended the account at the authority"),
    "acme_account.deactivate_failed": _("could not end the account at the authority"),
    "dns_access.added": _("added the DNS access"),
    "dns_access.changed": _("changed the DNS access"),
    "dns_access.deleted": _("deleted the DNS access"),
    "acme_certificate.added": _("wants to get by ACME the certificate"),
    "acme_certificate.changed": _("changed how it is renewed, the certificate"),
    "acme_certificate.forgotten": _("renews no more by ACME the certificate"),
    "acme_order.requested": _("ordered by ACME the certificate"),
    "acme_order.cancelled": _("gave up the order of certificate"),
    "acme_order.continued": _("said that the DNS records are written for the order of"),
    "acme_order.issued": _("got by ACME the certificate"),
    "acme_order.failed": _("could not get by ACME the certificate"),
    "audit.exported": _("exported the audit log"),
}

OBJECTS: dict[str, Promise] = {
    "listener": _("listener"),
    "certificate": _("certificate"),
    "csr": _("certificate request"),
    "authority": _("authority"),
    "intermediates": _("well-known intermediate certificates"),
    "known_keys": _("lists of keys whose private half is known"),
    "master_key": _("master key"),
    "name": _("host name"),
    "server": _("mail server"),
    "deployment": _("deployment"),
    "plan": _("plan"),
    "destination": _("notification destination"),
    "acme_account": _("account at an authority"),
    "acme_certificate": _("renewal"),
    "acme_order": _("order"),
    "dns_access": _("DNS access"),
    "user": _("user"),
    "audit": _("audit log"),
}

# Reasons that are codes; anything else is a sentence already.
REASONS: dict[str, Promise] = {
    "wrong_password": _("The password was wrong."),
    "wrong_code": _("The password was right, the one-time code was wrong."),
    "unknown_name": _("There is no user of that name. What was typed is not kept."),
}


def verb_words(verb: str) -> str:
    """Return the verb in words, or the verb itself if the catalogue does not know it."""
    return str(VERBS.get(verb, verb))


def object_words(object_type: str) -> str:
    """Return the kind of object in words."""
    return str(OBJECTS.get(object_type, object_type))


def reason_words(reason: str) -> str:
    """Return the reason as a sentence."""
    return str(REASONS.get(reason, reason))


def verbs_that_mention(text: str) -> list[str]:
    """Return the verbs whose words contain the text, so that a search finds what it shows."""
    wanted = text.casefold()
    return [verb for verb, words in VERBS.items() if wanted in str(words).casefold()]
