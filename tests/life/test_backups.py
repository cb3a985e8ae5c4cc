"""The controller's machine: the state is lost, or an old backup of it is put back; and a scheduler made anew."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.life.lab import Lab, Person
from tests.life.slurm import SlurmLab

AT_WORK = {"done": "Succeeded", "bad": "Failed", "long": "Running", "other": "Running", "queued": "Queued"}
ENDED = {**AT_WORK, "long": "Succeeded", "other": "Succeeded", "queued": "Succeeded"}
BEGUN = Counter(done=1, bad=1, long=1, other=1)
ONCE = BEGUN + Counter(queued=1)


def at_work(lab: Lab) -> Person:
    """Return somebody with a job that has succeeded, one that has failed, two that run and one that is queued."""
    person = lab.person("ada")
    first = [lab.quick("done"), lab.quick("bad", "exit 3"), lab.long("long"), lab.long("other")]
    lab.commit(lab.specs(*first))
    person.passes_until({name: state for name, state in AT_WORK.items() if name != "queued"})
    lab.commit(lab.specs(*first, lab.queued("queued")))
    person.passes_until(AT_WORK)
    return person


def finish(lab: Lab, person: Person, *, executed: Counter[str] = ONCE, also: bool = False) -> None:
    """Let all of it end; it has run once, and a pass has nothing left to do."""
    lab.release()
    person.passes_until(ENDED, also=also)
    assert (lab.executions(), lab.cancelled()) == (executed, [])
    last = person.one_pass()
    assert (last["actions"], last["status_commit"]) == ([], None)


def state_lost(lab: Lab, purged: bool) -> None:
    """Lose the state, and the files of what has ended."""
    ada = at_work(lab)
    ada.lose_state()
    if purged:
        lab.purge_runs("done", "bad")
    ada.one_pass()
    assert ada.states() == AT_WORK
    assert (lab.executions(), lab.running()) == (BEGUN, 2)
    finish(lab, ada)


@pytest.mark.parametrize("purged", [False, True])
def test_the_state_is_lost(lab: Lab, purged: bool) -> None:
    """Also with the directories of what has ended: the status branch knows its ends, the cluster what is under way."""
    state_lost(lab, purged)


@pytest.mark.sandbox
@pytest.mark.parametrize("purged", [False, True])
def test_the_state_is_lost_on_slurm(slurm_lab: SlurmLab, purged: bool) -> None:
    """The same there."""
    state_lost(slurm_lab, purged)


@pytest.mark.parametrize("taken", ["before anything ran", "while jobs run"])
@pytest.mark.parametrize("purged", [False, True])
def test_an_old_backup_of_the_state_is_restored(lab: Lab, taken: str, purged: bool) -> None:
    """The journal is older than the world: jobs have begun, ended, changed and gone since then."""
    if taken == "before anything ran":
        lab.commit(lab.specs())
        ada = lab.person("ada")
        ada.one_pass()
        ada.back_up()
        ada = at_work(lab)
    else:
        ada = at_work(lab)
        ada.back_up()
    lab.release()
    ada.passes_until(ENDED)
    changed = [lab.quick("done", env={"VERSION": "2"}), lab.quick("bad", "exit 3")]
    later = [lab.long("long"), lab.long("other"), lab.queued("queued"), lab.quick("later")]
    lab.commit(lab.specs(*changed, *later))
    ada.passes_until({**ENDED, "later": "Succeeded"})
    ada.restore()
    if purged:
        lab.purge_runs()
    assert ada.one_pass()["actions"] == []
    assert ada.states() == {**ENDED, "later": "Succeeded"}
    lab.commit(lab.specs(lab.quick("done"), changed[1], *later))
    finish(lab, ada, executed=ONCE + Counter(done=1, later=1), also=True)


def test_a_backup_from_before_the_repository_moved(lab: Lab) -> None:
    """The journal names the old address and the old branch; the records on the branch and the cluster are newer."""
    ada = at_work(lab)
    ada.back_up()
    ada.configure(repo=str(lab.move("elsewhere.git")))
    lab.git("branch", "-m", "main", "trunk", where=lab.repo)
    lab.git("symbolic-ref", "HEAD", "refs/heads/trunk", where=lab.repo)
    ada.one_pass()
    record = lab.record()
    assert (record["address"], record["branch"]) == (str(lab.repo), "trunk")
    ada.restore()
    assert ada.one_pass()["actions"] == []
    assert ada.states() == AT_WORK
    assert {**lab.record(), "since": ""} == {**record, "since": ""}
    finish(lab, ada)


def made_anew(lab: Lab) -> None:
    """Forget all that the scheduler on this machine has had, as one that is installed again."""
    shutil.rmtree(Path(lab.site.workdir) / "local")


@pytest.mark.parametrize("state", ["kept", "lost"])
def test_a_scheduler_that_is_made_anew(lab: Lab, state: str) -> None:
    """Its numbers begin at 1 again: what has ended stays so, and new work runs once, under numbers used before."""
    jobs: list[dict[str, Any]] = [lab.quick("done"), lab.quick("bad", "exit 3")]
    lab.commit(lab.specs(*jobs))
    ada = lab.person("ada")
    ada.passes_until({"done": "Succeeded", "bad": "Failed"})
    made_anew(lab)
    if state == "lost":
        ada.lose_state()
    assert ada.one_pass()["actions"] == []
    lab.commit(lab.specs(*jobs, lab.quick("later")))
    ada.passes_until({"done": "Succeeded", "bad": "Failed", "later": "Succeeded"})
    assert (lab.executions(), lab.cancelled()) == (Counter(done=1, bad=1, later=1), [])
    numbers = [each["tasks"][0]["job_id"] for each in ada.controller("status", "-o", "json").json if each["tasks"]]
    assert len(set(numbers)) < len(numbers)
