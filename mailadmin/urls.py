"""Which app answers which address."""

from __future__ import annotations

from django.urls import include, path

handler500 = "mailadmin.dashboard.errors.answer_fault"

urlpatterns = [
    path("", include("mailadmin.dashboard.urls")),
    path("account/", include("mailadmin.accounts.urls")),
    path("audit/", include("mailadmin.audit.urls")),
    path("certificates/", include("mailadmin.certificates.urls")),
    path("listeners/", include("mailadmin.listeners.urls")),
    path("deployments/", include("mailadmin.deployments.urls")),
    path("renewals/", include("mailadmin.acme.urls")),
    path("notifications/", include("mailadmin.notifications.urls")),
]
