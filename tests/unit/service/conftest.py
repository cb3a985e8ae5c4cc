"""Fixtures of the service's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from controller.service.pacing import Pace
from tests.unit.service.fakes import Running


@pytest.fixture
def start_service() -> Iterator[Callable[..., Running]]:
    """Start a service with no gap between passes, or another pace; it is stopped when the test ends."""
    started: list[Running] = []

    def start(pace: Pace | None = None) -> Running:
        running = Running(pace or Pace(interval_s=60, min_gap_s=0)).start()
        started.append(running)
        return running

    yield start
    for running in started:
        running.close()
