"""The cut of the suite into shards, and what a shard reports: a pytest plugin, loaded by ``deploy/shards.py``.

A test belongs to one shard by its markers alone, so that a new one has its place at once: with ``sandbox`` or
``docker`` it is of the shard ``cluster``, else of ``local``. Within a shard pytest-xdist gives whole files to workers,
and each worker of ``cluster`` has a sandbox of its own: a test that breaks services there breaks them for no other.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

LOCAL, CLUSTER = "local", "cluster"
SHARDS = (LOCAL, CLUSTER)
BACKENDS = {"sandbox": "sandbox", "engine": "docker"}
"""Fixture of a real backend -> marker of the tests that need it."""
FOLDERS = ("chaos", "life", "e2e", "contract")
"""Those with the longest files, which go first: then no worker is left alone with one at the end."""


def take_sandbox() -> None:
    """Let this worker have its own of the sandboxes in ``SANDBOX_OF_WORKER``, a JSON list of environments."""
    worker, sandboxes = os.environ.get("PYTEST_XDIST_WORKER"), os.environ.get("SANDBOX_OF_WORKER")
    if worker and sandboxes:
        os.environ.update(json.loads(sandboxes)[int(worker.removeprefix("gw"))])


def shard_of(markers: Iterable[str]) -> str:
    """Return the shard of a test with these markers."""
    return CLUSTER if set(BACKENDS.values()) & set(markers) else LOCAL


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say what to run and where to report."""
    group = parser.getgroup("shards")
    group.addoption("--shard", choices=SHARDS, help="run the tests of this shard only")
    group.addoption("--shard-report", type=Path, help="file for one line of JSON a test, and one at the end")


def pytest_configure(config: pytest.Config) -> None:
    """Report from the process that has the workers."""
    if config.getoption("--shard-report") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Report(config.getoption("--shard-report")))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the shard, those of long files first, and count what each shard has."""
    shard = config.getoption("--shard")
    if shard is None:
        return
    marks = {item: {mark.name for mark in item.iter_markers()} for item in items}
    if hasattr(config, "workeroutput"):
        asked = [item for item in items if "long" not in marks[item] or not config.option.markexpr]
        config.workeroutput["shards"] = dict(Counter(shard_of(marks[item]) for item in asked))
    config.hook.pytest_deselected(items=[item for item in items if shard_of(marks[item]) != shard])
    mine = [item for item in items if shard_of(marks[item]) == shard]
    items[:] = sorted(mine, key=lambda item: _place(item.path))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test that has a real backend and not its marker: it would be in a shard without one."""
    for fixture, marker in BACKENDS.items():
        if fixture in getattr(item, "fixturenames", ()) and item.get_closest_marker(marker) is None:
            pytest.fail(f"has the fixture {fixture!r} and needs pytest.mark.{marker}", pytrace=False)


def _place(path: Path) -> int:
    return next((number for number, folder in enumerate(FOLDERS) if folder in path.parts), len(FOLDERS))


class Report:
    """Writes down each test as it ends."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", buffering=1)
        self._tests: dict[str, dict[str, Any]] = {}
        self._shards: dict[str, int] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in one phase of a test; the worst outcome counts."""
        test = self._tests.setdefault(report.nodeid, {"test": report.nodeid, "outcome": "passed", "seconds": 0.0})
        test["seconds"] = round(test["seconds"] + report.duration, 2)
        if report.failed or (report.skipped and test["outcome"] == "passed"):
            test["outcome"] = report.outcome
        if report.when == "teardown" or test["outcome"] == "failed":
            self._file.write(json.dumps(test) + "\n")

    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take in what a worker has counted."""
        self._shards = getattr(node, "workeroutput", {}).get("shards", self._shards)

    def pytest_sessionfinish(self) -> None:
        """Say that this is all."""
        self._file.write(json.dumps({"shards": self._shards}) + "\n")
        self._file.close()
