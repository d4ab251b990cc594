"""The pages of the log: reading, filtering, paging."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from mailadmin.accounts.models import User
from mailadmin.audit.models import AuditEvent
from tests.factories import make_actor, make_event

pytestmark = pytest.mark.django_db
ClientOf = Callable[[str], Client]
LIST = "/audit/"


def _shown(client: Client, query: str = "") -> list[str]:
    response = client.get(f"{LIST}?{query}")
    assert response.status_code == 200
    return [event.object_label for event in response.context["page"].events]


@pytest.fixture
def reader(client_of: ClientOf) -> Client:
    return client_of("viewer")


def test_a_stranger_is_sent_to_the_login(client: Client) -> None:
    event = make_event()
    for address in (LIST, reverse("audit:detail", args=[event.pk])):
        assert client.get(address).headers["Location"].startswith("/account/login/")
    assert client.post(reverse("audit:export", args=["csv"])).status_code == 302
    assert AuditEvent.objects.count() == 1


@pytest.mark.parametrize("role", ["viewer", "operator", "administrator"])
def test_every_role_reads_the_log(client_of: ClientOf, role: str) -> None:
    event = make_event()
    client = client_of(role)
    assert client.get(LIST).status_code == 200
    assert client.get(reverse("audit:detail", args=[event.pk])).status_code == 200


def test_the_newest_event_comes_first(reader: Client) -> None:
    for label in ("first", "second", "third"):
        make_event(object_label=label)
    assert _shown(reader) == ["third", "second", "first"]


def test_a_line_says_who_did_what_and_how_it_ended(reader: Client) -> None:
    make_event(verb="certificate.uploaded", object_label="mail.example.org")
    make_event(verb="deployment.rolled_back", outcome="failed", reason="993 did not answer.")
    page = reader.get(LIST).content.decode()
    assert "uploaded certificate" in page
    assert "mail.example.org" in page
    assert "993 did not answer." in page
    assert "pill-broken" in page
    assert "192.0.2.10" in page


def test_an_unknown_verb_is_shown_as_it_is(reader: Client) -> None:
    make_event(verb="moon.landed", object_type="moon")
    assert "moon.landed" in reader.get(LIST).content.decode()


@pytest.mark.parametrize(
    ("verb", "label", "heading"),
    [
        ("user.logged_in", "ada", "ada logged in"),
        ("user.mfa_changed", "ada", "ada changed the second factor of their own account"),
        ("user.role_changed", "bob", "ada changed the role of bob"),
        ("user.login_failed", "", "ada failed to log in as somebody unknown"),
        ("audit.exported", "", "ada exported the audit log"),
        ("listener.disabled", "POP3 (110)", "ada switched off POP3 (110)"),
        ("deployment.rolled_back", "", "ada took back deployment 41"),
    ],
)
def test_an_event_reads_as_a_sentence(reader: Client, verb: str, label: str, heading: str) -> None:
    kind = verb.partition(".")[0]
    number = "41" if kind == "deployment" else ""
    event = make_event(verb=verb, object_type=kind, object_id=number, object_label=label)
    page = reader.get(reverse("audit:detail", args=[event.pk])).content.decode()
    assert f"<h1>{heading}" in page


def test_an_empty_log_says_what_will_come(reader: Client) -> None:
    assert "Nothing has happened yet" in reader.get(LIST).content.decode()


@pytest.fixture
def events() -> None:
    ada, bob = make_actor(name="ada"), make_actor(name="bob")
    make_event(ada, verb="listener.enabled", object_id="imaps", object_label="imaps on")
    make_event(bob, verb="listener.disabled", object_id="pop3", object_label="pop3 off")
    make_event(
        bob,
        verb="deployment.failed",
        object_type="deployment",
        object_id=41,
        object_label="41",
        outcome="failed",
        reason="the port was busy",
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("person=bob", ["41", "pop3 off"]),
        ("verb=listener.enabled", ["imaps on"]),
        ("object_type=deployment", ["41"]),
        ("object_type=listener&object_id=pop3", ["pop3 off"]),
        ("outcome=failed", ["41"]),
        ("person=bob&object_type=listener", ["pop3 off"]),
        ("person=nobody", []),
        ("verb=no.such.verb", []),
        ("text=BUSY", ["41"]),
        ("text=switched+on", ["imaps on"]),
        ("text=pop3", ["pop3 off"]),
        ("text=0123456789abcdef", ["41", "pop3 off", "imaps on"]),
        ("text=192.0.2.10&person=ada", ["imaps on"]),
        ("text=%25", []),
        ("", ["41", "pop3 off", "imaps on"]),
    ],
)
def test_filters_and_search_narrow_the_log(
    reader: Client, events: None, query: str, expected: list[str]
) -> None:
    assert _shown(reader, query) == expected


def test_days_are_whole_days_in_utc(reader: Client) -> None:
    for day, hour in ((1, 0), (2, 0), (2, 23), (3, 0)):
        AuditEvent.objects.create(
            created_at=datetime(2026, 3, day, hour, 59, tzinfo=UTC),
            actor_name="ada",
            origin="web",
            verb="listener.enabled",
            object_type="listener",
            object_label=f"{day}.{hour}",
        )
    assert _shown(reader, "since=2026-03-02&until=2026-03-02") == ["2.23", "2.0"]
    assert _shown(reader, "since=2026-03-03") == ["3.0"]
    assert _shown(reader, "until=2026-03-01") == ["1.0"]


def test_a_day_that_is_none_is_named_and_left_out(reader: Client, events: None) -> None:
    response = reader.get(f"{LIST}?since=yesterday&person=ada")
    assert [event.object_label for event in response.context["page"].events] == ["imaps on"]
    assert "Enter a valid date." in response.content.decode()


def test_each_filter_in_use_is_a_chip_that_can_be_taken_away(reader: Client, events: None) -> None:
    response = reader.get(f"{LIST}?person=bob&verb=listener.disabled&outcome=&before=99")
    chips = {chip.words: chip.address_without for chip in response.context["chips"]}
    assert chips == {
        "bob": f"{LIST}?verb=listener.disabled",
        "switched off": f"{LIST}?person=bob",
    }


def test_a_filter_that_finds_nothing_says_so(reader: Client) -> None:
    make_event()
    assert "Nothing matches" in reader.get(f"{LIST}?person=nobody").content.decode()


def test_pages_go_to_older_and_back_to_newer_events(reader: Client) -> None:
    for number in range(120):
        make_event(object_label=str(number))
    newest = reader.get(LIST).context["page"]
    assert [newest.events[0].object_label, newest.events[-1].object_label] == ["119", "70"]
    assert (newest.has_newer, newest.has_older) == (False, True)

    middle = reader.get(f"{LIST}?before={newest.oldest_id}").context["page"]
    assert [middle.events[0].object_label, middle.events[-1].object_label] == ["69", "20"]
    assert (middle.has_newer, middle.has_older) == (True, True)

    oldest = reader.get(f"{LIST}?before={middle.oldest_id}").context["page"]
    assert [event.object_label for event in oldest.events][-1] == "0"
    assert (oldest.has_newer, oldest.has_older) == (True, False)

    back = reader.get(f"{LIST}?after={oldest.newest_id}").context["page"]
    assert back.events == middle.events
    top = reader.get(f"{LIST}?after={middle.newest_id}").context["page"]
    assert top.events == newest.events


def test_paging_keeps_the_filters(reader: Client) -> None:
    for number in range(60):
        make_event(make_actor(name="ada"), object_label=f"a{number}")
        make_event(make_actor(name="bob"), object_label=f"b{number}")
    page = reader.get(f"{LIST}?person=bob")
    oldest = page.context["page"].oldest_id
    assert f"?person=bob&amp;before={oldest}" in page.content.decode()
    assert _shown(reader, f"person=bob&before={oldest}")[0] == "b9"


@pytest.mark.parametrize("value", ["x", "-1", "", "9" * 30, "²"])
def test_a_place_that_is_none_shows_the_newest(reader: Client, value: str) -> None:
    make_event(object_label="only")
    assert _shown(reader, f"before={value}") == ["only"]


@pytest.mark.parametrize("address", [LIST, f"{LIST}?text=imap&person=ada", "detail"])
def test_the_number_of_queries_does_not_grow_with_the_rows(
    client_of: ClientOf, administrator: User, address: str
) -> None:
    reader = client_of("viewer")
    counts = []
    for number in (1, 60):
        for _ in range(number):
            event = make_event(make_actor(administrator), object_type="certificate", object_id=1)
        page = reverse("audit:detail", args=[event.pk]) if address == "detail" else address
        counts.append(_count_queries(reader, page))
    assert counts[0] == counts[1]
    assert counts[1] <= 12


def _count_queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        client.get(address)
    return len(queries)


def test_htmx_gets_the_rows_alone(reader: Client, events: None) -> None:
    part = reader.get(LIST, headers={"HX-Request": "true"}).content.decode()
    assert "pop3 off" in part
    assert "<html" not in part


def test_the_detail_shows_before_and_after_side_by_side(reader: Client) -> None:
    event = make_event(
        before={"port": 465, "certificate": "old.example.org", "gone": 1},
        after={"port": 465, "certificate": "new.example.org", "fresh": [1, 2]},
        evidence={"leaf": "5f3a", "said": "line one\nline two"},
    )
    response = reader.get(reverse("audit:detail", args=[event.pk]))
    rows = {row.name: (row.before, row.after, row.change) for row in response.context["rows"]}
    assert rows == {
        "certificate": ("old.example.org", "new.example.org", "changed"),
        "fresh": ("", "[\n  1,\n  2\n]", "added"),
        "gone": ("1", "", "removed"),
        "port": ("465", "465", "same"),
    }
    assert [row.name for row in response.context["rows"]][-1] == "port"
    page = response.content.decode()
    for text in ("5f3a", "line two", "Firefox", "0123456789abcdef", "listener.enabled"):
        assert text in page


def test_the_detail_shows_the_events_around_it(reader: Client) -> None:
    made = [make_event(object_label=f"label {number}") for number in range(15)]
    around = reader.get(reverse("audit:detail", args=[made[7].pk])).context["around"]
    assert [event.object_label for event in around] == [f"label {n}" for n in range(11, 2, -1)]


def test_an_event_without_values_says_so(reader: Client) -> None:
    event = make_event()
    assert "This event changed no values." in reader.get(f"{LIST}{event.pk}/").content.decode()


def test_no_such_event_is_a_plain_404(reader: Client) -> None:
    response = reader.get(f"{LIST}999/")
    assert response.status_code == 404
    assert "There is no page at this address" in response.content.decode()


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nothing_can_be_written_through_the_pages(client_of: ClientOf, method: str) -> None:
    event = make_event()
    client = client_of("administrator")
    for address in (LIST, reverse("audit:detail", args=[event.pk])):
        assert getattr(client, method)(address).status_code == 405
    event.refresh_from_db()
    assert AuditEvent.objects.count() == 1


def test_what_somebody_typed_is_shown_as_text(reader: Client) -> None:
    event = make_event(object_label="<script>alert(1)</script>", after={"x": "<b>"})
    for address in (LIST, reverse("audit:detail", args=[event.pk])):
        page = reader.get(address).content.decode()
        assert "<script>alert" not in page
        assert "<b>" not in page
