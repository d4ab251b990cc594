"""Addresses of Review and of the deployments."""

from __future__ import annotations

from django.urls import path

from mailadmin.deployments import adopting_views, drift_views, views

app_name = "deployments"
urlpatterns = [
    path("", views.list_deployments, name="list"),
    path("review/", views.review, name="review"),
    path("review/plan/", views.plan_anew, name="plan"),
    path("review/plan/status/", views.plan_status, name="plan_status"),
    path("review/foresight/", views.foresight_status, name="foresight_status"),
    path("review/apply/", views.apply, name="apply"),
    path("review/discard/", views.discard, name="discard"),
    path("drift/", drift_views.drift, name="drift"),
    path("drift/take-over/", drift_views.take_over, name="drift_take_over"),
    path("drift/restore/", drift_views.restore, name="drift_restore"),
    path("drift/leave/", drift_views.leave, name="drift_leave"),
    path("adopt/", adopting_views.adopt, name="adopt"),
    path("adopt/read/", adopting_views.read, name="adopt_read"),
    path("adopt/status/", adopting_views.adopt_status, name="adopt_status"),
    path("adopt/accept/", adopting_views.accept, name="adopt_accept"),
    path("adopt/undo/", adopting_views.undo, name="adopt_undo"),
    path("<int:number>/", views.detail, name="detail"),
    path("<int:number>/steps/", views.steps, name="steps"),
    path("<int:number>/awaiting/", views.awaiting, name="awaiting"),
    path("<int:number>/confirm/", views.confirm, name="confirm"),
    path("<int:number>/take-back/", views.take_back, name="take_back"),
    path("<int:number>/restore/", views.restore, name="restore"),
]
