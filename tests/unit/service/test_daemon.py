"""The whole service as ``controller run`` starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from controller.model.errors import ConfigurationError
from controller.service.daemon import ServiceOptions, serve
from controller.service.listener import open_port
from controller.service.pacing import Pace
from controller.service.summary import PassSummary
from tests.unit.service.fakes import summary


def never(stop: threading.Event) -> PassSummary:
    raise AssertionError("a pass was run")


def test_a_port_in_use_ends_it_before_a_pass() -> None:
    with open_port("127.0.0.1:0") as port:
        options = ServiceOptions(listen=f"127.0.0.1:{port.getsockname()[1]}")
        with pytest.raises(ConfigurationError) as caught:
            serve(never, options)
    assert caught.value.reason == "PortInUse"


def test_a_secret_that_cannot_be_read_ends_it_before_a_pass(tmp_path: Path) -> None:
    options = ServiceOptions(listen="127.0.0.1:0", webhook_secret_file=tmp_path / "none")
    with pytest.raises(ConfigurationError) as caught:
        serve(never, options)
    assert caught.value.reason == "SecretUnreadable"


def test_a_secret_without_an_address_is_a_mistake_worth_telling(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        serve(never, ServiceOptions(webhook_secret_file=tmp_path / "secret"))
    assert caught.value.reason == "ListenAddressMissing"


def test_a_webhook_leads_to_a_pass_and_a_signal_to_the_end(tmp_path: Path) -> None:
    """A webhook brings the second pass; health and metrics answer; SIGTERM leaves with 0."""
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    passes = threading.Semaphore(0)
    seen: list[int | str] = []

    def run_pass(stop: threading.Event) -> PassSummary:
        passes.release()
        return summary()

    def outside() -> None:
        assert passes.acquire(timeout=20)
        address = next(log["address"] for log in logs if log["event"] == "http_listening")
        with httpx.Client(base_url=f"http://{address}", timeout=20) as client:
            seen.append(client.post("/webhook", headers={"X-Gitlab-Token": "s3cret"}).status_code)
            assert passes.acquire(timeout=20)
            seen.append(client.get("/healthz").status_code)
            seen.append("controller_build_info" in client.get("/metrics").text)
        os.kill(os.getpid(), signal.SIGTERM)

    options = ServiceOptions(pace=Pace(interval_s=3600, min_gap_s=0), listen="127.0.0.1:0", webhook_secret_file=secret)
    thread = threading.Thread(target=outside)
    with capture_logs() as logs:
        thread.start()
        assert serve(run_pass, options) == 0
        thread.join()
    assert seen == [202, 200, True]


def test_without_a_port_no_web_library_is_imported() -> None:
    script = """
import sys
from controller.service.daemon import ServiceOptions, serve
from controller.service.summary import PassSummary
import os, signal

def run_pass(stop):
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.wait(20)
    return PassSummary(pass_id="p", commit="c", started_s=0.0, ended_s=0.0)

assert serve(run_pass, ServiceOptions()) == 0
print([name for name in ("starlette", "uvicorn", "prometheus_client") if name in sys.modules])
"""
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
