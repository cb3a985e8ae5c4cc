"""The loop: who asked, how often, and what a failed pass changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from controller.model.errors import ConfigurationError, StalledError, TransientError, WaitingError
from controller.service.loop import Service
from controller.service.pacing import Pace
from tests.unit.service.fakes import FakeTimer, Running, summary

Start = Callable[..., Running]


def test_building_a_service_starts_no_thread() -> None:
    before = threading.active_count()
    Service(lambda stop: summary(), pace=Pace())
    assert threading.active_count() == before


def test_run_begins_with_a_pass_and_ends_what_it_started() -> None:
    before = set(threading.enumerate())
    service = Service(lambda stop: service.stop() or summary(), pace=Pace())  # type: ignore[func-returns-value]
    service.run()
    assert service.progress.completed == 1
    assert set(threading.enumerate()) <= before


def test_a_hundred_requests_during_a_pass_lead_to_one_more(start_service: Start) -> None:
    running = start_service()
    running.passes.wait_begun()
    for number in range(100):
        running.service.request_pass(f"webhook {number}")
        running.timer.fire()
    running.passes.end()
    running.passes.wait_begun()
    assert not running.service.progress.requested
    running.passes.end()
    running.ended.wait()
    running.ended.wait()
    running.service.stop()
    running.join()
    assert running.passes.begun == 2


def test_passes_never_overlap(start_service: Start) -> None:
    running = start_service()
    for _ in range(20):
        running.passes.wait_begun()
        askers = [threading.Thread(target=running.service.request_pass, args=("push",)) for _ in range(5)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        running.passes.end()
    assert running.passes.most_at_once == 1


def test_requests_from_a_storm_are_held_back_by_the_gap() -> None:
    """Whatever the storm, passes begin at least the minimum gap apart."""
    began: list[float] = []
    storm_over = threading.Event()

    def run_pass(stop: threading.Event) -> object:
        began.append(time.monotonic())
        if len(began) == 4:
            service.stop()
            storm_over.set()
        return summary()

    service = Service(run_pass, pace=Pace(min_gap_s=0.1), timer=FakeTimer())  # type: ignore[arg-type]

    def storm() -> None:
        while not storm_over.wait(0.001):
            service.request_pass("webhook")

    thread = threading.Thread(target=storm)
    thread.start()
    service.run()
    thread.join()
    assert all(later - earlier >= 0.1 for earlier, later in pairwise(began))


def test_stop_reaches_the_running_pass_and_starts_no_other(start_service: Start) -> None:
    running = start_service()
    stop = running.passes.wait_begun()
    assert not stop.is_set()
    running.service.request_pass("webhook")
    running.service.stop()
    assert stop.is_set()
    running.service.request_pass("webhook too late")
    running.passes.end()
    running.join()
    assert running.passes.begun == 1
    assert not running.timer.running


def test_stop_ends_an_idle_service(start_service: Start) -> None:
    running = start_service()
    running.passes.end()
    running.ended.wait()
    running.service.stop()
    running.join()


def test_stop_ends_the_wait_for_the_gap(start_service: Start) -> None:
    running = start_service(Pace(min_gap_s=3600))
    running.passes.end()
    running.ended.wait()
    running.service.request_pass("webhook")
    running.service.stop()
    running.join()
    assert running.passes.begun == 1


def test_something_in_progress_brings_the_next_tick_forward(start_service: Start) -> None:
    running = start_service(Pace(interval_s=60, min_gap_s=2))
    running.passes.end(summary(next_pass_in_s=5.0))
    running.ended.wait()
    running.service.stop()
    assert running.timer.moves == [("within", 5.0)]


def test_a_pass_cannot_ask_for_the_next_within_the_gap(start_service: Start) -> None:
    running = start_service(Pace(interval_s=60, min_gap_s=2))
    running.passes.end(summary(next_pass_in_s=0.0))
    running.ended.wait()
    assert running.timer.moves == [("within", 2)]


def test_failed_passes_are_tried_again_later_and_later_and_success_resets(start_service: Start) -> None:
    running = start_service()
    for _ in range(3):
        running.passes.end(TransientError("GitUnreachable", "No route to the Git host."))
        assert running.ended.wait() == "GitUnreachable"
        running.timer.fire()
    running.passes.end()
    assert running.ended.wait() == "completed"
    running.timer.fire()
    running.passes.end(TransientError("GitUnreachable", "No route to the Git host."))
    running.ended.wait()
    assert running.timer.moves == [("in", 60), ("in", 120), ("in", 240), ("in", 60)]


def test_a_tick_during_a_failed_pass_waits_for_the_backoff(start_service: Start) -> None:
    running = start_service()
    running.passes.wait_begun()
    running.timer.fire()
    running.passes.end(TransientError("GitUnreachable", "No route to the Git host."))
    running.ended.wait()
    assert not running.service.progress.requested
    assert running.passes.begun == 1


def test_a_webhook_triggers_a_pass_during_the_backoff(start_service: Start) -> None:
    running = start_service()
    running.passes.end(StalledError("BranchMissing", "There is no branch main."))
    running.ended.wait()
    running.service.request_pass("webhook")
    running.passes.end()
    assert running.ended.wait() == "completed"
    assert running.service.progress.failures == 0


def test_an_error_that_says_when_to_come_back_is_heeded(start_service: Start) -> None:
    running = start_service()
    running.passes.end(WaitingError("RateLimited", "The Git host asks for patience.", retry_after_s=90))
    running.ended.wait()
    assert running.timer.moves == [("in", 90)]


def test_a_defect_in_a_pass_does_not_end_the_service(start_service: Start) -> None:
    running = start_service()
    with capture_logs() as logs:
        running.passes.end(KeyError("a defect"))
        assert running.ended.wait() == "InternalError"
    assert [log for log in logs if log["event"] == "pass_crashed" and log["exc_info"]]
    running.service.request_pass("webhook")
    running.passes.end()
    assert running.ended.wait() == "completed"


def test_a_pass_that_reports_an_error_backs_off_too(start_service: Start) -> None:
    running = start_service()
    running.passes.end(summary(error_reason="StatusPushRejected"))
    assert running.ended.wait() == "failed"
    assert running.timer.moves == [("in", 60)]
    assert running.service.health().reason == "StatusPushRejected"


def test_a_companion_that_cannot_start_keeps_the_passes_from_starting() -> None:
    """What was started before it is stopped again."""
    happened: list[str] = []

    class First:
        def start(self) -> None:
            happened.append("start")

        def stop(self) -> None:
            happened.append("stop")

    class Second(First):
        def start(self) -> None:
            raise ConfigurationError("PortInUse", "The port is in use.")

    service = Service(lambda stop: summary(), pace=Pace())
    with pytest.raises(ConfigurationError, match="in use"):
        service.run([First(), Second()])
    assert happened == ["start", "stop"]
    assert service.progress.completed == 0
