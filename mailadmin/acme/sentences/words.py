"""States, stages and the timeline in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from mailadmin.acme.models import AcmeCertificate, AcmeEvent, AcmeOrder
from mailadmin.acme.sentences import preflight, say
from mailadmin.issuance.budgets import Budget
from mailadmin.issuance.profiles import describe_profile
from mailadmin.pki.names import both_forms
from mailadmin.pki.problems import Problem, Severity

_LONGEST_DESCRIPTION = 300  # characters

STANDINGS: dict[str, Promise] = {
    "not_served": _lazy("renewed, but the old one is served"),
    "failing": _lazy("renewal fails"),
    "waits_for_record": _lazy("waits for a DNS record"),
    "never_issued": _lazy("not issued yet"),
    "waits_for_admin": _lazy("issued, not in place yet"),
    "under_way": _lazy("under way"),
    "by_hand": _lazy("renewed by hand only"),
    "good": _lazy("issued and served"),
}
STAGES: dict[str, Promise] = {
    "ordered": _lazy("Ordered"),
    "names": _lazy("Names proven to the authority"),
    "issued": _lazy("Issued"),
    "deployed": _lazy("Deployed to the mail server"),
    "proven": _lazy("Proven by handshake"),
}
ORDERS: dict[str, Promise] = {
    "queued": _lazy("waiting for a worker"),
    "running": _lazy("under way"),
    "waiting": _lazy("waiting for a DNS record"),
    "issued": _lazy("issued"),
    "deploying": _lazy("being deployed"),
    "proven": _lazy("issued, deployed and proven"),
    "unproven": _lazy("issued, but not served"),
    "failed": _lazy("failed"),
    "cancelled": _lazy("given up"),
}
_HEADLINES: dict[str, Promise] = {
    "queued": _lazy("Waiting for a worker to take it"),
    "running": _lazy("Ordering the certificate…"),
    "waiting": _lazy("Waiting for you: a DNS record has to be written"),
    "issued": _lazy("Issued, but not in place yet: the mail server still serves what it did"),
    "deploying": _lazy("Issued. Putting it in place on the mail server…"),
    "proven": _lazy("Issued, deployed, and proven by handshake"),
    "unproven": _lazy("Issued, but not served: the mail server still serves the old one"),
    "failed": _lazy("No certificate was issued"),
    "cancelled": _lazy("Given up: no certificate came of it"),
}
_REHEARSED: dict[str, Promise] = {
    "running": _lazy("Rehearsing at the staging directory…"),
    "issued": _lazy("The rehearsal went well: an order for real would, too"),
    "failed": _lazy("The rehearsal failed: an order for real would, too"),
}
TRIGGERS: dict[str, Promise] = {
    "first": _lazy("first order"),
    "due": _lazy("renewal, because a third of the lifetime was left"),
    "renewal_info": _lazy("renewal, when the authority wanted it"),
    "forced": _lazy("renewal asked for by a person"),
    "rehearsal": _lazy("rehearsal at the staging directory"),
}
PROOFS: dict[str, Promise] = {
    "pending": _lazy("not in place yet"),
    "presented": _lazy("in place"),
    "asked": _lazy("the authority is looking"),
    "valid": _lazy("found by the authority"),
    "invalid": _lazy("not found by the authority"),
}
ACCOUNTS: dict[str, Promise] = {
    "new": _lazy("not registered yet"),
    "valid": _lazy("registered"),
    "deactivated": _lazy("ended"),
    "lost": _lazy("unknown to the authority; registered anew at the next order"),
}
# What a stage means, for somebody who takes the three for one.
MEANINGS: dict[str, Promise] = {
    "ordered": _lazy("The authority has taken the order and says what it wants to see."),
    "names": _lazy("The authority looked at each name itself, and found what it had asked for."),
    "issued": _lazy(
        "The certificate and its key are here; that alone changes nothing for clients."
    ),
    "deployed": _lazy("Postfix and Dovecot were told to serve it. That alone proves nothing."),
    "proven": _lazy("A TLS handshake at each of its ports found this very certificate."),
}
ACCESSES: dict[str, Promise] = {
    "rfc2136": _lazy("name server with signed updates (RFC 2136)"),
    "lexicon": _lazy("provider"),
}
SIGHTS: dict[str, Promise] = {
    "seen": _lazy("shows it"),
    "not_yet": _lazy("does not show it yet"),
    "astray": _lazy("does not answer for this zone"),
    "unreachable": _lazy("cannot be reached from here"),
}
_PATHS: dict[str, Promise] = {
    "ours": _lazy("our page is there"),
    "other": _lazy("another page is there, of another web server"),
    "status": _lazy("answers with status %(status)s, not with our page"),
    "redirect_lost": _lazy("leads to %(redirected_to)s, and our page is not there"),
    "refused": _lazy("refuses connections on port 80"),
    "silent": _lazy("does not answer on port 80; often a firewall"),
    "unreachable": _lazy("cannot be reached from here; nothing is known"),
    "not_http": _lazy("answers, but not as a web server"),
}
_CHALLENGES: dict[str, Promise] = {
    "agent": _lazy("a page on port 80, answered by the mail server"),
    "panel": _lazy("a page on port 80, answered by this panel"),
    "web_root": _lazy("a page on port 80, a file in the web server’s folder"),
    "dns-01": _lazy("a DNS record"),
    "dns-persist-01": _lazy("a lasting DNS record"),
}
_EVENTS: dict[str, Promise] = {
    "acme.order_made": _lazy("Ordered at %(ca)s."),
    "acme.ordered_anew": _lazy(
        "The authority has forgotten the account or the order; both are made anew."
    ),
    "acme.given_up_handed_in": _lazy(
        "Given up after the request was handed in: if the authority has issued a certificate, it "
        "is not fetched any more, and a key drawn for it is destroyed. The next order is a second "
        "one there."
    ),
    "acme.proof_in_place": _lazy("The proof for %(name)s is in place."),
    "acme.name_valid": _lazy("%(ca)s found the proof for %(name)s."),
    "acme.name_valid_already": _lazy(
        "%(name)s did not have to be proven: the proof of an earlier order still counts."
    ),
    "acme.waiting_for_record": _lazy(
        "Waiting until somebody writes the record %(record)s for %(name)s."
    ),
    "acme.issued": _lazy("Issued by %(ca)s, valid until %(until)s."),
    "acme.rehearsed": _lazy(
        "Rehearsed at the staging directory of %(ca)s: a certificate was issued and thrown away."
    ),
    "acme.rehearsed_on_wire": _lazy(
        "A mail server made for this rehearsal alone served the certificate; proven by handshake "
        "on %(ports)s ports, and thrown away."
    ),
    "acme.key_kept_for_tlsa": _lazy(
        "The key is kept: there is a TLSA record (DANE) for %(name)s, which may name it."
    ),
    "acme.key_kept_unasked": _lazy(
        "The key is kept: the DNS does not tell whether a TLSA record (DANE) for %(name)s names "
        "it (%(rcode)s). To change it then could stop mail. If there is no DANE, choose a new "
        "key for each renewal under *Change*."
    ),
    "acme.tlsa_unknown_to_servers": _lazy(
        "The name servers do not know TLSA records at all (%(rcode)s), so there is none for "
        "%(name)s, and the key need not be kept for DANE."
    ),
    "acme.name_left_out": _lazy(
        "%(name)s is left out this time, because the authority did not find its proof again and "
        "again. It keeps the old certificate until that expires."
    ),
    "acme.deployment_begun": _lazy("Deployment #%(number)s puts it in place."),
    "acme.proven": _lazy("Deployed and proven by handshake (deployment #%(number)s)."),
    "acme.proven_by_admin": _lazy("It is served now, and proven by handshake."),
    "acme.old_not_served": _lazy(
        "No port serves the certificate it takes the place of (%(old)s), so there is nothing to "
        "deploy."
    ),
    "acme.waits_for_admin": _lazy(
        "It waits for somebody to put it in place: renewals are not deployed by themselves here."
    ),
    "acme.window_told": _lazy(
        "The authority wants it renewed between %(start)s and %(end)s (ARI)."
    ),
}


def say_event(event: AcmeEvent) -> str:
    """Return a line of the timeline; one that tells of a problem is that problem's sentence."""
    template = _EVENTS.get(event.code)
    if template is None:
        problem = Problem(event.code, Severity(event.severity), event.name, event.params)
        return say(problem)
    ca = event.order.account.title if event.order else ""
    params = {"ca": ca, "name": event.name, **event.params}
    if params.get("rcode") == "":
        params["rcode"] = _("nobody answered")
    try:
        return str(template) % {name: _readable(value) for name, value in params.items()}
    except (KeyError, ValueError, TypeError):
        # A row of another version may lack a parameter; the code still tells what happened.
        return event.code


