"""Reads what :mod:`mailadmin.notifications.findings` judges; a fixed number of queries a server."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from mailadmin.acme.models import AcmeCertificate, AcmeOrder
from mailadmin.certificates.models import Certificate
from mailadmin.deployments.drift import open_drift
from mailadmin.deployments.models import Deployment, Observation, ProbeRun
from mailadmin.listeners.selectors import applied_state, desired_state
from mailadmin.listeners.usage import UseKind, places_by_certificate
from mailadmin.mailconf.state import DesiredState
from mailadmin.notifications.findings import (
    BadDeployment,
    CertificateUse,
    Facts,
    FailingRenewal,
    HandEdit,
    PortTrouble,
    StoredCertificate,
)
from mailadmin.notifications.stages import Lifetime
from mailadmin.pki.names import both_forms
from mailadmin.servers.models import MailServer

# A port is told of when it was wrong in this many looks in a row: a restart is no news.
_IN_A_ROW = 2
_MOST_LOOKS = 50
# Nobody needs to be told of last month's deployment on the day the panel learns to tell.
_RECENT = timedelta(days=7)
_MOST_PLACES = 12


def read_facts(now: datetime) -> Facts:
    """Return what is known of all servers and certificates."""
    uses: dict[str, CertificateUse] = {}
    ports: list[PortTrouble] = []
    deployments: list[BadDeployment] = []
    edits: list[HandEdit] = []
    for server in MailServer.objects.select_related("default_certificate").order_by("pk"):
        # The first server that uses a certificate speaks for it.
        uses = _uses_of(server) | uses
        ports += _port_troubles(server)
        deployments += _bad_deployments(server, now)
        edits += _hand_edits(server)
    return Facts(
        certificates=tuple(_certificates()),
        uses=uses,
        ports=tuple(ports),
        deployments=tuple(deployments),
        renewals=tuple(_failing_renewals()),
        edits=tuple(edits),
    )


def _certificates() -> Iterable[StoredCertificate]:
    rows = Certificate.objects.filter(deleted_at=None).defer("leaf_pem", "chain_pem", "subject")
    for row in rows.iterator():
        yield StoredCertificate(
            pk=row.pk,
            fingerprint=row.fingerprint,
            label=row.label,
            names=tuple(row.names),
            issuer=row.issuer_name,
            lifetime=Lifetime(row.not_before, row.not_after),
            key_family=row.key_description.partition(" ")[0],
            created_at=row.created_at,
            companion_id=row.companion_id,
            replaces_id=row.replaces_id,
        )


def _uses_of(server: MailServer) -> dict[str, CertificateUse]:
    wanted, applied = desired_state(server), applied_state(server)
    places = _places(applied or wanted)
    others = _places(wanted)
    wanted_now = set(wanted.used_fingerprints)
    applied_now = set(applied.used_fingerprints) if applied else set()
    return {
        fingerprint: CertificateUse(
            server_id=server.pk,
            host_name=server.host_name,
            is_wanted=fingerprint in wanted_now,
            is_applied=fingerprint in applied_now,
            places=places.get(fingerprint) or others.get(fingerprint, ""),
        )
        for fingerprint in wanted_now | applied_now
    }


def _failing_renewals() -> Iterable[FailingRenewal]:
    rows = AcmeCertificate.objects.filter(failures__gt=0, is_renewed_automatically=True)
    for row in rows.select_related("account", "certificate"):
        old = row.certificate
        yield FailingRenewal(
            pk=row.pk,
            label=row.label,
            authority=row.account.title,
            failures=row.failures,
            next_attempt_at=row.next_attempt_at,
            lifetime=Lifetime(old.not_before, old.not_after) if old else None,
            problem=_last_problem(row),
            certificate_id=old.pk if old else None,
            server_id=row.server_id,
        )


def _last_problem(row: AcmeCertificate) -> dict[str, Any] | None:
    failed = row.orders.filter(status=AcmeOrder.Status.FAILED)
    return failed.values_list("problem", flat=True).first()


def _places(state: DesiredState) -> dict[str, str]:
    """Return the ports and host names of each certificate, ports first, cut where it gets long."""
    found = {}
    for fingerprint, places in places_by_certificate(state).items():
        ports = sorted({item.port for item in places if item.kind is UseKind.LISTENER})
        names = sorted(item.subject for item in places if item.kind is UseKind.NAME)
        words = [*(str(port) for port in ports), *map(both_forms, names)]
        more = ["…"] if len(words) > _MOST_PLACES else []
        found[fingerprint] = ", ".join([*words[:_MOST_PLACES], *more])
    return found


def _port_troubles(server: MailServer) -> list[PortTrouble]:
    runs = list(
        server.probe_runs.filter(status=ProbeRun.Status.DONE)
        .order_by("-finished_at", "-pk")
        .values_list("pk", flat=True)[:_MOST_LOOKS]
    )
    if len(runs) < _IN_A_ROW:
        return []
    latest = _bad_rows(runs[:1])
    if not latest:
        return []
    bad_in: dict[str, set[int]] = defaultdict(set)
    for run, service in (
        Observation.objects.filter(run__in=runs, service__in=latest)
        .exclude(problems=[])
        .values_list("run", "service")
        .distinct()
    ):
        bad_in[service].add(run)
    troubles = []
    for service, row in latest.items():
        streak = _streak(runs, bad_in[service])
        if len(streak) >= _IN_A_ROW:
            troubles.append(_trouble(server, row, streak[-1]))
    return troubles


def _bad_rows(runs: list[int]) -> dict[str, Observation]:
    """Return one observation with a problem for each service that had one."""
    rows = Observation.objects.filter(run__in=runs).exclude(problems=[]).order_by("-pk")
    return {row.service: row for row in rows}


def _streak(runs: list[int], bad: set[int]) -> list[int]:
    """Return the looks, newest first, up to the first one that was good."""
    streak = []
    for run in runs:
        if run not in bad:
            break
        streak.append(run)
    return streak


def _trouble(server: MailServer, row: Observation, since_run: int) -> PortTrouble:
    return PortTrouble(
        server_id=server.pk,
        host_name=server.host_name,
        service=row.service,
        port=row.port,
        problem=row.problems[0],
        since_run=since_run,
    )


def _hand_edits(server: MailServer) -> list[HandEdit]:
    drift = open_drift(server)
    if drift is None or drift.is_left:
        return []
    return [HandEdit(drift.pk, server.pk, server.host_name, tuple(drift.names))]


def _bad_deployments(server: MailServer, now: datetime) -> list[BadDeployment]:
    over = [
        Deployment.Status.SUCCEEDED,
        Deployment.Status.ROLLED_BACK,
        Deployment.Status.FAILED,
    ]
    rows: Any = server.deployments.filter(status__in=over).order_by("-number")
    last = rows.only("number", "status", "failure", "finished_at", "server").first()
    if last is None or last.status == Deployment.Status.SUCCEEDED:
        return []
    if last.finished_at is None or now - last.finished_at > _RECENT:
        return []
    return [
        BadDeployment(
            pk=last.pk,
            server_id=server.pk,
            host_name=server.host_name,
            number=last.number,
            is_taken_back=last.status == Deployment.Status.ROLLED_BACK,
            failure=last.failure,
        )
    ]
