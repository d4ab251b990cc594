"""The timeline: one row for everything a person would want to know afterwards."""

from __future__ import annotations

from django.utils import timezone

from mailadmin.acme.models import AcmeCertificate, AcmeEvent, AcmeOrder
from mailadmin.pki.problems import Param, Problem, Severity


def tell(
    order: AcmeOrder,
    code: str,
    *,
    name: str = "",
    severity: Severity = Severity.INFO,
    **params: Param,
) -> None:
    """Add a line about an order; ``name`` if it is about one of its names."""
    tell_problem(order, Problem(code, severity, name, params))


def tell_problem(order: AcmeOrder, problem: Problem) -> None:
    """Add a line that says what is wrong; the problem's subject is the name."""
    AcmeEvent.objects.create(
        acme_certificate=order.acme_certificate,
        order=order,
        at=timezone.now(),
        code=problem.code,
        severity=str(problem.severity),
        name=problem.subject[:255],
        params=dict(problem.params),
    )


def tell_of(
    acme_certificate: AcmeCertificate,
    code: str,
    severity: Severity = Severity.INFO,
    **params: Param,
) -> None:
    """Add a line that belongs to no order."""
    AcmeEvent.objects.create(
        acme_certificate=acme_certificate,
        at=timezone.now(),
        code=code,
        severity=str(severity),
        params=dict(params),
    )