def say_headline(order: AcmeOrder, *, is_served: bool = False, is_stalled: bool = False) -> str:
    """Return where an order stands, in one line.

    ``is_served``: by a deployment of somebody's. ``is_stalled``: the request is handed in.
    """
    if is_served:
        return _("Issued, and in place by now")
    if is_stalled:
        return _("Waiting: the request is handed in, and its answer cannot be fetched")
    is_rehearsal = order.trigger == AcmeOrder.Trigger.REHEARSAL
    headlines = _REHEARSED if is_rehearsal and order.status in _REHEARSED else _HEADLINES
    return str(headlines[order.status])


def say_challenge(wanted: AcmeCertificate) -> str:
    """Return how the names are proven."""
    if wanted.challenge == AcmeCertificate.Challenge.HTTP_01:
        return str(_CHALLENGES[wanted.http_way])
    by = wanted.dns_access.title if wanted.dns_access else _("by hand")
    return f"{_CHALLENGES[wanted.challenge]} ({by})"


def say_who_acts(wanted: AcmeCertificate) -> str:
    """Return who has to do something for the next renewal; how it is done is said after it."""
    if wanted.failures:
        return _("You, unless the next attempt succeeds:")
    if not wanted.is_renewed_automatically:
        return _("You:")
    if wanted.challenge == AcmeCertificate.Challenge.DNS_01 and wanted.dns_access_id is None:
        return _("You, to write the DNS record it asks for:")
    if not wanted.is_deployed_automatically:
        return _("You, to put the new one in place:")
    return _("Nobody:")


def say_profile(name: str, description: str = "") -> str:
    """Return what a profile means; of one that only the authority knows, its own words."""
    meaning = describe_profile(name)
    if meaning.code == "acme.profile_unknown" and description:
        return description[:_LONGEST_DESCRIPTION]
    return say(meaning.problem)


def say_limit(budget: Budget) -> str:
    """Return what a limit counts, and of whom."""
    template = preflight.BUDGETS[str(budget.kind)]
    return str(template) % {"who": both_forms(budget.subject) if budget.subject else ""}


def say_path(path: Mapping[str, Any]) -> str:
    """Return what one address answered on the challenge path."""
    answer = str(path.get("answer", ""))
    if not answer:
        return _("was not asked")
    params = {"status": path.get("status", 0), "redirected_to": path.get("redirected_to", "")}
    return str(_PATHS[answer]) % params if answer in _PATHS else answer


def _readable(value: object) -> object:
    """Return a moment as people read it, anything else as it is."""
    if isinstance(value, str) and value.endswith("+00:00"):
        try:
            return f"{datetime.fromisoformat(value):%Y-%m-%d %H:%M} UTC"
        except ValueError:
            return value
    return value
