"""A spec that was removed stays removed: a file that cannot be read later brings no earlier version of it back."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.e2e.harness import condition, documents, wait_for
from tests.life.lab import Lab, Person

ONCE = Counter(gone=1, kept=1)
STATE = pytest.mark.parametrize("state", ["kept", "lost", "restored"])


@pytest.fixture
def ada(lab: Lab) -> Person:
    """Somebody with two jobs in one file, of which one is at work."""
    lab.commit(lab.specs(lab.long("gone"), lab.quick("kept")))
    person = lab.person("ada")
    person.passes_until({"gone": "Running", "kept": "Succeeded"})
    person.back_up()
    return person


def remove(lab: Lab) -> None:
    """Take the job that is at work out of the file."""
    lab.commit({"jobs.yaml": documents(lab.quick("kept"))})


def merge_badly(lab: Lab) -> None:
    """Commit the file with the marks of a merge, and both its forms in it."""
    ours, theirs = documents(lab.quick("kept")), documents(lab.quick("kept"), lab.long("gone"))
    lab.commit({"jobs.yaml": f"<<<<<<< HEAD\n{ours}=======\n{theirs}>>>>>>> theirs\n"})


def lose(ada: Person, state: str) -> None:
    """Lose the state, or have it as it was before the job was removed."""
    if state == "lost":
        ada.lose_state()
    elif state == "restored":
        ada.restore()


def stays_removed(lab: Lab, ada: Person) -> None:
    """Some passes over the broken file run nothing, and it is said nowhere that an earlier version is in force."""
    for _ in range(3):
        made = ada.one_pass(expect=1)
        assert [each for each in made["actions"] if "submit" in str(each)] == []
    listed = ada.controller("status", "-o", "json", expect=None).json
    said = {item["name"]: condition(item, "Stalled")[2] for item in listed if item["kind"] == "Job"}
    assert "the last good version stays in force" in said["kept"]
    assert "stays in force" not in said.get("gone", "")
    assert lab.executions() == ONCE


@STATE
def test_what_was_cancelled_is_not_asked_for_again(lab: Lab, ada: Person, state: str) -> None:
    """While its status still tells of its end, the file it stood in cannot be read any more."""
    remove(lab)
    wait_for("it is cancelled", lambda: ada.one_pass() and ada.states().get("gone") == "Cancelled", deadline_s=120)
    assert len(lab.cancelled()) == 1
    lose(ada, state)
    merge_badly(lab)
    stays_removed(lab, ada)
    assert lab.running() == 0


@pytest.mark.parametrize("state", ["kept", "lost"])
def test_what_still_runs_is_not_asked_for_again(lab: Lab, ada: Person, state: str) -> None:
    """It is followed to its end, as removed, over two states of the file; then it is gone."""
    lab.commit({"jobs.yaml": documents({**lab.long("gone"), "on_remove": "keep"}, lab.quick("kept"))})
    ada.one_pass()
    remove(lab)
    ada.one_pass()
    merge_badly(lab)
    assert ada.one_pass(expect=1)["actions"] == []
    lose(ada, state)
    stays_removed(lab, ada)
    assert (lab.running(), lab.cancelled()) == (1, [])
    lab.release()
    wait_for("it has ended", lambda: lab.running() == 0)
    stays_removed(lab, ada)
    remove(lab)
    ada.passes_until({"kept": "Succeeded"})
    assert (lab.executions(), lab.cancelled()) == (ONCE, [])


@pytest.mark.parametrize("failpoint", ["specs.remember.before", "report.before"])
def test_a_controller_that_died_as_it_cancelled(lab: Lab, ada: Person, failpoint: str) -> None:
    """What it had removed is known to be, though it did not live to publish it."""
    remove(lab)
    ada.dies_at(failpoint, "reconcile", "--once")
    merge_badly(lab)
    stays_removed(lab, ada)
    wait_for("its end is seen", lambda: ada.one_pass(expect=1) and lab.running() == 0, deadline_s=120)
    stays_removed(lab, ada)
    assert len(lab.cancelled()) == 1


def test_what_is_put_back_runs_again(lab: Lab, ada: Person) -> None:
    """The mark lasts until a spec asks for it again."""
    remove(lab)
    wait_for("it is cancelled", lambda: ada.one_pass() and ada.states().get("gone") == "Cancelled", deadline_s=120)
    merge_badly(lab)
    stays_removed(lab, ada)
    lab.commit(lab.specs(lab.long("gone"), lab.quick("kept")))
    ada.passes_until({"gone": "Running", "kept": "Succeeded"})
    assert lab.executions() == Counter(gone=2, kept=1)
