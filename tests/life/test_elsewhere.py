"""Runs under way that only the status branch knows, in a directory that is away or is no more the cluster's.

However the knowledge was lost, none of them begins a second time; when the directory can be seen again they end there.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.life.lab import Lab, Person
from tests.life.test_places import ENDED, ONCE, ada, jobs, settled

__all__ = ["ada"]


def away(lab: Lab) -> Path:
    """Unmount the work directory."""
    return Path(lab.site.workdir).rename(f"{lab.site.workdir}.away")


def several(person: Person, count: int = 2) -> None:
    """Run passes, whatever their exit code."""
    for _ in range(count):
        person.controller("reconcile", "--once", expect=None)


def ends_where_it_is(lab: Lab, person: Person, place: Path | None, executed: Counter[str] = ONCE) -> None:
    """Nothing has begun a second time; with its directory back the run ends with what it did."""
    assert lab.executions() == executed
    if place is not None:
        # A mount hides what is below it.
        shutil.rmtree(lab.site.workdir, ignore_errors=True)
        place.rename(lab.site.workdir)
    lab.release()
    person.passes_until(ENDED, also=True)
    settled(lab, person, executed=executed)


def test_state_lost_while_the_directory_is_not_mounted(lab: Lab, ada: Person) -> None:
    """It is not taken for a new one, and nothing is made in its place."""
    place = away(lab)
    ada.lose_state()
    ran = ada.controller("reconcile", "--once", expect=3)
    assert "WorkdirMissing" in ran.out + ran.err
    assert not list(Path(lab.site.workdir).glob("*/owner.json"))
    several(ada, 1)
    ends_where_it_is(lab, ada, place)


@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_directory_that_was_left_and_is_away(lab: Lab, ada: Person, lost: str) -> None:
    """`move --leave`, as the message says, and the state lost before it or after."""
    new = lab.another_site("new")
    place = away(lab)
    lab.commit(lab.specs(*jobs(lab), clusters=[new.cluster()]))
    if lost == "before":
        ada.lose_state()
    several(ada, 1)
    ada.controller("move", "--leave", "there", "--yes", expect=None)
    several(ada, 1)
    if lost == "after":
        ada.lose_state()
    several(ada)
    ends_where_it_is(lab, ada, place)


def test_a_job_that_moved_to_another_cluster(lab: Lab, ada: Person) -> None:
    """The first one's directory is away, and the state lost."""
    other = lab.another_site("other")
    moved = [jobs(lab)[0], {**jobs(lab)[1], "cluster": "other"}]
    place = away(lab)
    ada.lose_state()
    lab.commit(lab.specs(*moved, clusters=[lab.site.cluster(), {**other.cluster(), "name": "other"}]))
    several(ada)
    ends_where_it_is(lab, ada, place)


def test_an_old_backup_knows_nothing_of_a_directory_between(lab: Lab, ada: Person) -> None:
    """W, then W2 with a job that runs there, then W again; and the journal of the very beginning is put back."""
    new = lab.another_site("new")
    ada.back_up()
    between = [*jobs(lab), lab.long("between")]
    lab.commit(lab.specs(*between, clusters=[new.cluster()]))
    ada.passes_until({"done": "Succeeded", "long": "Running", "between": "Running"})
    lab.commit(lab.specs(*between))
    ada.one_pass()
    ada.restore()
    several(ada)
    ends_where_it_is(lab, ada, None, ONCE + Counter(between=1))


def test_a_colleague_who_was_away(lab: Lab, ada: Person) -> None:
    """Two controllers of one account; meanwhile the other has begun a job in a directory that ada has never seen."""
    new, bob = lab.another_site("new"), lab.person("bob")
    between = [*jobs(lab), lab.long("between")]
    lab.commit(lab.specs(*between, clusters=[new.cluster()]))
    bob.passes_until({"done": "Succeeded", "long": "Running", "between": "Running"})
    lab.commit(lab.specs(*between))
    bob.one_pass()
    several(ada)
    ends_where_it_is(lab, ada, None, ONCE + Counter(between=1))


def test_a_repository_that_moves_after_the_directory_did(lab: Lab, ada: Person) -> None:
    """With a new state directory: what runs in the earlier directory is followed, and the move is over once it is."""
    new = lab.another_site("new")
    lab.commit(lab.specs(*jobs(lab), clusters=[new.cluster()]))
    ada.one_pass()
    ada.configure(repo=str(lab.move("moved.git")))
    ada.lose_state()
    ada.controller("move", "--yes", expect=None)
    several(ada)
    ends_where_it_is(lab, ada, None)
