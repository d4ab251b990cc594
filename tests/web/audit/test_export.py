"""The log as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.http import StreamingHttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mailadmin.audit.models import AuditEvent
from tests.factories import make_actor, make_event

pytestmark = pytest.mark.django_db
ClientOf = Callable[[str], Client]


def _export(client: Client, address: str) -> str:
    response = client.post(address)
    assert response.status_code == 200
    assert isinstance(response, StreamingHttpResponse)
    return b"".join(response).decode()  # type: ignore[arg-type]


def _csv_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def reader(client_of: ClientOf) -> Client:
    return client_of("viewer")


def test_csv_has_a_line_per_event_newest_first(reader: Client) -> None:
    make_event(object_label="first", before={"port": 1}, after={"port": 2})
    make_event(object_label="second, with a comma", reason="two\nlines")
    rows = _csv_rows(_export(reader, "/audit/export.csv"))
    assert [row["object_label"] for row in rows] == ["second, with a comma", "first"]
    assert rows[0]["reason"] == "two\nlines"
    assert rows[1]["before"] == '{"port": 1}'
    assert rows[1]["person"] == "ada"
    assert rows[1]["words"] == "switched on"


def test_json_has_an_object_per_event(reader: Client) -> None:
    make_event(object_label="first", after={"names": ["münchen.example"]})
    make_event(object_label="second")
    events: list[dict[str, Any]] = json.loads(_export(reader, "/audit/export.json"))
    assert [event["object_label"] for event in events] == ["second", "first"]
    assert events[1]["after"] == {"names": ["münchen.example"]}


def test_an_empty_export_is_still_a_file(reader: Client) -> None:
    assert json.loads(_export(reader, "/audit/export.json?person=nobody")) == []
    assert _csv_rows(_export(reader, "/audit/export.csv?person=nobody")) == []


def test_the_export_holds_what_is_filtered(reader: Client) -> None:
    make_event(make_actor(name="ada"), object_label="hers")
    make_event(make_actor(name="bob"), object_label="his")
    rows = _csv_rows(_export(reader, "/audit/export.csv?person=bob"))
    assert [row["object_label"] for row in rows] == ["his"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_can_be_taken_for_a_formula(reader: Client, start: str) -> None:
    make_event(object_label=f"{start}HYPERLINK(1)", reason=f"{start}cmd|' /C calc'!A0")
    (row,) = _csv_rows(_export(reader, "/audit/export.csv"))
    assert row["object_label"].startswith("'")
    assert row["reason"].startswith("'")


def test_the_export_itself_is_recorded_and_not_part_of_the_file(client_of: ClientOf) -> None:
    make_event(make_actor(name="bob"))
    rows = _csv_rows(_export(client_of("operator"), "/audit/export.csv?person=bob&outcome=ok"))
    assert len(rows) == 1
    event = AuditEvent.objects.filter(verb="audit.exported").get()
    assert event.actor_name.startswith("operator")
    assert event.evidence == {
        "format": "csv",
        "events": 1,
        "filters": {"person": "bob", "outcome": "ok"},
    }


def test_a_download_needs_a_post(reader: Client) -> None:
    assert reader.get("/audit/export.csv").status_code == 405
    assert reader.get("/audit/export.xml").status_code == 404
    assert not AuditEvent.objects.exists()


def test_the_file_has_a_name_and_a_type(reader: Client) -> None:
    response = reader.post("/audit/export.json")
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.headers["Content-Disposition"].startswith('attachment; filename="audit-')


def test_the_number_of_queries_does_not_grow_with_the_rows(reader: Client) -> None:
    counts = []
    for number in (1, 80):
        for _ in range(number):
            make_event()
        with CaptureQueriesContext(connection) as queries:
            _export(reader, "/audit/export.csv")
        counts.append(len(queries))
    assert counts[0] == counts[1]
