"""The controller killed at moments that chance chooses, again and again, until all is done; then the count."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.chaos.conftest import MakeTrial
from tests.chaos.trial import Trial

SHORT = [("local", 24), pytest.param("slurm", 12, marks=pytest.mark.sandbox)]
LONG = [
    pytest.param("local", 1000, marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    pytest.param("slurm", 200, marks=[pytest.mark.long, pytest.mark.sandbox, pytest.mark.timeout(3600)]),
]
LONGEST_S = 3.5
"""A pass over a small repository takes a second or two: a kill may come before, in and between passes."""


def waves(trial: Trial, count: int, *, each: int) -> Iterator[list[str]]:
    """Commit ever more jobs, ``each`` more a time, up to ``count``; yield the names of all there are."""
    names: list[str] = []
    while len(names) < count:
        names += [f"job-{number:04d}" for number in range(len(names), min(count, len(names) + each))]
        trial.commit(*[trial.counted(name) for name in names])
        yield names


@pytest.mark.parametrize(("site", "count"), [*SHORT, *LONG])
def test_killed_at_random(make_trial: MakeTrial, request: pytest.FixtureRequest, site: str, count: int) -> None:
    """However often it is killed, each job is executed exactly once and ends Succeeded, and nothing is cancelled."""
    chance = drawn(request, f"{site} {count}")
    if site == "slurm":
        request.getfixturevalue("stranger")
    trial, names = make_trial(site), list[str]()
    for names in waves(trial, count, each=max(12, count // 20)):
        trial.kill_at_random(chance, times=4, longest_s=LONGEST_S + len(names) / 100)
    trial.converge(patience_s=120 + count * 1.5)
    print(f"{count} runs on {site}: the controller was killed {trial.killed} times")
    trial.assert_once(names)
    trial.assert_nothing_cancelled()
    assert trial.project.one_pass()["actions"] == []
    trial.close()


def test_a_sweep_killed_at_random(trial: Trial, request: pytest.FixtureRequest) -> None:
    """A sweep that grows while the controller is killed: each point is executed once, in arrays, none is lost."""
    chance = drawn(request, "sweep")
    for points in (8, 16):
        trial.commit(trial.counted("sweep", matrix={"point": list(range(points))}))
        trial.kill_at_random(chance, times=3, longest_s=LONGEST_S)
    trial.converge()
    assert trial.states() == {f"sweep/point={point}": "Succeeded" for point in range(16)}, trial.said()
    executions = trial.executions()
    assert (len(executions), set(executions.values())) == (16, {1}), executions
    trial.assert_nothing_cancelled()
    assert trial.project.one_pass()["actions"] == []


def test_two_controllers_race(trial: Trial, request: pytest.FixtureRequest) -> None:
    """Two controllers of one instance, each with a memory of its own, killed at random: each job is executed once."""
    chance = drawn(request, "race")
    names: list[str] = []
    memories = [{"CONTROLLER_STATE_DIR": str(trial.project.directory / which)} for which in ("first", "second")]
    for names in waves(trial, 16, each=8):  # noqa: B007
        for _ in range(2):
            both = [trial.start("reconcile", "--wait", env=memory) for memory in memories]
            for process in both:
                try:
                    process.wait(chance.uniform(0.5, LONGEST_S))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(20)
                    trial.killed += 1
    both = [trial.start("reconcile", "--wait", "--timeout", "150s", env=memory) for memory in memories]
    assert [process.wait(200) for process in both] == [0, 0], trial.project.said()
    trial.converge()
    trial.assert_once(names)
    trial.assert_nothing_cancelled()


def test_the_database_is_lost_in_mid_flight(trial: Trial, request: pytest.FixtureRequest) -> None:
    """Killed, and all it remembers deleted, again and again: what runs is found on the cluster, nothing runs twice."""
    chance = drawn(request, "database")
    names: list[str] = []
    for names in waves(trial, 12, each=3):  # noqa: B007
        trial.kill_at_random(chance, times=1, longest_s=LONGEST_S)
        shutil.rmtree(trial.project.state_dir, ignore_errors=True)
    trial.converge()
    trial.assert_once(names)
    trial.assert_nothing_cancelled()


def drawn(request: pytest.FixtureRequest, more: str) -> random.Random:
    """Return chance, seeded with the session's seed, which is printed where a test fails."""
    seed = request.getfixturevalue("seed")
    print(f"CHAOS_SEED={seed}")
    return random.Random(f"{seed} {more}")
