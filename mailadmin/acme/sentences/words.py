"""States, stages and the timeline in words."""

from __future__ import annotations

from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from mailadmin.acme.models import AcmeCertificate, AcmeEvent
from mailadmin.acme.sentences import say
from mailadmin.pki.problems import Problem, Severity

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
    "acme.key_kept_for_tlsa": _lazy("The key is kept, because a TLSA record names it."),
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
    return str(template) % {name: _readable(value) for name, value in params.items()}


def say_challenge(wanted: AcmeCertificate) -> str:
    """Return how the names are proven."""
    if wanted.challenge == AcmeCertificate.Challenge.HTTP_01:
        return str(_CHALLENGES[wanted.http_way])
    by = wanted.dns_access.title if wanted.dns_access else _("by hand")
    return f"{_CHALLENGES[wanted.challenge]} ({by})"


def _readable(value: object) -> object:
    """Return a moment as people read it, anything else as it is."""
    if isinstance(value, str) and value.endswith("+00:00"):
        try:
            return f"{datetime.fromisoformat(value):%Y-%m-%d %H:%M} UTC"
        except ValueError:
            return value
    return value
