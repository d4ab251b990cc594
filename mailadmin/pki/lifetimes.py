"""From when until when a server certificate is valid, and for how long it may be.

=================================  ========  ===============  ======================================
code                               severity  params           source
=================================  ========  ===============  ======================================
certificate.dates_reversed         error     not_before,      RFC 5280 4.1.2.5
                                             not_after
certificate.expired                error     not_after        C8; RFC 5280 4.1.2.5
certificate.not_yet_valid          error     not_before       C8; RFC 5280 4.1.2.5
certificate.expires_soon           warning   not_after, days  C8: a third left, half below ten days
certificate.long_lived             warning,  days, limit      C9; BR 6.3.2: a warning for a public
                                   or info                    authority, a note for a private one
certificate.longer_than_apple      warning   days, limit      Apple: 825 days, whoever the authority
certificate.no_real_end            warning   not_after        RFC 5280 4.1.2.5; nothing will remind
certificate.short_lived            info      days             BR 1.6.1: a short-lived certificate
=================================  ========  ===============  ======================================

Times are ISO 8601 text, in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from mailadmin.pki.facts import CertificateFacts, certificate_problem
from mailadmin.pki.problems import Problem, Severity

# Longest validity that public authorities may give, by the day of issue (CA/Browser Forum
# Baseline Requirements, 6.3.2); the newest first.
_VALIDITY_LIMITS = (
    (datetime(2029, 3, 15, tzinfo=UTC), 47),
    (datetime(2027, 3, 15, tzinfo=UTC), 100),
    (datetime(2026, 3, 15, tzinfo=UTC), 200),
    (datetime(2020, 9, 1, tzinfo=UTC), 398),
)
_OLDEST_LIMIT = 825
_APPLE_SINCE, _APPLE_LIMIT = datetime(2019, 7, 1, tzinfo=UTC), 825  # support.apple.com/103769
_SHORT_LIFETIME = timedelta(days=10)
_SHORT_LIVED = timedelta(days=7)
_FAR_END = datetime(2100, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)  # both ends count


def lifetime_problems(
    facts: CertificateFacts, now: datetime, *, is_public: bool
) -> Iterator[Problem]:
    """Judge the validity; ``is_public``: the chain leads to a public authority."""
    if facts.not_after < facts.not_before:
        yield certificate_problem(
            "certificate.dates_reversed",
            facts,
            not_before=facts.not_before.isoformat(),
            not_after=facts.not_after.isoformat(),
        )
        return
    yield from _moment_problems(facts, now)
    yield from _length_problems(facts, is_public=is_public)


def _moment_problems(facts: CertificateFacts, now: datetime) -> Iterator[Problem]:
    lifetime = facts.not_after - facts.not_before
    renewal_share = 1 / 2 if lifetime < _SHORT_LIFETIME else 1 / 3
    end = facts.not_after.isoformat()
    if facts.is_expired(now):
        yield certificate_problem("certificate.expired", facts, not_after=end)
    elif now < facts.not_before:
        begin = facts.not_before.isoformat()
        yield certificate_problem("certificate.not_yet_valid", facts, not_before=begin)
    elif facts.lifetime_left(now) < renewal_share:
        soon, days = Severity.WARNING, facts.days_left(now)
        yield certificate_problem("certificate.expires_soon", facts, soon, not_after=end, days=days)


def _length_problems(facts: CertificateFacts, *, is_public: bool) -> Iterator[Problem]:
    lifetime = facts.not_after - facts.not_before + _SECOND
    days = (facts.not_after - facts.not_before).days
    limits = (limit for since, limit in _VALIDITY_LIMITS if facts.not_before >= since)
    limit = next(limits, _OLDEST_LIMIT)
    is_too_long = lifetime > timedelta(days=limit)
    if facts.not_after >= _FAR_END:
        end = facts.not_after.isoformat()
        yield certificate_problem("certificate.no_real_end", facts, Severity.WARNING, not_after=end)
    if is_too_long and is_public:
        yield certificate_problem(
            "certificate.long_lived", facts, Severity.WARNING, days=days, limit=limit
        )
    elif facts.not_before >= _APPLE_SINCE and lifetime > timedelta(days=_APPLE_LIMIT):
        yield certificate_problem(
            "certificate.longer_than_apple",
            facts,
            Severity.WARNING,
            days=days,
            limit=_APPLE_LIMIT,
        )
    elif is_too_long and not facts.is_self_signed:
        yield certificate_problem(
            "certificate.long_lived", facts, Severity.INFO, days=days, limit=limit
        )
    if lifetime <= _SHORT_LIVED:
        yield certificate_problem("certificate.short_lived", facts, Severity.INFO, days=days)
