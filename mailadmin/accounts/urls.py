"""Addresses of the login and the account pages: only those we mean to have."""

from __future__ import annotations

from allauth.account import views as account_views
from allauth.mfa.base import views as mfa_views
from allauth.mfa.recovery_codes import views as recovery_code_views
from allauth.mfa.totp import views as totp_views
from django.urls import path

from mailadmin.accounts import views

urlpatterns = [
    path("theme/", views.set_theme, name="set_theme"),
    path("login/", account_views.login, name="account_login"),
    path("logout/", account_views.logout, name="account_logout"),
    path("inactive/", account_views.account_inactive, name="account_inactive"),
    path("password/", account_views.password_change, name="account_change_password"),
    path("reauthenticate/", account_views.reauthenticate, name="account_reauthenticate"),
    path("two-factor/", mfa_views.index, name="mfa_index"),
    path("two-factor/authenticate/", mfa_views.authenticate, name="mfa_authenticate"),
    path("two-factor/reauthenticate/", mfa_views.reauthenticate, name="mfa_reauthenticate"),
    path("two-factor/totp/activate/", totp_views.activate_totp, name="mfa_activate_totp"),
    path("two-factor/totp/deactivate/", totp_views.deactivate_totp, name="mfa_deactivate_totp"),
    path(
        "two-factor/recovery-codes/",
        recovery_code_views.view_recovery_codes,
        name="mfa_view_recovery_codes",
    ),
    path(
        "two-factor/recovery-codes/generate/",
        recovery_code_views.generate_recovery_codes,
        name="mfa_generate_recovery_codes",
    ),
    path(
        "two-factor/recovery-codes/download/",
        recovery_code_views.download_recovery_codes,
        name="mfa_download_recovery_codes",
    ),
]
