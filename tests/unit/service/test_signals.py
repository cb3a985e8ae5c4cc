"""Signals, sent to a real process that runs a service with a made-up pass."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.service.signals import Signals

ROOT = Path(__file__).parents[3]

SCRIPT = """
import hashlib, sys, threading
from controller.service.daemon import ServiceOptions, serve
from controller.service.logs import configure_logging
from controller.service.pacing import Pace
from controller.service.summary import PassSummary

def say(text):
    print(text, flush=True)

def run_pass(stop):
    say("began")
    PASS
    say("ended")
    return PassSummary(pass_id="p1", commit="c0ffee", started_s=0.0, ended_s=1.0)

configure_logging()
options = ServiceOptions(pace=Pace(interval_s=3600, min_gap_s=0), stop_timeout_s=TIMEOUT)
code = serve(run_pass, options)
say("left")
sys.exit(code)
"""

HEEDS = "assert stop.wait(30)"
NEVER_ENDS = "threading.Event().wait(60)"
IN_C = "hashlib.pbkdf2_hmac('sha256', b'x', b'y', 2_000_000_000)"
AT_ONCE = "pass"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the script; whatever is left of it is killed when the test ends."""
    started: list[subprocess.Popen[str]] = []

    def run(what_the_pass_does: str, *, stop_timeout_s: float = 30) -> subprocess.Popen[str]:
        script = SCRIPT.replace("PASS\n", what_the_pass_does + "\n").replace("TIMEOUT", str(stop_timeout_s))
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "began\n", process.stderr
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the end: exit code, and what is left to read of standard output and error.

    Not ``communicate``, which passes over what ``readline`` has read ahead.
    """
    code = process.wait(timeout=30)
    assert process.stdout is not None
    assert process.stderr is not None
    return code, process.stdout.read(), process.stderr.read()


def wait_for_log(process: subprocess.Popen[str], event: str) -> None:
    """Read the log until ``event`` is in it."""
    assert process.stderr is not None
    for line in process.stderr:
        if f'"{event}"' in line:
            return
    raise AssertionError(f"the process ended without {event}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_the_pass_end_its_step_and_exits_0(start: Start, number: signal.Signals) -> None:
    process = start(HEEDS)
    process.send_signal(number)
    left_with, out, err = finish(process)
    assert (left_with, out) == (0, "ended\nleft\n")
    assert '"service_stopped"' in err


def test_a_stop_ends_an_idle_service_with_0(start: Start) -> None:
    process = start(AT_ONCE)
    wait_for_log(process, "pass_ended")
    process.send_signal(signal.SIGTERM)
    left_with, out, _ = finish(process)
    assert (left_with, out) == (0, "ended\nleft\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("what_the_pass_does", [NEVER_ENDS, IN_C])
def test_a_second_signal_exits_at_once(
    start: Start, what_the_pass_does: str, number: signal.Signals, code: int
) -> None:
    """Also while the main thread is inside a C call, where no Python signal handler runs."""
    process = start(what_the_pass_does)
    process.send_signal(number)
    wait_for_log(process, "signal_received")
    before_s = time.monotonic()
    process.send_signal(number)
    left_with, out, err = finish(process)
    assert (left_with, out) == (code, "")
    assert '"stopped_at_once"' in err
    assert time.monotonic() - before_s < 5


def test_a_pass_that_does_not_end_is_left_after_the_time_out(start: Start) -> None:
    process = start(NEVER_ENDS, stop_timeout_s=0.2)
    process.send_signal(signal.SIGTERM)
    left_with, _, err = finish(process)
    assert left_with == 143
    assert '"stop_timed_out"' in err


def test_hangup_asks_for_a_pass(start: Start) -> None:
    process = start(AT_ONCE)
    wait_for_log(process, "pass_ended")
    process.send_signal(signal.SIGHUP)
    wait_for_log(process, "pass_ended")
    process.send_signal(signal.SIGTERM)
    left_with, out, _ = finish(process)
    assert (left_with, out) == (0, "ended\nbegan\nended\nleft\n")


def test_signals_are_given_back() -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    signals = Signals(on_stop=lambda: None, on_hangup=lambda: None)
    signals.start()
    assert [signal.getsignal(number) for number in numbers] != before
    signals.stop()
    assert [signal.getsignal(number) for number in numbers] == before
    assert signal.set_wakeup_fd(-1) == -1
