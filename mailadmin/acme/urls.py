"""Addresses of the renewals."""

from __future__ import annotations

from django.urls import path

from mailadmin.acme.views import accesses, accounts, certificates, orders

app_name = "acme"
urlpatterns = [
    path("", certificates.show_renewals, name="renewals"),
    path("add/", certificates.AddView.as_view(), name="add"),
    path("<int:pk>/", certificates.show_detail, name="detail"),
    path("<int:pk>/change/", certificates.ChangeView.as_view(), name="change"),
    path("<int:pk>/forget/", certificates.ForgetView.as_view(), name="forget"),
    path("<int:pk>/look/", orders.look, name="look"),
    path("<int:pk>/order/", orders.order, name="order"),
    path("<int:pk>/rehearse/", orders.rehearse, name="rehearse"),
    path("looks/<int:pk>/", orders.show_preflight, name="preflight"),
    path("orders/<int:pk>/", orders.show_order, name="order_detail"),
    path("orders/<int:pk>/cancel/", orders.cancel, name="order_cancel"),
    path("orders/<int:pk>/continue/", orders.go_on, name="order_continue"),
    path("accounts/", accounts.show_accounts, name="accounts"),
    path("accounts/add/", accounts.AddView.as_view(), name="account_add"),
    path("accounts/<int:pk>/", accounts.show_account, name="account_detail"),
    path("accounts/<int:pk>/contact/", accounts.change_contact, name="account_contact"),
    path("accounts/<int:pk>/register/", accounts.register, name="account_register"),
    path("accounts/<int:pk>/roll-key/", accounts.roll_key, name="account_roll_key"),
    path("accounts/<int:pk>/end/", accounts.EndView.as_view(), name="account_end"),
    path("dns/", accesses.show_accesses, name="accesses"),
    path("dns/add/<slug:kind>/", accesses.AddView.as_view(), name="access_add"),
    path("dns/<int:pk>/", accesses.ChangeView.as_view(), name="access_change"),
    path("dns/<int:pk>/delete/", accesses.DeleteView.as_view(), name="access_delete"),
]
