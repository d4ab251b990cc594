"""Filters, tags, what replaced what, the calendar of expiries, and what may not be deleted yet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from mailadmin.audit.models import AuditEvent
from mailadmin.certificates import succession, tagging
from mailadmin.certificates.errors import CertificateRefusedError
from mailadmin.certificates.icalendar import write_calendar
from mailadmin.certificates.models import Certificate
from mailadmin.deployments.models import Deployment
from mailadmin.listeners.selectors import desired_state
from tests.acme_factories import make_acme_certificate
from tests.deployment_factories import make_deployment
from tests.factories import make_actor
from tests.server_factories import make_binding, make_certificate, make_server
from tests.throwaway_pki import ThrowawayCa
from tests.web.certificates.conftest import store, text_of
from tests.web.certificates.test_pages import titles

pytestmark = pytest.mark.django_db
LIST = "/certificates/"
ACTOR = make_actor()


def days(count: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=count, hours=1)


def post(client: Client, page: str, row: Certificate, **fields: str) -> HttpResponse:
    address = reverse(f"certificates:{page}", args=[row.pk])
    response: HttpResponse = client.post(address, fields, follow=True)
    return response


@pytest.fixture
def some() -> dict[str, Certificate]:
    """Store a certificate of each sort; the first is in use, with a companion."""
    used = make_certificate("used.example.org", not_after=days(40))
    beside = make_certificate("beside.example.org", not_after=days(41), companion=used)
    Certificate.objects.filter(pk=used.pk).update(companion=beside)
    make_server(default_certificate=used)
    return {
        "used": used,
        "beside": beside,
        "spare": make_certificate("spare.example.org", not_after=days(100), tags=["edge"]),
        "expired": make_certificate("expired.example.org", not_after=days(-3), tags=["edge-2"]),
        "gone": make_certificate(
            "gone.example.org", deleted_at=days(-1), private_key=None, tags=["edge"]
        ),
        "later": make_certificate("later.example.org", not_after=days(800)),
    }


# The list


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["used", "beside", "spare", "later", "expired"]),
        ("show=in_use", ["used", "beside"]),
        ("show=spare", ["spare", "later"]),
        ("show=expired", ["expired"]),
        ("show=deleted", ["gone"]),
        ("show=nonsense", ["used", "beside", "spare", "later", "expired"]),
        ("tag=edge", ["spare"]),
        ("tag=edge&show=deleted", ["gone"]),
        ("tag=dge", []),
        ("tag=%25", []),
        ("tag=edge&q=nowhere", []),
        ("q=spare&show=spare", ["spare"]),
        ("tag=%00&q=%00&show=%00", ["used", "beside", "spare", "later", "expired"]),
    ],
)
def test_the_list_shows_what_was_asked_for(
    query: str, expected: list[str], client: Client, some: dict[str, Certificate]
) -> None:
    page = text_of(client.get(f"{LIST}?{query}"))
    assert titles(page) == [f"{name}.example.org" for name in expected]
    if not expected:
        assert "No certificate matches" in page
        assert "Show all" in page


def test_the_list_offers_the_tags_that_there_are(
    client: Client, some: dict[str, Certificate]
) -> None:
    page = text_of(client.get(f"{LIST}?tag=edge"))
    assert "<option selected>edge</option>" in page
    assert "<option>edge-2</option>" in page


def test_the_next_page_keeps_the_filters(client: Client) -> None:
    for number in range(51):
        make_certificate(f"h{number}.example.org", tags=["edge"])
    page = text_of(client.get(f"{LIST}?q=example&tag=edge&page=1"))
    assert "?q=example&tag=edge&page=2" in page


def test_a_deleted_certificate_is_reached_by_the_list(client: Client, ca: ThrowawayCa) -> None:
    row = store(ca.issue(["mail.example.org"]))
    post(client, "delete", row)
    page = client.get(f"{LIST}?show=deleted")
    assert f'"{row.get_absolute_url()}"' in text_of(page)
    assert "Destroyed" not in text_of(page)
    shown = text_of(client.get(row.get_absolute_url()))
    assert "This certificate was deleted" in shown
    assert "BEGIN CERTIFICATE" in shown


# Tags


def test_tags_are_added_and_taken_away_on_record(client: Client, ca: ThrowawayCa) -> None:
    row = store(ca.issue(["mail.example.org"]))
    page = text_of(post(client, "tag", row, tag=" Front  Desk "))
    assert "?tag=front-desk" in page
    post(client, "tag", row, tag="front-desk")
    post(client, "tag", row, tag="a.b_c")
    row.refresh_from_db()
    assert row.tags == ["a.b_c", "front-desk"]
    assert "?tag=front-desk" not in text_of(post(client, "untag", row, tag="front-desk"))
    post(client, "untag", row, tag="never-there")
    row.refresh_from_db()
    assert row.tags == ["a.b_c"]
    verbs = AuditEvent.objects.filter(verb__contains="tagged").values_list("verb", "after")
    assert list(verbs) == [
        ("certificate.untagged", {"tags": ["a.b_c"]}),
        ("certificate.tagged", {"tags": ["a.b_c", "front-desk"]}),
        ("certificate.tagged", {"tags": ["front-desk"]}),
    ]


@pytest.mark.parametrize("tag", ["", "ä", "-x", "x" * 31, 'a"b', "a\0b", "%", "x" * 5000])
def test_a_tag_that_cannot_be_is_refused_in_a_sentence(
    tag: str, client: Client, ca: ThrowawayCa
) -> None:
    row = store(ca.issue(["mail.example.org"]))
    assert "A tag has at most 30 letters" in text_of(post(client, "tag", row, tag=tag))
    row.refresh_from_db()
    assert row.tags == []


def test_there_is_an_end_to_tags(client: Client, ca: ThrowawayCa) -> None:
    row = store(ca.issue(["mail.example.org"]))
    for number in range(10):
        tagging.add_tag(actor=ACTOR, certificate=row, tag=f"t{number}")
    assert "at most 10 tags" in text_of(post(client, "tag", row, tag="one-more"))


# What replaced what


def test_both_pages_name_the_other_and_it_can_be_corrected(client: Client, ca: ThrowawayCa) -> None:
    old, new = (store(ca.issue(["mail.example.org"], days=count)) for count in (30, 60))
    other = store(ca.issue(["else.example.org"]))
    Certificate.objects.update(replaces=None)
    address = reverse("certificates:predecessor", args=[new.pk])
    page = text_of(client.get(address))
    assert f'value="{old.pk}"' in page
    assert f'value="{other.pk}"' not in page
    shown = text_of(post(client, "predecessor", new, predecessor=str(old.pk)))
    assert f'Replaces <a href="{old.get_absolute_url()}">' in shown
    shown = text_of(client.get(old.get_absolute_url()))
    assert f'Replaced by <a href="{new.get_absolute_url()}">' in shown
    circle = text_of(post(client, "predecessor", old, predecessor=str(new.pk)))
    assert "replaced this certificate itself" in circle
    assert "Select a valid choice" in text_of(
        post(client, "predecessor", new, predecessor=str(other.pk))
    )
    post(client, "predecessor", new, predecessor=str(old.pk))
    assert "Replaces <a" not in text_of(post(client, "predecessor", new, predecessor=""))
    events = AuditEvent.objects.filter(verb="certificate.predecessor_changed")
    assert [event.after["replaces"] != "" for event in events] == [False, True]


def test_a_long_line_is_not_followed_for_ever() -> None:
    one, two = make_certificate(), make_certificate()
    Certificate.objects.filter(pk=one.pk).update(replaces=two)
    Certificate.objects.filter(pk=two.pk).update(replaces=one)  # only by hand in the database
    with pytest.raises(CertificateRefusedError):
        succession.set_predecessor(actor=ACTOR, certificate=make_certificate(), predecessor=one)


# The calendar


def test_the_calendar_has_a_line_for_each_and_the_expired_first(
    client: Client, some: dict[str, Certificate]
) -> None:
    page = text_of(client.get(reverse("certificates:calendar")))
    assert titles(page) == [
        f"{name}.example.org" for name in ("expired", "used", "beside", "spare")
    ]
    months = page.split("<h2 id=")[1:]
    assert ">Expired<" in months[0]
    assert f">{some['used'].not_after:%B %Y}<" in months[1]
    assert "1 certificate expires later" in page
    assert "gone.example.org" not in page


def test_the_calendar_says_who_must_act(client: Client, some: dict[str, Certificate]) -> None:
    def said(name: str) -> str:
        page = text_of(client.get(reverse("certificates:calendar")))
        return page.split(f"{name}.example.org</a>")[1].split("</tr>")[0]

    used, spare = some["used"], some["spare"]
    assert "Whoever keeps its key" in said("used")
    Certificate.objects.filter(pk=used.pk).update(origin=Certificate.Origin.FOUND)
    assert "Whoever renews it on the mail server" in said("used")
    assert "Nobody: nothing uses it" in said("spare")
    make_certificate("used.example.org", replaces=used, not_after=days(900))
    assert "its successor is here; choose that one" in said("used")
    make_certificate("spare.example.org", replaces=spare, not_after=days(900))
    assert "Nobody: its successor is here" in said("spare")


def test_the_calendar_says_it_of_keys_that_are_here(client: Client, ca: ThrowawayCa) -> None:
    row = store(ca.issue(["mail.example.org"]))
    make_server(default_certificate=row)
    address = reverse("certificates:calendar")
    assert "You: renew it by hand" in text_of(client.get(address))
    Certificate.objects.update(is_self_signed=True)
    assert "You: make a new one" in text_of(client.get(address))


def test_an_empty_calendar_says_so(client: Client) -> None:
    assert "Nothing expires within a year" in text_of(client.get(reverse("certificates:calendar")))


def test_a_full_calendar_tells_what_is_left_out(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailadmin.certificates.listing.MOST_IN_CALENDAR", 2)
    for number in range(5):
        make_certificate(f"h{number}.example.org")
    assert "3 more expire within a year" in text_of(client.get(reverse("certificates:calendar")))


def test_the_calendar_is_linked(client: Client, some: dict[str, Certificate]) -> None:
    for page in (LIST, "/"):
        assert f'"{reverse("certificates:calendar")}"' in text_of(client.get(page))


@pytest.mark.parametrize("page", [LIST, f"{LIST}calendar/"])
def test_it_costs_the_same_queries_for_any_number(
    page: str, client: Client, some: dict[str, Certificate]
) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(page).status_code == 200
        return len(queries)

    few = count()
    server = some["used"].default_for.get()
    for number in range(12):
        row = make_certificate(f"h{number}.example.org", replaces=some["used"], tags=["x"])
        make_binding(server, f"h{number}.example.org", row)
        make_acme_certificate(f"h{number}.example.org", certificate=row)
    assert count() == few


def test_calendar_programs_get_what_expires(client: Client, some: dict[str, Certificate]) -> None:
    response = client.get(reverse("certificates:calendar_download"))
    assert response["Content-Type"] == "text/calendar; charset=utf-8"
    text = response.content.decode()
    assert text.startswith("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n")
    assert text.endswith("END:VCALENDAR\r\n")
    assert text.count("BEGIN:VEVENT") == 3
    assert f"DTSTART:{some['used'].not_after:%Y%m%dT%H%M%SZ}\r\n" in text
    assert "SUMMARY:Certificate used.example.org expires (in use)\r\n" in text
    assert "expired.example.org" not in text


def test_no_name_can_add_a_line_of_its_own() -> None:
    row = make_certificate()
    said = "a;b,c\\d\r\nBEGIN:VALARM " + "ü" * 100
    text = write_calendar([(row, said, "https://x/1")], title="T", now=days(0))
    assert "\r\nBEGIN:VALARM ü" not in text
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    unfolded = text.replace("\r\n ", "")
    assert f"SUMMARY:a\\;b\\,c\\\\d  BEGIN:VALARM {'ü' * 100}\r\n" in unfolded


# What may not be deleted yet


@pytest.mark.parametrize("status", ["queued", "running"])
def test_a_certificate_of_a_deployment_under_way_is_not_deleted(
    status: str, client: Client, ca: ThrowawayCa
) -> None:
    row = store(ca.issue(["mail.example.org"]))
    server = make_server(default_certificate=row)
    state = desired_state(server).as_dict()
    server.default_certificate = make_certificate()
    server.applied_state = {}
    server.save()
    deployment = make_deployment(server, status=status)
    Deployment.objects.filter(pk=deployment.pk).update(state=state)
    page = text_of(post(client, "delete", row))
    assert f"deployment {deployment.number}, which has not finished yet" in page
    row.refresh_from_db()
    assert row.deleted_at is None
    Deployment.objects.update(status=Deployment.Status.FAILED)
    post(client, "delete", row)
    row.refresh_from_db()
    assert row.deleted_at is not None


def test_a_companion_of_one_in_use_is_not_deleted(
    client: Client, some: dict[str, Certificate]
) -> None:
    assert "still used" in text_of(post(client, "delete", some["beside"]))
    some["beside"].refresh_from_db()
    assert some["beside"].deleted_at is None


# Who may


def test_a_viewer_reads_and_changes_nothing(
    some: dict[str, Certificate], client_of: Callable[[str], Client]
) -> None:
    viewer = client_of("viewer")
    assert viewer.get(reverse("certificates:calendar")).status_code == 200
    assert viewer.get(reverse("certificates:calendar_download")).status_code == 200
    for page in ("tag", "untag", "predecessor"):
        assert post(viewer, page, some["spare"], tag="edge").status_code == 403
    some["spare"].refresh_from_db()
    assert some["spare"].tags == ["edge"]


def test_nobody_sees_it_before_logging_in(some: dict[str, Certificate]) -> None:
    for name in ("calendar", "calendar_download"):
        response = Client().get(reverse(f"certificates:{name}"))
        assert response["Location"].startswith(reverse("account_login"))


def test_tags_are_not_changed_by_a_link(client: Client, some: dict[str, Certificate]) -> None:
    for page in ("tag", "untag"):
        assert (
            client.get(reverse(f"certificates:{page}", args=[some["spare"].pk])).status_code == 405
        )
