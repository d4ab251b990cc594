"""Which deployments still need a certificate: they wait, run, or may yet be taken back."""

from __future__ import annotations

from django.utils.translation import gettext as _

from mailadmin.certificates.models import Certificate
from mailadmin.certificates.selectors import Use, UseKind
from mailadmin.deployments.models import Deployment
from mailadmin.deployments.selectors import awaiting_deployments
from mailadmin.mailconf.state import DesiredState


def find_deployment_uses(certificate: Certificate) -> list[Use]:
    """Return the deployments that need the certificate to come to their end.

    A worker opens its key only when the deployment runs, so it must not be destroyed before. What
    one replaced that waits to be confirmed is served again if it is not.
    """
    unfinished = [Deployment.Status.QUEUED, Deployment.Status.RUNNING]
    rows = Deployment.objects.filter(status__in=unfinished).order_by("number")
    needed = [(row, row.state) for row in rows]
    needed += [(row, row.state_before or {}) for row in awaiting_deployments()]
    return [
        Use(UseKind.DEPLOYMENT, _("deployment %(number)s") % {"number": row.number})
        for row, state in needed
        if state and certificate.fingerprint in DesiredState.from_dict(state).used_fingerprints
    ]
