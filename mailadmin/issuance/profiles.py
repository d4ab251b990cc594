"""What a certificate's profile means, and whether it suits a mail server.

draft-ietf-acme-profiles lets an authority offer several under names of its own, each with a
description for people (``meta.profiles`` of its directory). The names below are those of Let's
Encrypt (letsencrypt.org/docs/profiles, 2026-09); Pebble offers some of them, too.

=========================  ========  ============================
code                       severity  params
=========================  ========  ============================
acme.profile_default       info
acme.profile_classic       info      days, limit
acme.profile_tlsserver     info      days, limit
acme.profile_shortlived    warning   hours, limit
acme.profile_ended         error     profile
acme.profile_unknown       info      profile
acme.profile_not_offered   error     profile, offered
=========================  ========  ============================
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from mailadmin.issuance.texts import clean_words
from mailadmin.pki.problems import Param, Problem, Severity

USUAL_LIMIT = 100  # names; what public authorities accept without being asked
_MAX_PROFILE = 64  # characters that are shown
_OFFERED_SHOWN = 10


@dataclass(frozen=True, slots=True)
class ProfileMeaning:
    """What one gets.

    ``lifetime`` is unknown (``None``) where the name says nothing; ``is_fit_for_mail`` is false if
    a mail server should get it only with a watchful eye on renewals, or cannot have it at all.
    """

    name: str
    problem: Problem
    max_names: int = USUAL_LIMIT
    lifetime: timedelta | None = None
    allows_addresses: bool = False
    has_common_name: bool = True
    is_fit_for_mail: bool = True

    @property
    def code(self) -> str:
        """Return the code of the sentence that says all this."""
        return self.problem.code


def describe_profile(name: str) -> ProfileMeaning:
    """Return what a profile means; an empty name stands for the authority's own choice."""
    known = {
        "": ProfileMeaning("", Problem("acme.profile_default", Severity.INFO)),
        "classic": ProfileMeaning(
            "classic",
            _told("acme.profile_classic", Severity.INFO, days=90, limit=100),
            lifetime=timedelta(days=90),
        ),
        "tlsserver": ProfileMeaning(
            "tlsserver",
            _told("acme.profile_tlsserver", Severity.INFO, days=45, limit=25),
            max_names=25,
            lifetime=timedelta(days=45),
            has_common_name=False,
        ),
        "shortlived": ProfileMeaning(
            "shortlived",
            _told("acme.profile_shortlived", Severity.WARNING, hours=160, limit=25),
            max_names=25,
            lifetime=timedelta(hours=160),
            allows_addresses=True,
            has_common_name=False,
            is_fit_for_mail=False,
        ),
        "tlsclient": ProfileMeaning(
            "tlsclient",
            _told("acme.profile_ended", Severity.ERROR, profile="tlsclient"),
            is_fit_for_mail=False,
        ),
    }
    if name in known:
        return known[name]
    shown = clean_words(name, _MAX_PROFILE)
    # Another authority's: what it allows is for that authority to say.
    return ProfileMeaning(
        name, _told("acme.profile_unknown", Severity.INFO, profile=shown), allows_addresses=True
    )


def profile_problems(name: str, offered: Iterable[str]) -> list[Problem]:
    """Judge the choice of a profile against those that the directory offers."""
    names = sorted(offered)
    if not name or name in names:
        return []
    shown = ", ".join(clean_words(each, _MAX_PROFILE) for each in names[:_OFFERED_SHOWN])
    chosen = clean_words(name, _MAX_PROFILE)
    return [_told("acme.profile_not_offered", Severity.ERROR, profile=chosen, offered=shown)]


def _told(code: str, severity: Severity, **params: Param) -> Problem:
    return Problem(code, severity, params=params)
