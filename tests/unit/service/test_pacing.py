"""Backoff and health, by numbers."""

from __future__ import annotations

import pytest

from controller.model.errors import ConfigurationError, WaitingError
from controller.service.pacing import Pace, Progress, health


@pytest.mark.parametrize(
    ("interval_s", "expected"),
    [
        (30, [30, 60, 120, 240, 480, 600, 600]),
        (60, [60, 120, 240, 480, 600, 600]),
        (3600, [60, 120, 240, 480, 600, 600]),
    ],
)
def test_backoff_doubles_up_to_ten_minutes(interval_s: float, expected: list[float]) -> None:
    pace = Pace(interval_s=interval_s)
    assert [pace.backoff_s(n + 1) for n in range(len(expected))] == expected


def test_backoff_after_very_many_failures_is_still_a_number() -> None:
    assert Pace().backoff_s(100_000) == 600


def test_an_error_cannot_ask_for_more_than_ten_minutes() -> None:
    assert Pace().backoff_s(1, WaitingError("Quota", "Later.", retry_after_s=86400)) == 600


@pytest.mark.parametrize("interval_s", [0, -5, float("nan"), float("inf"), 0.5])
def test_an_impossible_interval_is_refused(interval_s: float) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Pace(interval_s=interval_s)
    assert caught.value.reason == "IntervalInvalid"


@pytest.mark.parametrize(
    ("progress", "now_s", "reason", "healthy"),
    [
        (Progress(started_s=0), 100, "Alive", True),
        (Progress(started_s=0), 181, "PassOverdue", False),
        (Progress(started_s=0, began_s=500), 680, "Alive", True),
        (Progress(started_s=0, began_s=500), 681, "PassOverdue", False),
        (Progress(started_s=0, began_s=500, running=True), 5000, "Alive", True),
        (Progress(started_s=0, began_s=500, running=True), 500 + 10801, "PassStuck", False),
        (
            Progress(started_s=0, began_s=0, failures=5, failure="GitGone", backoff_s=600),
            650,
            "GitGone",
            True,
        ),
        (
            Progress(started_s=0, began_s=0, failures=5, failure="GitGone", backoff_s=600),
            661,
            "PassOverdue",
            False,
        ),
        (Progress(started_s=0, began_s=0, stopping=True), 1, "Stopping", False),
    ],
)
def test_health(progress: Progress, now_s: float, reason: str, healthy: bool) -> None:
    state = health(progress, Pace(interval_s=60), now_s)
    assert (state.reason, state.healthy) == (reason, healthy)
