"""What is worth telling now: facts in, findings out. Nothing is read, written or sent here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mailadmin.notifications.stages import Lifetime, Stage
from mailadmin.pki.names import is_covered
from mailadmin.pki.problems import Severity

# How long a newer certificate may lie here before somebody is reminded to use it.
_LEISURE, _HASTE = timedelta(days=1), timedelta(hours=1)
_NEAR = timedelta(days=3)
# Attempts in a row: after 1, 10 and 100 minutes it is no hiccup of the network any more.
_FAILURES = 3
# What must be left of the whole lifetime, or somebody has to act today.
_LAST_SHARE = 1 / 6
_MOST_FILES = 5

CODES_OF_STAGES = {
    Stage.RENEWAL: ("certificate.renewal_due", Severity.INFO),
    Stage.TEN_DAYS: ("certificate.ten_days", Severity.WARNING),
    Stage.THREE_DAYS: ("certificate.three_days", Severity.ERROR),
    Stage.EXPIRED: ("certificate.expired", Severity.ERROR),
}
# Takes the place of the renewal that is due; the later stages say it in their own words.
_NOT_RENEWED = ("certificate.not_renewed", Severity.WARNING)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that stands now; :class:`~mailadmin.notifications.models.Notice` explains it."""

    code: str
    subject: str
    severity: Severity
    params: dict[str, Any]
    occurrence: str = ""
    is_quiet: bool = False
    server_id: int | None = None
    certificate_id: int | None = None
    deployment_id: int | None = None


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """What the judgement needs of a row."""

    pk: int
    fingerprint: str
    label: str
    names: tuple[str, ...]
    issuer: str
    lifetime: Lifetime
    key_family: str
    created_at: datetime
    companion_id: int | None = None
    replaces_id: int | None = None


@dataclass(frozen=True, slots=True)
class CertificateUse:
    """Where one mail server uses a certificate: as its rows want it, and as applied last."""

    server_id: int
    host_name: str
    is_wanted: bool
    is_applied: bool
    # As people say it: "465, 993, mail2.example.org".
    places: str


@dataclass(frozen=True, slots=True)
class PortTrouble:
    """A port that showed something else than wanted in each of the last looks."""

    server_id: int
    host_name: str
    service: str
    port: int
    problem: dict[str, Any]
    # The look in which it began, as far back as is known.
    since_run: int


@dataclass(frozen=True, slots=True)
class BadDeployment:
    """The last deployment of a server, which was not proven."""

    pk: int
    server_id: int
    host_name: str
    number: int
    is_taken_back: bool
    failure: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class FailingRenewal:
    """A certificate that an authority was asked for in vain, several times in a row.

    ``lifetime`` is that of the one in use; ``None`` if there is none yet. ``problem`` is what ended
    the last attempt.
    """

    pk: int
    label: str
    authority: str
    failures: int
    next_attempt_at: datetime | None
    lifetime: Lifetime | None
    problem: dict[str, Any] | None
    certificate_id: int | None = None
    server_id: int | None = None


