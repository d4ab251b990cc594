"""When a certificate is worth telling of, to the second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.notifications.stages import Lifetime, Stage

START = datetime(2027, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def lifetime(days: float) -> Lifetime:
    return Lifetime(START, START + timedelta(days=days))


def stages_of(item: Lifetime) -> list[Stage]:
    """Return the stages in the order in which a look every hour finds them."""
    hours = int(item.whole / timedelta(hours=1)) + 2
    seen = [item.stage(START + timedelta(hours=hour)) for hour in range(hours)]
    return list(dict.fromkeys(seen))


@pytest.mark.parametrize(
    ("days", "left"),
    [(90, 30), (47, 47 / 3), (398, 398 / 3), (6, 3), (9.9, 4.95), (10, 10 / 3)],
)
def test_renewal_is_due_with_a_third_left_or_half_of_a_short_life(days: float, left: float) -> None:
    item = lifetime(days)
    assert abs(item.not_after - item.renewal_at - timedelta(days=left)) < SECOND
    assert item.stage(item.renewal_at - SECOND) is Stage.EARLY
    assert item.stage(item.renewal_at) is Stage.RENEWAL


@pytest.mark.parametrize("days", [30.1, 47, 90, 398])
def test_a_long_life_passes_every_stage(days: float) -> None:
    assert stages_of(lifetime(days)) == list(Stage)


def test_ten_days_count_only_after_the_renewal() -> None:
    three = [Stage.EARLY, Stage.RENEWAL, Stage.THREE_DAYS, Stage.EXPIRED]
    assert stages_of(lifetime(30)) == three
    assert stages_of(lifetime(15)) == three
    assert stages_of(lifetime(6)) == [Stage.EARLY, Stage.RENEWAL, Stage.EXPIRED]


def test_the_stages_of_ninety_days_begin_to_the_second() -> None:
    item = lifetime(90)
    for days, stage, before in (
        (10, Stage.TEN_DAYS, Stage.RENEWAL),
        (3, Stage.THREE_DAYS, Stage.TEN_DAYS),
        (0, Stage.EXPIRED, Stage.THREE_DAYS),
    ):
        begin = item.not_after - timedelta(days=days)
        assert item.stage(begin - SECOND) is before
        assert item.stage(begin) is stage


@pytest.mark.parametrize(
    ("days", "later"), [(90, 7), (47, 4.7), (6, 1), (398, 7), (1, 0.5), (12, 1.2)]
)
def test_a_renewal_is_given_up_a_tenth_later(days: float, later: float) -> None:
    item = lifetime(days)
    assert abs(item.given_up_at - item.renewal_at - timedelta(days=later)) < SECOND
    assert item.given_up_at <= item.not_after


@given(days=st.floats(0.01, 5000), at=st.floats(-0.5, 1.5), step=st.floats(0, 1))
def test_a_certificate_never_goes_back_a_stage(days: float, at: float, step: float) -> None:
    item, order = lifetime(days), list(Stage)
    first, then = START + item.whole * at, START + item.whole * (at + step)
    assert order.index(item.stage(first)) <= order.index(item.stage(then))
