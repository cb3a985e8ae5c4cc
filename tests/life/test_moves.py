"""A repository that moves or is forked: nothing runs again or twice, and a fork leaves the original alone."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.life.lab import Lab, Person

AT_WORK = {"done": "Succeeded", "long": "Running"}
ENDED = {"done": "Succeeded", "long": "Succeeded"}
ONCE = Counter(done=1, long=1)


@pytest.fixture
def ada(lab: Lab) -> Person:
    """Somebody whose one job has succeeded, while the other runs."""
    lab.commit(lab.specs(lab.quick("done"), lab.long("long")))
    person = lab.person("ada")
    person.passes_until(AT_WORK)
    return person


def finish(lab: Lab, person: Person) -> None:
    """Let the long job end; see that all has run once, and that a pass has nothing left to do or to say."""
    lab.release()
    person.passes_until(ENDED)
    assert lab.executions() == ONCE
    assert lab.cancelled() == []
    last = person.one_pass()
    assert (last["actions"], last["status_commit"]) == ([], None)


def test_a_fresh_state_and_another_address_stop_before_anything_is_done(lab: Lab, ada: Person) -> None:
    """Both ways on are offered; plan and status still work, and say so."""
    first = lab.record()
    ada.configure(repo=str(lab.move("elsewhere.git")))
    ada.lose_state()
    tip = lab.status_tip()
    said = ada.refused()
    assert "RepositoryMoved" in said
    assert "--adopt" in said
    assert "--new-instance" in said
    assert first["instance"] in said
    assert (lab.status_tip(), lab.executions(), lab.running()) == (tip, ONCE, 1)

    planned = ada.controller("plan", expect=3)
    assert "RepositoryMoved" in planned.err
    assert "Nothing to do" in planned.out
    status = ada.controller("status")
    assert "note: this is the status of" in status.err
    assert "Succeeded" in status.out

    assert "took over" in ada.controller("reconcile", "--adopt").err
    assert lab.record() == {**first, "address": str(lab.repo)}
    assert lab.owners()[first["instance"]]["address"] == str(lab.repo)
    told = ada.controller("status", "--freshness", "-o", "json").json
    assert told["controller"]["instance"] == first["instance"]
    finish(lab, ada)


def test_a_fork_runs_its_own_and_leaves_the_original_alone(lab: Lab, ada: Person) -> None:
    """It inherits the status branch, which becomes its own; the original's jobs and status stay."""
    first, tip = lab.record(), lab.status_tip()
    copy = lab.fork("fork.git")
    bob = lab.person("bob", repo=str(copy))
    assert "RepositoryMoved" in bob.refused()
    bob.one_pass("--new-instance")
    bob.passes_until(AT_WORK)
    assert lab.executions() == Counter(done=2, long=2)
    assert (lab.record(), lab.status_tip()) == (first, tip)
    assert lab.record(copy)["instance"] != first["instance"]
    assert set(lab.owners()) == {first["instance"], lab.record(copy)["instance"]}
    assert ada.one_pass()["actions"] == []
    lab.release()
    ada.passes_until(ENDED)
    bob.passes_until(ENDED)
    assert (lab.executions(), lab.cancelled()) == (Counter(done=2, long=2), [])


def test_with_the_journal_at_hand_another_address_is_a_move(lab: Lab, ada: Person) -> None:
    """Nothing changes but the records; it is said once."""
    instance = lab.record()["instance"]
    ada.configure(repo=str(lab.move("elsewhere.git")))
    assert "the repository moved from" in "".join(ada.one_pass()["notes"])
    assert ada.one_pass()["notes"] == []
    assert (lab.record()["instance"], lab.record()["address"]) == (instance, str(lab.repo))
    assert list(lab.owners()) == [instance]
    assert lab.owners()[instance]["address"] == str(lab.repo)
    finish(lab, ada)


def test_with_the_journal_at_hand_another_path_is_a_move(lab: Lab, ada: Person) -> None:
    """The specs move into a directory; jobs that are not there are only cancelled after an approval."""
    instance = lab.record()["instance"]
    lab.commit({"cluster.yaml": None, "jobs.yaml": None})
    files = lab.specs(lab.quick("done"))
    lab.commit({f"hpc/{name}": text for name, text in files.items()})
    ada.configure(path="hpc")
    held = ada.one_pass()["held"]
    assert [each["reason"] for each in held] == ["NotADescendant"]
    assert [each["reason"] for each in ada.one_pass()["held"]] == ["NotADescendant"]
    assert (lab.running(), lab.cancelled()) == (1, [])
    lab.commit({"hpc/jobs.yaml": lab.specs(lab.quick("done"), lab.long("long"))["jobs.yaml"]})
    assert ada.one_pass()["held"] == []
    assert (lab.record()["instance"], lab.record()["path"]) == (instance, "hpc")
    finish(lab, ada)
