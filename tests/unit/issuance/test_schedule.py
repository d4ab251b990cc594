"""When to renew, and when to try again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.issuance.schedule import renew_at, retry_at, should_fall_back

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
jitters = st.floats(0, 1, exclude_max=True)
lifetimes = st.timedeltas(timedelta(seconds=1), timedelta(days=800))


@pytest.mark.parametrize(
    ("days", "left"), [(90, 30), (45, 15), (10, 10 / 3), (9, 4.5), (160 / 24, 80 / 24)]
)
def test_a_third_is_left_or_half_of_a_short_lifetime(days: float, left: float) -> None:
    ends = NOW + days * DAY
    assert abs(renew_at(NOW, ends, jitter=0.0) - (ends - left * DAY)) < timedelta(seconds=1)


def test_jitter_renews_earlier_never_later() -> None:
    ends = NOW + 90 * DAY
    due = renew_at(NOW, ends, jitter=0.0)
    assert due - 2 * DAY < renew_at(NOW, ends, jitter=0.999) < due


@given(lifetimes, jitters)
def test_renewal_is_inside_the_validity(lifetime: timedelta, jitter: float) -> None:
    assert NOW <= renew_at(NOW, NOW + lifetime, jitter=jitter) < NOW + lifetime


@pytest.mark.parametrize("lifetime", [timedelta(0), -DAY])
def test_a_validity_that_is_none_is_refused(lifetime: timedelta) -> None:
    with pytest.raises(ValueError, match="validity"):
        renew_at(NOW, NOW + lifetime, jitter=0.0)


@pytest.mark.parametrize("jitter", [-0.1, 1.0, float("nan")])
def test_a_jitter_that_is_none_is_refused(jitter: float) -> None:
    with pytest.raises(ValueError, match="jitter"):
        renew_at(NOW, NOW + DAY, jitter=jitter)
    with pytest.raises(ValueError, match="jitter"):
        retry_at(1, NOW, jitter=jitter)


@pytest.mark.parametrize(
    ("failures", "minutes"), [(0, 1), (1, 1), (2, 10), (3, 100), (4, 1440), (400, 1440)]
)
def test_the_steps_between_attempts(failures: int, minutes: int) -> None:
    assert retry_at(failures, NOW, jitter=0.0) == NOW + timedelta(minutes=minutes)


@given(st.integers(0, 10_000), jitters, st.none() | st.timedeltas(-2 * DAY, 60 * DAY))
def test_an_attempt_is_in_the_future_and_before_the_end(
    failures: int, jitter: float, left: timedelta | None
) -> None:
    ends = None if left is None else NOW + left
    moment = retry_at(failures, NOW, jitter=jitter, not_after=ends)
    assert NOW < moment <= NOW + 1.1 * DAY
    if left is not None and left > timedelta(minutes=30):
        assert ends is not None
        assert moment < ends


def test_near_the_end_attempts_come_closer_but_not_too_close() -> None:
    def wait(left: timedelta) -> timedelta:
        return retry_at(9, NOW, jitter=0.0, not_after=NOW + left) - NOW

    assert wait(20 * timedelta(hours=1)) == timedelta(hours=10)
    assert wait(timedelta(minutes=4)) == timedelta(minutes=15)
    assert wait(-timedelta(minutes=4)) == DAY
    assert retry_at(1, NOW, jitter=0.0, not_after=NOW + timedelta(seconds=1)) == NOW + timedelta(
        minutes=1
    )


def test_the_other_authority_is_asked_after_three_failures_and_then_in_turn() -> None:
    assert [n for n in range(9) if should_fall_back(n)] == [3, 5, 7]
