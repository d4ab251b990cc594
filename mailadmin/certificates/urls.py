"""Addresses of the certificate pages."""

from __future__ import annotations

from django.urls import path

from mailadmin.certificates.views import (
    adding,
    authorities,
    browsing,
    completing,
    exporting,
    lifecycle,
    pairs,
    requests,
    uploads,
)

app_name = "certificates"
urlpatterns = [
    path("", browsing.show_list, name="list"),
    path("calendar/", lifecycle.show_calendar, name="calendar"),
    path("calendar/download/", lifecycle.download_calendar, name="calendar_download"),
    path("add/", adding.choose_way, name="add"),
    path("add/names/", adding.preview_names, name="names_preview"),
    path("upload/", uploads.UploadView.as_view(), name="upload"),
    path("upload/fetch/", completing.FetchIssuerView.as_view(), name="upload_fetch"),
    path("upload/trust/", completing.TrustRootView.as_view(), name="upload_trust"),
    path("authorities/", authorities.show_list, name="authorities"),
    path("authorities/new/", authorities.AddView.as_view(), name="authority_add"),
    path("authorities/<int:pk>/remove/", authorities.RemoveView.as_view(), name="authority_remove"),
    path("self-signed/", adding.SelfSignedView.as_view(), name="self_signed"),
    path("requests/new/", requests.CreateView.as_view(), name="request_create"),
    path("requests/track/", requests.TrackView.as_view(), name="request_track"),
    path("requests/<int:pk>/", requests.show_request, name="request_detail"),
    path("requests/<int:pk>/download/", requests.download_request, name="request_download"),
    path("requests/<int:pk>/cancel/", requests.CancelView.as_view(), name="request_cancel"),
    path("<int:pk>/", browsing.show_certificate, name="detail"),
    path("<int:pk>/renew/", requests.RenewView.as_view(), name="renew"),
    path("<int:pk>/download/", browsing.download_certificate, name="download"),
    path("<int:pk>/fetch/", completing.fetch_missing, name="fetch"),
    path("<int:pk>/trust/", completing.trust_root, name="trust"),
    path("<int:pk>/export/", exporting.ExportView.as_view(), name="export"),
    path("<int:pk>/pair/", pairs.pair, name="pair"),
    path("<int:pk>/separate/", pairs.separate, name="separate"),
    path("<int:pk>/tag/", lifecycle.add_tag, name="tag"),
    path("<int:pk>/untag/", lifecycle.remove_tag, name="untag"),
    path("<int:pk>/replaces/", lifecycle.PredecessorView.as_view(), name="predecessor"),
    path("<int:pk>/delete/", browsing.DeleteView.as_view(), name="delete"),
]
