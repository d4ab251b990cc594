"""Addresses of the overview."""

from __future__ import annotations

from django.urls import path

from mailadmin.dashboard import views

app_name = "dashboard"
urlpatterns = [
    path("", views.overview, name="overview"),
    path("check/", views.check, name="check"),
    path("served/", views.matrix, name="matrix"),
    path("served/<slug:service>/", views.listener, name="listener"),
]
