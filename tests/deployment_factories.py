"""Makes plans, deployments with their steps, and looks for the tests: rows, nobody is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from mailadmin.deployments.models import (
    Deployment,
    DeploymentStep,
    Foresight,
    Observation,
    Plan,
    ProbeRun,
)
from mailadmin.deployments.runner.probing import expectations_of, store_observations
from mailadmin.listeners.selectors import applied_state, desired_state, pending_changes
from mailadmin.mailconf import proof
from mailadmin.mailconf.maillog.access import CLEAR
from mailadmin.mailconf.maillog.outlook import look_ahead
from mailadmin.mailconf.maillog.usage import Group, LiveSession, Person, Usage
from mailadmin.mailconf.proof import Expectation, Seen
from mailadmin.mailconf.services import Protocol, TlsMode
from mailadmin.mailconf.state import DesiredState
from mailadmin.pki.problems import Problem, Severity
from mailadmin.servers.models import MailServer
from tests.factories import make_actor

REFUSAL = "530 5.7.0 Authentication required"
DIFF = [
    "--- main.cf\tnow",
    "+++ main.cf\twanted",
    "@@ -12,3 +12,4 @@",
    " smtpd_banner = $myhostname ESMTP",
    "-smtpd_tls_cert_file = /etc/ssl/certs/ssl-cert-snakeoil.pem",
    "+smtpd_tls_chain_files = /var/lib/mailadmin/live/default.pem",
    "+smtpd_tls_security_level = may",
]


# Plans


def make_plan(
    server: MailServer,
    *,
    status: str = Plan.Status.READY,
    problems: Sequence[Problem] = (),
    files: Sequence[Mapping[str, Any]] | None = None,
    age: timedelta = timedelta(0),
    **values: Any,
) -> Plan:
    """Return a stored plan for what is wanted now."""
    if files is None:
        files = [{"name": "main.cf", "lines": DIFF}]
    is_ready = status == Plan.Status.READY
    wanted: dict[str, Any] = {
        "state_digest": desired_state(server).digest,
        "status": status,
        "digest": "d1" * 32 if is_ready else "",
        "files": list(files) if is_ready else [],
        "problems": [item.as_dict() for item in problems],
        "requested_by": "ada",
        **values,
    }
    plan = Plan.objects.create(server=server, **wanted)
    if age:
        Plan.objects.filter(pk=plan.pk).update(created_at=timezone.now() - age)
        plan.refresh_from_db()
    return plan


# Who would notice


def make_usage(**values: Any) -> Usage:
    """Return what the agent counted: POP3 in clear by anna and bert, and by anna just now."""
    now = int(timezone.now().timestamp())
    anna = Person("anna@example.org", 40, now - 3600, "192.0.2.7")
    bert = Person("bert@example.org", 1, now - 9 * 86_400, "192.0.2.8")
    wanted: dict[str, Any] = {
        "since": now - 30 * 86_400,
        "until": now,
        "reaches_to": now - 30 * 86_400,
        "sources": ("/var/log/mail.log",),
        "lines": 120_000,
        "failures": 3,
        "is_complete": True,
        "groups": (Group(("pop3",), CLEAR, "", 41, 2, False, (anna, bert)),),
        "live": (LiveSession("pop3", "192.0.2.7", "anna@example.org"),),
        **values,
    }
    return Usage(**wanted)


def make_foresight(
    server: MailServer, usage: Usage | None = None, *, age: timedelta = timedelta(0), **values: Any
) -> Foresight:
    """Return stored who would notice what is wanted now, as the worker stores it."""
    before, after = applied_state(server), desired_state(server)
    outlook = look_ahead(before, after, usage).as_dict() if usage and before else None
    wanted: dict[str, Any] = {
        "state_digest": after.digest,
        "status": Foresight.Status.READY if usage else Foresight.Status.QUEUED,
        "outlook": outlook,
        "requested_by": "ada",
        **values,
    }
    foresight = Foresight.objects.create(server=server, **wanted)
    if age:
        Foresight.objects.filter(pk=foresight.pk).update(created_at=timezone.now() - age)
        foresight.refresh_from_db()
    return foresight


# Deployments


def make_deployment(
    server: MailServer,
    *,
    status: str = Deployment.Status.SUCCEEDED,
    failure: Problem | None = None,
    age: timedelta = timedelta(minutes=3),
    state: DesiredState | None = None,
    **values: Any,
) -> Deployment:
    """Return a stored deployment of what is wanted now, without steps."""
    state = state or desired_state(server)
    last = server.deployments.order_by("-number").first()
    now = timezone.now()
    is_over = status not in {Deployment.Status.QUEUED, Deployment.Status.RUNNING}
    is_good = status == Deployment.Status.SUCCEEDED
    wanted: dict[str, Any] = {
        "number": last.number + 1 if last else 0,
        "status": status,
        "state_digest": state.digest,
        "state": state.as_dict(),
        "changes": [change.as_dict() for change in pending_changes(server)],
        "files": [{"name": "main.cf", "lines": DIFF}],
        "plan_digest": "d1" * 32,
        "requested_by": "ada",
        "actor": asdict(make_actor()),
        "started_at": None if status == Deployment.Status.QUEUED else now - age,
        "finished_at": now - age + timedelta(seconds=3) if is_over else None,
        "failure": failure.as_dict() if failure else None,
        "evidence": [seen.as_dict() for seen in seen_as_wanted(state)] if is_good else [],
        "proof_ms": 812 if is_good else None,
        **values,
    }
    deployment = Deployment.objects.create(server=server, **wanted)
    Deployment.objects.filter(pk=deployment.pk).update(requested_at=now - age)
    deployment.refresh_from_db()
    return deployment


def make_steps(
    deployment: Deployment, *codes: str | tuple[str, str], failed_with: Problem | None = None
) -> list[DeploymentStep]:
    """Return stored steps; a running deployment is in its last one, a failed one failed there."""
    begun = deployment.started_at or timezone.now()
    return [
        DeploymentStep.objects.create(
            deployment=deployment,
            position=position,
            **_step_values(deployment, code, is_last=position == len(codes) - 1, why=failed_with),
            at=begun + timedelta(milliseconds=120 * position),
        )
        for position, code in enumerate(codes)
    ]


def _step_values(
    deployment: Deployment, code: str | tuple[str, str], *, is_last: bool, why: Problem | None
) -> dict[str, Any]:
    name, subject = code if isinstance(code, tuple) else (code, "")
    values: dict[str, Any] = {"code": name, "subject": subject, "status": "done"}
    values |= {"duration_ms": 118, "evidence": step_evidence(deployment, name)}
    if is_last and deployment.status == Deployment.Status.RUNNING:
        return values | {"status": "running", "duration_ms": None, "evidence": {}}
    if is_last and why is not None:
        return values | {"status": "failed", "evidence": {"problem": why.as_dict()}}
    return values


def step_evidence(deployment: Deployment, code: str) -> dict[str, Any]:
    """Return what the agent would have told with a step that went well."""
    listeners = [
        seen.as_dict() for seen in seen_as_wanted(DesiredState.from_dict(deployment.state))
    ]
    known: dict[str, dict[str, Any]] = {
        "planned": {"files": ["main.cf", "10-mailadmin.conf"]},
        "staged": {"generation": 7, "certificates": ["default.pem"]},
        "reloaded": {"waited_ms": 61},
        "proved": {"proof_ms": 812, "listeners": listeners},
        "watched": {"rounds": 4},
        "proved_as_before": {"listeners": listeners},
    }
    return known.get(code, {})


# What ports show


def seen_as_wanted(state: DesiredState) -> list[Seen]:
    """Return what the ports show when all is as the state wants it."""
    return [show_as_wanted(item, state) for item in proof.expectations(state)]


def show_as_wanted(expected: Expectation, state: DesiredState, **values: Any) -> Seen:
    """Return a connection that shows what it should, but for the values given."""
    seen = Seen(
        expected.service,
        expected.address,
        expected.port,
        expected.sni_name,
        key_algorithm=expected.key_algorithm,
    )
    if not expected.is_open:
        closed = {"error": "probe.closed", "error_text": "Connection refused"}
        return replace(seen, **(closed | values))
    is_submission = expected.protocol is Protocol.SMTP and expected.service != "smtp"
    shown: dict[str, Any] = {
        "is_open": True,
        "reply_without_login": REFUSAL if is_submission else "",
        "dialogue": (
            ("server", "220 mail.example.org ESMTP Postfix"),
            ("client", "EHLO probe.mailadmin.invalid"),
            ("server", "250-STARTTLS"),
            ("tls", "TLS handshake: TLSv1.3, TLS_AES_256_GCM_SHA384"),
            ("client", "QUIT"),
        ),
        "elapsed_ms": 14,
    }
    if expected.tls_mode is not TlsMode.NONE:
        shown |= {"tls_version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384"}
        shown |= {"fingerprint": expected.fingerprint}
        shown |= {"certificate": shown_certificate(state, expected.fingerprint)}
        shown |= {"chain": (shown_intermediate(),)}
    return replace(seen, **(shown | values))


def shown_certificate(state: DesiredState, fingerprint: str, **values: Any) -> dict[str, Any]:
    """Return a leaf of the state as a probe writes it down."""
    certificate = state.certificate(fingerprint)
    now = timezone.now()
    begin = certificate.not_before if certificate else now - timedelta(days=30)
    end = certificate.not_after if certificate else now + timedelta(days=60)
    return {
        "label": certificate.label if certificate else "unknown",
        "subject": "CN=mail.example.org",
        "issuer": "R11",
        "names": list(certificate.names) if certificate else [],
        "not_before": begin.isoformat(),
        "not_after": end.isoformat(),
        "fingerprint": fingerprint,
        "key": "RSA 2048" if certificate and certificate.key_algorithm == "rsa" else "ECDSA P-256",
        "is_self_signed": False,
        **values,
    }


def shown_intermediate() -> dict[str, Any]:
    """Return an intermediate as a probe writes it down."""
    now = timezone.now()
    return {
        "label": "R11",
        "subject": "CN=R11,O=Let's Encrypt,C=US",
        "issuer": "ISRG Root X1",
        "names": [],
        "not_before": (now - timedelta(days=400)).isoformat(),
        "not_after": (now + timedelta(days=700)).isoformat(),
        "fingerprint": "b7" * 32,
        "key": "RSA 2048",
        "is_self_signed": False,
    }


# Looks


def make_look(
    server: MailServer,
    *,
    age: timedelta = timedelta(minutes=2),
    changed: Mapping[str, Mapping[str, Any]] | None = None,
) -> ProbeRun:
    """Return a stored look at every port; ``changed`` gives what a service shows differently."""
    changed = changed or {}
    moment = timezone.now() - age
    run = _make_run(server, ProbeRun.Status.DONE, moment)
    state = DesiredState.from_dict(server.applied_state) if server.applied_state else None
    state = state or desired_state(server)
    expected = expectations_of(server)
    seen = [show_as_wanted(item, state, **changed.get(item.service, {})) for item in expected]
    store_observations(run, expected, seen)
    return run


def make_unanswered_look(
    server: MailServer,
    *,
    status: str = ProbeRun.Status.QUEUED,
    age: timedelta = timedelta(0),
    error: Problem | None = None,
) -> ProbeRun:
    """Return a look that nobody has answered yet, or that failed."""
    return _make_run(server, status, timezone.now() - age, error)


def agent_away() -> Problem:
    """Return the problem of an agent that cannot be reached."""
    detail = {"detail": "Connection refused"}
    return Problem("agent.unreachable", Severity.ERROR, params=detail)


def observation_of(run: ProbeRun, service: str) -> Observation:
    """Return the first observation of a service in a look."""
    return run.observations.filter(service=service).order_by("pk")[0]


def _make_run(
    server: MailServer, status: str, moment: datetime, error: Problem | None = None
) -> ProbeRun:
    is_over = status in {ProbeRun.Status.DONE, ProbeRun.Status.FAILED}
    run = ProbeRun.objects.create(
        server=server,
        trigger=ProbeRun.Trigger.BEAT,
        status=status,
        requested_by="beat",
        finished_at=moment if is_over else None,
        error=error.as_dict() if error else None,
    )
    ProbeRun.objects.filter(pk=run.pk).update(requested_at=moment)
    run.refresh_from_db()
    return run
