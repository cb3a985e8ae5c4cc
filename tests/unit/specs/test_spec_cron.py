"""Schedules by the rules of cron."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from controller.specs.cron import CronError, parse

WEDNESDAY = datetime(2026, 3, 4, 12, 34, 56, tzinfo=UTC)


def newest(schedule: str, *, after: float = 0) -> str:
    found = parse(schedule).newest(after=after, until=WEDNESDAY.timestamp())
    return "" if found is None else datetime.fromtimestamp(found, UTC).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("schedule", "time"),
    [
        ("* * * * *", "2026-03-04 12:34"),
        ("0 3 * * *", "2026-03-04 03:00"),
        ("35 12 * * *", "2026-03-03 12:35"),
        ("*/5 * * * *", "2026-03-04 12:30"),
        ("5/10 1-3,7 * * 1-5", "2026-03-04 07:55"),
        ("0 0 * * 0", "2026-03-01 00:00"),
        ("0 0 * * 7", "2026-03-01 00:00"),
        ("0 0 * * 5-7", "2026-03-01 00:00"),
        ("0 0 * * Fri", "2026-02-27 00:00"),
        ("0 0 13 * *", "2026-02-13 00:00"),
        ("0 0 13 * fri", "2026-02-27 00:00"),
        ("0 0 29 feb *", "2024-02-29 00:00"),
        ("0 0 31 * *", "2026-01-31 00:00"),
        ("@hourly", "2026-03-04 12:00"),
        ("@weekly", "2026-03-01 00:00"),
        ("@yearly", "2026-01-01 00:00"),
    ],
)
def test_newest_time(schedule: str, time: str) -> None:
    assert newest(schedule) == time


def test_the_beginning_is_left_out() -> None:
    at = datetime(2026, 3, 4, 3, 0, tzinfo=UTC).timestamp()
    assert newest("0 3 * * *", after=at) == ""
    assert newest("0 3 * * *", after=at - 1) == "2026-03-04 03:00"
    assert newest("0 3 * * *", after=WEDNESDAY.timestamp() + 60) == ""


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("0 3 * *", "five fields"),
        ("60 * * * *", "minute"),
        ("0 24 * * *", "hour"),
        ("0 0 0 * *", "day"),
        ("0 0 * 13 *", "month"),
        ("0 0 * * 8", "weekday"),
        ("0 0 * * fro", "sun to sat"),
        ("0 0 * * fri-mon", "ends before it begins"),
        ("*/0 * * * *", "step"),
        ("1,,2 * * * *", "minute"),
        ("-1 * * * *", "minute"),
        ("² * * * *", "minute"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 31 4,6 *", "never comes"),
        ("@reboot", "no schedule"),
        ("", "five fields"),
    ],
)
def test_what_is_no_schedule(schedule: str, words: str) -> None:
    with pytest.raises(CronError) as raised:
        parse(schedule)
    assert words in raised.value.message
