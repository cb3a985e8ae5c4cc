"""Trials for the tests of this folder, the wrappers on the sandbox, and the end of all that they have started."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.chaos.sites import Here, There
from tests.chaos.trial import Trial
from tests.conftest import Sandbox
from tests.e2e.harness import Project, wait_for

SESSION = uuid.uuid4().hex[:6]
MakeTrial = Callable[[str], Trial]


@pytest.fixture(scope="session")
def seed() -> int:
    """What chance is drawn from; CHAOS_SEED sets it, so that a run can be had again."""
    return int(os.environ.get("CHAOS_SEED") or uuid.uuid4().int % 1_000_000)


@pytest.fixture(scope="session")
def stranger(sandbox: Sandbox) -> Iterator[str]:
    """A job of the same user that no controller submitted; it has to live through everything."""
    there = There(sandbox, f"chaos-{SESSION}-stranger")
    submitted = there.shell(
        "cd /tmp && sbatch --parsable --job-name=someone-elses-0123456789ab --account=lab --time=60 --mem=16M "
        "--partition=urgent --output=/dev/null --wrap 'sleep 3600'"
    ).strip()
    wait_for("the stranger's job runs", lambda: "RUNNING" in sandbox.state_of(submitted))
    yield submitted
    state = sandbox.state_of(submitted)
    there.shell(f"scancel {submitted}", check=False)
    assert state == "RUNNING", f"the stranger's job {submitted} is {state}"


@pytest.fixture(scope="session")
def wrappers(sandbox: Sandbox) -> Iterator[There]:
    """The sandbox, where programs of the log-in PATH can be replaced for the length of a test."""
    there = There(sandbox, f"chaos-{SESSION}-wrappers")
    there.put_wrappers_first()
    yield there
    there.forget_wrappers()


@pytest.fixture(scope="session")
def make_trial(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeTrial]:
    """Make trials: ``make_trial("local")`` or ``make_trial("slurm")``."""
    with ExitStack() as running:
        count = 0

        def make(kind: str) -> Trial:
            nonlocal count
            count += 1
            directory: Path = tmp_path_factory.mktemp(f"trial-{kind}")
            name = f"chaos-{SESSION}-{count}"
            if kind == "local":
                trial = Trial(Project(directory, name), Here(directory / "work"))
            else:
                site = There(request.getfixturevalue("sandbox"), name)
                running.callback(site.root, f"rm -rf {site.workdir} {site.counter}", check=False)
                trial = Trial(Project(directory, name), site)
            running.callback(trial.close)
            return trial

        yield make


@pytest.fixture(params=["local", pytest.param("slurm", marks=pytest.mark.sandbox)])
def trial(request: pytest.FixtureRequest, make_trial: MakeTrial) -> Iterator[Trial]:
    """A trial on every site there is."""
    made = make_trial(request.param)
    yield made
    made.close()


@pytest.fixture
def local(make_trial: MakeTrial) -> Iterator[Trial]:
    """A trial on this machine."""
    made = make_trial("local")
    yield made
    made.close()


@pytest.fixture
def slurm(make_trial: MakeTrial, wrappers: There, stranger: str) -> Iterator[Trial]:
    """A trial on the sandbox."""
    made = make_trial("slurm")
    yield made
    made.close()
