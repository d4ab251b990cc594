"""Addresses of the audit log."""

from __future__ import annotations

from django.urls import path, re_path

from mailadmin.audit import views

app_name = "audit"
urlpatterns = [
    path("", views.list_events, name="list"),
    path("<int:pk>/", views.show_event, name="detail"),
    re_path(r"^export\.(?P<file_format>csv|json)$", views.export_events, name="export"),
]
