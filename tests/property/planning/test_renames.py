"""The same story, while jobs are renamed, back and forth, and upgrades bring other recipes of digests.

What is the same work, whatever it is called, has one success at most, and one live run.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from controller.model.digests import digest_of
from controller.model.observed import EventKind
from controller.model.resources import Job, Place, Task
from controller.model.runs import RunRecord
from controller.planning.history import rank_of
from tests.property.planning.model_cluster import ModelJob
from tests.property.planning.test_machine import LONG, QUICK, Machine
from tests.unit.planning.values import task

NAMES = ("train", "fit", "learn")


class Renaming(Machine):
    """As the machine, and the job has another name, or every task another digest, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.names = [NAMES[0]]
        self.recipe = 0
        self.work: dict[str, tuple[str, int]] = {}
        """Digest -> which work it is of."""

    submit_by_hand = None  # type: ignore[assignment]
    """Not here: a batch that SLURM refused, and that a person submits under the old name past the controller, has no
    claim in common with the runs of the new one."""

    @rule(name=st.sampled_from(NAMES))
    def rename(self, name: str) -> None:
        self.names = [*(each for each in self.names if each != name), name]

    @rule(recipe=st.integers(0, 2))
    def install_another_version(self, recipe: int) -> None:
        self.recipe = recipe

    @invariant()
    def work_that_has_succeeded_runs_no_second_time(self) -> None:
        ended = [run for run, seen in self.cluster.runs.items() if self._succeeded(run)]
        several = {work: count for work, count in Counter(map(self._work_of, ended)).items() if count > 1}
        assert not several, f"succeeded more than once: {several}"

    def _succeeded(self, run: str) -> bool:
        end = self.cluster.runs[run].events.get(EventKind.EXITED)
        return end is not None and end.exit_code == 0

    def _work_of(self, run: str) -> tuple[str, int]:
        for batch in self.cluster.batches.values():
            if run in batch.runs:
                return self.work[batch.digests[batch.runs.index(run)]]
        raise AssertionError(f"{run} is of no batch")

    def _digest(self, job: ModelJob) -> str:
        return str(self.work[super()._digest(job)])

    def _made(self, name: str, recipe: int, key: str, version: int) -> str:
        digest = digest_of([name, recipe, key, version])
        self.work[digest] = (key, version)
        return digest

    def _tasks(self) -> tuple[Task, ...]:
        """Return the tasks under the present name and recipe, each with all places that it had."""
        name, found = self.names[-1], []
        for key, version in sorted(self.versions.items()):
            places = [Place(n, key, self._made(n, r, key, version)) for n in self.names[::-1] for r in range(3)]
            own = Place(name, key, self._made(name, self.recipe, key, version))
            had = tuple(place for place in places if place != own)
            found.append(replace(task(name, key, f"work {key} {version}"), digest=own.digest, earlier=had))
        return tuple(found)

    def _job(self, *tasks: object) -> Job:
        return replace(super()._job(*tasks), name=self.names[-1], was=tuple(self.names[-2::-1]))

    def _latest(self, key: str) -> RunRecord | None:
        work = (key, self.versions[key])
        runs = [r for r in self.journal.records.values() if self.work.get(r.run.place.digest) == work]
        return max(runs, key=rank_of, default=None)


def test_a_rename_runs_nothing_again_whatever_happens() -> None:
    """Beside all faults: one live run and one success for the same work."""
    run_state_machine_as_test(Renaming, settings=QUICK)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_rename_runs_nothing_again_in_the_long_run() -> None:
    """The same, for as many and as long stories as there is time for."""
    run_state_machine_as_test(Renaming, settings=LONG)
