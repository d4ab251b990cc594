"""Addresses of the listeners."""

from __future__ import annotations

from django.urls import path

from mailadmin.listeners import views
from mailadmin.servers.views import edit_server

app_name = "listeners"
urlpatterns = [
    path("", views.list_listeners, name="list"),
    path("server/", edit_server, name="server"),
    path("assign/", views.assign, name="assign"),
    path("take-place/", views.take_place, name="take_place"),
    path("put-in-place/", views.put_in_place, name="put_in_place"),
    path("names/", views.add_name, name="names"),
    path("names/remove/", views.remove_name, name="remove_name"),
    path("undo/", views.undo, name="undo"),
    path("<slug:service>/", views.show_row, name="row"),
    path("<slug:service>/edit/", views.edit, name="edit"),
    path("<slug:service>/switch/", views.switch, name="switch"),
]
