"""The real timer."""

from __future__ import annotations

import threading

from controller.service.ticks import Ticks


def test_the_first_tick_comes_at_once_whatever_the_interval() -> None:
    fired = threading.Event()
    ticks = Ticks(interval_s=86400, jitter_s=600)
    ticks.start(fired.set)
    try:
        assert fired.wait(10)
    finally:
        ticks.stop()


def test_ticks_go_on_at_the_interval() -> None:
    fired = threading.Semaphore(0)
    ticks = Ticks(interval_s=1)
    ticks.start(fired.release)
    try:
        assert all(fired.acquire(timeout=10) for _ in range(3))
    finally:
        ticks.stop()


def test_the_next_tick_can_be_brought_forward() -> None:
    fired = threading.Semaphore(0)
    ticks = Ticks(interval_s=86400)
    ticks.start(fired.release)
    try:
        assert fired.acquire(timeout=10)
        ticks.next_within(0.05)
        assert fired.acquire(timeout=10)
    finally:
        ticks.stop()


def test_within_never_puts_a_tick_off_and_in_does() -> None:
    fired = threading.Semaphore(0)
    ticks = Ticks(interval_s=1)
    ticks.start(fired.release)
    try:
        assert fired.acquire(timeout=10)
        ticks.next_within(3600)
        assert fired.acquire(timeout=10)
        ticks.next_in(3600)
        assert not fired.acquire(timeout=1.5)
    finally:
        ticks.stop()


def test_stop_leaves_no_thread_and_may_come_before_start() -> None:
    before = set(threading.enumerate())
    ticks = Ticks(interval_s=1)
    ticks.stop()
    ticks.next_in(1)
    ticks.next_within(1)
    ticks.start(lambda: None)
    ticks.stop()
    assert set(threading.enumerate()) <= before