@dataclass(frozen=True, slots=True)
class HandEdit:
    """What somebody changed on a mail server outside the panel, and nobody decided to leave."""

    pk: int
    server_id: int
    host_name: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the judgement looks at."""

    certificates: tuple[StoredCertificate, ...] = ()
    uses: dict[str, CertificateUse] = field(default_factory=dict)
    ports: tuple[PortTrouble, ...] = ()
    deployments: tuple[BadDeployment, ...] = ()
    renewals: tuple[FailingRenewal, ...] = ()
    edits: tuple[HandEdit, ...] = ()


class Heirs:
    """Finds the newer certificate that covers all names of an older one."""

    def __init__(self, certificates: Iterable[StoredCertificate]) -> None:
        self._by_name: dict[str, list[StoredCertificate]] = defaultdict(list)
        for item in certificates:
            for name in item.names:
                self._by_name[name].append(item)

    def find(self, old: StoredCertificate) -> StoredCertificate | None:
        """Return the heir that is good longest."""
        heirs = [item for item in self._candidates(old) if _is_heir(item, old)]
        return max(heirs, key=lambda item: item.lifetime.not_after, default=None)

    def _candidates(self, old: StoredCertificate) -> Sequence[StoredCertificate]:
        if not old.names:
            return ()
        first = old.names[0]
        wildcard = "*." + first.partition(".")[2]
        return [*self._by_name.get(first, ()), *self._by_name.get(wildcard, ())]


def _is_heir(item: StoredCertificate, old: StoredCertificate) -> bool:
    """Tell whether ``item`` can take the place of ``old``.

    A pair of RSA and ECDSA has the same names; its other half is no heir, nor is the other half's.
    """
    if item.pk in (old.pk, old.companion_id):
        return False
    if old.companion_id is not None and item.key_family != old.key_family:
        return False
    is_newer = item.replaces_id == old.pk or item.lifetime.not_before > old.lifetime.not_before
    is_longer = item.lifetime.not_after > old.lifetime.not_after
    return is_newer and is_longer and all(_covers(item, name) for name in old.names)


def _covers(item: StoredCertificate, name: str) -> bool:
    return name in item.names or (not name.startswith("*.") and is_covered(name, item.names))


def judge(facts: Facts, now: datetime) -> list[Finding]:
    """Return what stands now, each subject and code once."""
    heirs = Heirs(facts.certificates)
    found: list[Finding] = []
    for item in facts.certificates:
        if now < item.lifetime.renewal_at:
            continue
        use = facts.uses.get(item.fingerprint)
        if use is None:
            found += _judge_spare(item, heirs.find(item), now)
        else:
            found += _judge_used(item, use, heirs.find(item), now)
    found += [_judge_port(item) for item in facts.ports]
    found += [_judge_deployment(item) for item in facts.deployments]
    found += [finding for item in facts.renewals for finding in _judge_renewal(item, now)]
    found += [_judge_edit(item) for item in facts.edits]
    return found


def _judge_used(
    item: StoredCertificate,
    use: CertificateUse,
    heir: StoredCertificate | None,
    now: datetime,
) -> Iterator[Finding]:
    stage = item.lifetime.stage(now)
    # On its way out already, or a newer one is here: then it is not renewal that is missing.
    is_settled = heir is not None or not use.is_wanted
    if stage is not Stage.RENEWAL or not is_settled:
        is_given_up = stage is Stage.RENEWAL and now >= item.lifetime.given_up_at
        code, severity = _NOT_RENEWED if is_given_up else CODES_OF_STAGES[stage]
        yield _about(code, severity, item, use, heir)
    if heir is not None and now - heir.created_at >= _patience_with(item, now):
        yield _about("certificate.not_deployed", Severity.WARNING, item, use, heir)


def _patience_with(item: StoredCertificate, now: datetime) -> timedelta:
    return _HASTE if item.lifetime.not_after - now < _NEAR else _LEISURE


def _judge_spare(
    item: StoredCertificate, heir: StoredCertificate | None, now: datetime
) -> Iterator[Finding]:
    """Nobody loses mail by a certificate that is used nowhere: it is shown, not told."""
    if heir is None and item.lifetime.stage(now) is not Stage.EXPIRED:
        yield Finding(
            code="certificate.spare_ends",
            subject=item.fingerprint,
            severity=Severity.INFO,
            params=_params(item),
            is_quiet=True,
            certificate_id=item.pk,
        )


def _about(
    code: str,
    severity: Severity,
    item: StoredCertificate,
    use: CertificateUse,
    heir: StoredCertificate | None,
) -> Finding:
    about: dict[str, Any] = {
        "host_name": use.host_name,
        "places": use.places,
        "way": _way(use, heir),
    }
    if heir is not None:
        about |= {"heir": heir.label, "heir_id": heir.pk}
        about |= {"heir_not_after": heir.lifetime.not_after.isoformat()}
    return Finding(
        code=code,
        subject=item.fingerprint,
        severity=severity,
        params=_params(item) | about,
        occurrence=heir.fingerprint if heir and code == "certificate.not_deployed" else "",
        server_id=use.server_id,
        certificate_id=item.pk,
    )


def _way(use: CertificateUse, heir: StoredCertificate | None) -> str:
    """Return what is missing until the old one is gone: ``renew``, ``choose`` or ``apply``."""
    if not use.is_wanted:
        return "apply"
    return "choose" if heir else "renew"


def _params(item: StoredCertificate) -> dict[str, Any]:
    return {
        "label": item.label,
        "names": len(item.names),
        "issuer": item.issuer,
        "not_after": item.lifetime.not_after.isoformat(),
    }


def _judge_port(item: PortTrouble) -> Finding:
    return Finding(
        code="port.not_as_wanted",
        subject=f"{item.server_id}/{item.service}",
        severity=Severity.ERROR,
        params={
            "host_name": item.host_name,
            "service": item.service,
            "port": item.port,
            "problem": item.problem,
        },
        occurrence=str(item.since_run),
        server_id=item.server_id,
    )


def _judge_edit(item: HandEdit) -> Finding:
    shown = item.files[:_MOST_FILES]
    more = ["…"] if len(item.files) > _MOST_FILES else []
    return Finding(
        code="server.drift",
        subject=str(item.server_id),
        severity=Severity.WARNING,
        params={"host_name": item.host_name, "files": ", ".join([*shown, *more])},
        occurrence=str(item.pk),
        server_id=item.server_id,
    )


def _judge_deployment(item: BadDeployment) -> Finding:
    code = "deployment.taken_back" if item.is_taken_back else "deployment.failed"
    return Finding(
        code=code,
        subject=str(item.pk),
        severity=Severity.WARNING if item.is_taken_back else Severity.ERROR,
        params={"host_name": item.host_name, "number": item.number, "failure": item.failure},
        server_id=item.server_id,
        deployment_id=item.pk,
    )


def _judge_renewal(item: FailingRenewal, now: datetime) -> Iterator[Finding]:
    is_late = item.lifetime is not None and (
        item.lifetime.not_after - now < item.lifetime.whole * _LAST_SHARE
    )
    if item.failures < _FAILURES and not (is_late and item.failures):
        return
    params: dict[str, Any] = {
        "renewal_id": item.pk,
        "label": item.label,
        "authority": item.authority,
        "failures": item.failures,
        "problem": item.problem,
    }
    if item.next_attempt_at is not None:
        params["next_attempt_at"] = item.next_attempt_at.isoformat()
    if item.lifetime is not None:
        params["not_after"] = item.lifetime.not_after.isoformat()
    yield Finding(
        code="acme.renewal_failing",
        # Two subjects, so that it is told again once it gets serious.
        subject=f"{item.pk}/late" if is_late else str(item.pk),
        severity=Severity.ERROR if is_late else Severity.WARNING,
        params=params,
        # What fails belongs to the certificate in place; the next one's is another story.
        occurrence=str(item.certificate_id or ""),
        server_id=item.server_id,
        certificate_id=item.certificate_id,
    )
