"""Addresses of the notifications."""

from __future__ import annotations

from django.urls import path

from mailadmin.notifications import views

app_name = "notifications"
urlpatterns = [
    path("", views.show_list, name="list"),
    path("past/", views.show_past, name="past"),
    path("log/", views.show_log, name="log"),
    path("log/<int:pk>/", views.show_delivery, name="delivery"),
    path("destinations/add/<slug:kind>/", views.add, name="add"),
    path("destinations/<int:pk>/", views.edit, name="edit"),
    path("destinations/<int:pk>/switch/", views.switch, name="switch"),
    path("destinations/<int:pk>/test/", views.test, name="test"),
    path("destinations/<int:pk>/delete/", views.delete, name="delete"),
]
