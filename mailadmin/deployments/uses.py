"""Which deployments still need a certificate: they wait, or they run just now."""

from __future__ import annotations

from django.utils.translation import gettext as _

from mailadmin.certificates.models import Certificate
from mailadmin.certificates.selectors import Use, UseKind
from mailadmin.deployments.models import Deployment
from mailadmin.mailconf.state import DesiredState


def find_deployment_uses(certificate: Certificate) -> list[Use]:
    """Return the unfinished deployments whose state has the certificate.

    A worker opens its key only when the deployment runs, so it must not be destroyed before.
    """
    unfinished = [Deployment.Status.QUEUED, Deployment.Status.RUNNING]
    rows = Deployment.objects.filter(status__in=unfinished).order_by("number")
    return [
        Use(UseKind.DEPLOYMENT, _("deployment %(number)s") % {"number": row.number})
        for row in rows
        if certificate.fingerprint in DesiredState.from_dict(row.state).used_fingerprints
    ]
