"""When an authority wishes a renewal (RFC 9773)."""

from __future__ import annotations

import dataclasses
import math
from base64 import urlsafe_b64decode
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.issuance.renewal_info import (
    RenewalWindow,
    clamp_retry_after,
    next_look_at,
    pick_moment,
    renewal_id,
)
from mailadmin.pki.certificate import read_certificate
from tests.throwaway_pki import ThrowawayCa

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
FACTS = read_certificate(ThrowawayCa().issue(["mail.example.org"]).cert_pem)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def test_the_identifier_is_that_of_the_rfc() -> None:
    key_id, serial = "aYhba4dGQEHhs3uEe6CuLN4ByNQ", 0x87654321
    facts = dataclasses.replace(
        FACTS,
        authority_key_id=urlsafe_b64decode(key_id + "=").hex(),
        serial_hex=f"{serial:x}",
    )
    assert renewal_id(facts) == f"{key_id}.AIdlQyE"


@pytest.mark.parametrize(
    ("serial", "expected"), [("0", "AA"), ("7f", "fw"), ("80", "AIA"), ("100", "AQA")]
)
def test_a_serial_is_written_as_in_der(serial: str, expected: str) -> None:
    assert renewal_id(dataclasses.replace(FACTS, serial_hex=serial)).split(".")[1] == expected


def test_a_real_certificate_has_an_identifier() -> None:
    assert renewal_id(FACTS).count(".") == 1


@pytest.mark.parametrize("change", [{"authority_key_id": ""}, {"serial_hex": "-5"}])
def test_a_certificate_that_names_no_issuer_key_cannot_be_asked_about(
    change: dict[str, str],
) -> None:
    assert renewal_id(dataclasses.replace(FACTS, **change)) == ""  # type: ignore[arg-type]


@given(
    moments, st.timedeltas(timedelta(microseconds=1), 90 * DAY), st.floats(0, 1, exclude_max=True)
)
def test_the_moment_is_inside_the_window(start: datetime, length: timedelta, draw: float) -> None:
    window = RenewalWindow(start, start + length)
    assert start <= pick_moment(window, draw=draw) < start + length


def test_the_draw_decides_where() -> None:
    window = RenewalWindow(NOW, NOW + 2 * DAY)
    assert pick_moment(window, draw=0.0) == NOW
    assert pick_moment(window, draw=0.5) == NOW + DAY


@pytest.mark.parametrize("end", [NOW, NOW - DAY])
def test_a_window_that_ends_before_it_starts_is_invalid(end: datetime) -> None:
    window = RenewalWindow(NOW, end)
    assert not window.is_valid
    with pytest.raises(ValueError, match="window"):
        pick_moment(window, draw=0.5)


@pytest.mark.parametrize("draw", [-0.1, 1.0, math.nan])
def test_a_draw_that_is_none_is_refused(draw: float) -> None:
    with pytest.raises(ValueError, match="draw"):
        pick_moment(RenewalWindow(NOW, NOW + DAY), draw=draw)


def test_an_explanation_is_a_page_for_browsers() -> None:
    page = "https://ca.example/why"
    assert RenewalWindow(NOW, NOW + DAY, page).explanation_url == page
    assert RenewalWindow(NOW, NOW + DAY, "javascript:alert(1)").explanation_url == ""


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, timedelta(hours=6)),
        (math.nan, timedelta(hours=6)),
        (0, timedelta(minutes=1)),
        (-5, timedelta(minutes=1)),
        (3600, timedelta(hours=1)),
        (1e12, DAY),
        (math.inf, DAY),
    ],
)
def test_retry_after_is_clamped(seconds: float | None, expected: timedelta) -> None:
    assert clamp_retry_after(seconds) == expected
    assert next_look_at(NOW, seconds) == NOW + expected


@given(st.none() | st.floats())
def test_a_look_is_never_sooner_or_later_than_the_limits(seconds: float | None) -> None:
    assert timedelta(minutes=1) <= next_look_at(NOW, seconds) - NOW <= DAY
