"""One instance follows one branch, under one account: another is refused, and can cancel or submit nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.e2e.harness import wait_for
from tests.life.lab import Lab, Person

ONCE = Counter(done=1, long=1)


@pytest.fixture
def ada(lab: Lab) -> Person:
    """Somebody whose one job has succeeded, while the other runs; branch ``feature`` asks for something else."""
    lab.commit(lab.specs(lab.quick("done"), lab.long("long")))
    person = lab.person("ada")
    person.passes_until({"done": "Succeeded", "long": "Running"})
    lab.commit(lab.specs(lab.quick("other")), branch="feature")
    lab.git("reset", "-q", "--hard", "HEAD~1")
    return person


def test_two_branches_cannot_cancel_each_other(lab: Lab, ada: Person) -> None:
    """A colleague's ``--branch feature``, in turns with the controller of main: refused, eight times."""
    bob, tip = lab.person("bob", branch="feature"), lab.status_tip()
    for _ in range(4):
        said = bob.refused()
        assert "BranchLeased" in said
        assert "controller plan" in said
        assert "--new-instance" in said
        assert ada.one_pass()["actions"] == []
    assert lab.status_tip() == tip
    assert (lab.executions(), lab.cancelled(), lab.running()) == (ONCE, [], 1)
    planned = bob.controller("plan", expect=3)
    assert "BranchLeased" in planned.err
    assert "other" in planned.out
    assert "note: this is the status of" in bob.controller("status").err


def test_the_same_state_directory_holds_the_lease(lab: Lab, ada: Person) -> None:
    """``--branch feature`` by mistake cancels nothing, whether the status branch is there or not."""
    assert "BranchLeased" in ada.refused("--branch", "feature")
    lab.delete_status()
    assert "BranchLeased" in ada.refused("--branch", "feature")
    ada.one_pass()
    assert (lab.executions(), lab.cancelled(), lab.running()) == (ONCE, [], 1)
    assert lab.record()["branch"] == "main"


def test_the_cluster_holds_the_lease_when_nothing_else_does(lab: Lab, ada: Person) -> None:
    """With the status branch deleted, a colleague's pass finds whose directory it is before it reads any run."""
    lab.delete_status()
    bob = lab.person("bob", branch="feature")
    assert "BranchLeased" in bob.refused()
    assert lab.status_tip() == ""
    assert (lab.executions(), lab.cancelled(), lab.running()) == (ONCE, [], 1)


def test_a_second_instance_for_another_branch(lab: Lab, ada: Person) -> None:
    """With a state directory and a status branch of its own it runs its own jobs."""
    bob, tip = lab.person("bob", branch="feature"), lab.status_tip()
    assert "StatusBranchTaken" in bob.refused("--new-instance")
    assert "StateDirectoryInUse" in ada.refused("--branch", "feature", "--new-instance")
    bob.configure(status_branch="controller/status-feature")
    bob.one_pass("--new-instance")
    bob.passes_until({"other": "Succeeded"})
    assert ada.one_pass()["actions"] == []
    assert lab.status_tip() == tip
    assert lab.record(branch="controller/status-feature")["branch"] == "feature"
    assert len(lab.owners()) == 2
    assert (lab.executions(), lab.cancelled(), lab.running()) == (ONCE + Counter(other=1), [], 1)


def test_a_branch_that_was_renamed_goes_on(lab: Lab, ada: Person) -> None:
    """The recorded branch is gone, and the other has what was applied in its history."""
    lab.git("branch", "-m", "main", "trunk", where=lab.repo)
    lab.git("symbolic-ref", "HEAD", "refs/heads/trunk", where=lab.repo)
    assert "is gone and trunk continues it" in "".join(ada.one_pass()["notes"])
    assert lab.record()["branch"] == "trunk"
    assert {owner["branch"] for owner in lab.owners().values()} == {"trunk"}
    ada.lose_state()
    assert ada.one_pass()["actions"] == []
    lab.release()
    ada.passes_until({"done": "Succeeded", "long": "Succeeded"})
    assert (lab.executions(), lab.cancelled()) == (ONCE, [])


def test_a_branch_that_took_the_place_of_another_does_not(lab: Lab, ada: Person) -> None:
    """The recorded branch is gone, but the other has another history."""
    lab.git("checkout", "-q", "--orphan", "anew")
    lab.commit(lab.specs(lab.quick("other")), branch="anew")
    lab.git("symbolic-ref", "HEAD", "refs/heads/anew", where=lab.repo)
    lab.git("branch", "-D", "main", where=lab.repo)
    assert "BranchLeased" in ada.refused()
    assert (lab.executions(), lab.cancelled(), lab.running()) == (ONCE, [], 1)


def test_following_another_branch_takes_the_lease_along(lab: Lab, ada: Person) -> None:
    """``--adopt`` says so; whoever follows the old branch is refused from then on."""
    bob = lab.person("bob", branch="feature")
    lab.commit(lab.specs(lab.quick("done"), lab.long("long"), lab.quick("other")), branch="feature-2")
    bob.configure(branch="feature-2")
    bob.one_pass("--adopt")
    assert lab.record()["branch"] == "feature-2"
    assert "BranchLeased" in ada.refused()
    lab.release()
    bob.passes_until({"done": "Succeeded", "long": "Succeeded", "other": "Succeeded"})
    assert (lab.executions(), lab.cancelled()) == (ONCE + Counter(other=1), [])


def test_two_that_begin_at_once_on_two_branches(lab: Lab) -> None:
    """Neither knows of the other: one alone gets the lease, and nothing of it is cancelled."""
    lab.commit(lab.specs(lab.long("main-job")))
    lab.commit(lab.specs(lab.long("feature-job")), branch="feature")
    people = [lab.person("ada", branch="main"), lab.person("bob", branch="feature")]
    for _ in range(2):
        processes = [person.start("reconcile", "--once") for person in people]
        said = [process.communicate(timeout=300)[1] for process in processes]
    assert sorted("BranchLeased" in text for text in said) == [False, True], said
    wait_for("the job runs", lambda: lab.executions().total() == 1)
    (name,) = lab.executions()
    assert lab.record()["branch"] == name.removesuffix("-job")
    assert (lab.cancelled(), lab.running()) == ([], 1)


def test_two_accounts_are_said_and_do_not_write_in_turns(lab: Lab, ada: Person) -> None:
    """The second one's passes are refused, with the first's name; the status branch stays as it is."""
    tip, bob = lab.status_tip(), lab.person("bob")
    bob.works_as("bob")
    for _ in range(2):
        said = bob.refused()
        assert "AccountChanged" in said
        assert "as bob" in said
        assert ada.one_pass()["status_commit"] is None
    assert lab.status_tip() == tip
    assert (lab.executions(), lab.cancelled()) == (ONCE, [])


def test_an_account_that_changes_holds_the_cluster(lab: Lab, ada: Person) -> None:
    """With the journal at hand the cluster alone is held, until somebody says that it is meant so."""
    before = ada.account
    ada.works_as("service")
    assert ada.one_pass(expect=3)["actions"] == []
    found = {item["name"]: item for item in ada.controller("status", "-o", "json", expect=None).json}
    stalled = next(each for each in found["there"]["conditions"] if each["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "AccountChanged")
    assert "reconcile --adopt" in stalled["message"]
    ada.one_pass("--adopt")
    assert lab.record()["accounts"] == {"there": "service"} != {"there": before}
    lab.release()
    ada.passes_until({"done": "Succeeded", "long": "Succeeded"})
    assert (lab.executions(), lab.cancelled()) == (ONCE, [])
