"""``controller move``: it says what has moved, writes that down while jobs run, and can be done again after a crash."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import STATUS_BRANCH, job
from tests.life.lab import Lab, Person

AT_WORK = {"done": "Succeeded", "long": "Running"}
ENDED = {"done": "Succeeded", "long": "Succeeded"}
ONCE = Counter(done=1, long=1)
LOSS = """printf '{"loss": 7}' >out.json"""
METRIC = {"metrics": {"loss": {"json": "out.json", "path": "loss"}}}


@pytest.fixture
def ada(lab: Lab) -> Person:
    """Somebody whose one job has succeeded, while the other runs."""
    lab.commit(lab.specs(lab.quick("done", LOSS), lab.long("long")))
    person = lab.person("ada")
    person.passes_until(AT_WORK)
    return person


def steps(person: Person, *argv: str, expect: int = 1) -> list[dict[str, Any]]:
    """Return what ``controller move`` says."""
    found: list[dict[str, Any]] = person.controller("move", *argv, "-o", "json", expect=expect).json["steps"]
    return found


def finish(lab: Lab, person: Person) -> None:
    """Let the long job end; all has run once."""
    lab.release()
    person.passes_until(ENDED)
    assert (lab.executions(), lab.cancelled()) == (ONCE, [])
    assert person.one_pass()["actions"] == []
    assert steps(person, expect=0) == []


def copied(lab: Lab) -> Path:
    """Copy the work directory, delete the old one, and name the new one in the spec."""
    new = lab.another_site("new")
    shutil.copytree(lab.site.workdir, new.workdir)
    shutil.rmtree(lab.site.workdir)
    use = job("use", lab.site.counting("cat ${{ needs.done.run_dir }}/out.json"), cluster="there", needs=["done"])
    lab.commit(lab.specs(lab.quick("done", LOSS), lab.long("long"), use, clusters=[new.cluster()]))
    return Path(new.workdir)


@pytest.mark.parametrize("lost", [False, True])
def test_a_repository_that_moves(lab: Lab, ada: Person, lost: bool) -> None:
    """With the state at hand or lost: first only said, then done; the job that runs goes on."""
    old = str(lab.repo)
    ada.configure(repo=str(lab.move("elsewhere.git")))
    if lost:
        ada.lose_state()
    tip = lab.status_tip()
    wanted = {"what": "address", "was": old, "now": str(lab.repo)}
    assert [wanted.items() <= step.items() for step in steps(ada)] == [True]
    assert (lab.status_tip(), lab.record()["address"]) == (tip, old)
    assert steps(ada, "--yes", expect=0) != []
    assert lab.record()["address"] == str(lab.repo)
    assert {owner["address"] for owner in lab.owners().values()} == {str(lab.repo)}
    assert steps(ada, expect=0) == []
    finish(lab, ada)


def test_an_account_that_changes(lab: Lab, ada: Person) -> None:
    """It is held until then, and goes on."""
    before = next(iter(lab.owners().values()))["account"]
    ada.works_as("someone")
    assert "AccountChanged" in ada.controller("reconcile", "--once", expect=3).err
    (step,) = steps(ada)
    assert (step["what"], step["cluster"], step["was"], step["now"]) == ("account", "there", before, "someone")
    steps(ada, "--yes", expect=0)
    assert next(iter(lab.owners().values()))["account"] == "someone"
    finish(lab, ada)


def test_another_branch(lab: Lab, ada: Person) -> None:
    """The lease goes along to the branch that is followed from then on."""
    lab.git("push", "-q", str(lab.repo), "HEAD:trunk")
    ada.configure(branch="trunk")
    assert "BranchLeased" in ada.refused()
    assert [(step["what"], step["was"], step["now"]) for step in steps(ada)] == [("branch", "main", "trunk")]
    steps(ada, "--yes", expect=0)
    assert lab.record()["branch"] == "trunk"
    finish(lab, ada)


@pytest.mark.parametrize("died_at", ["", "move.before", "move.recorded", "lease.recorded"])
def test_a_work_directory_that_was_copied(lab: Lab, ada: Person, died_at: str) -> None:
    """Held; carried, the runs are where they were copied to, and their files are handed on."""
    lab.release()
    ada.passes_until(ENDED)
    new = copied(lab)
    ada.one_pass(expect=3)
    (step,) = steps(ada)
    assert (step["what"], step["runs"]) == ("cluster", 2)
    assert "--carry there" in step["how"]
    if died_at:
        ada.dies_at(died_at, "move", "--carry", "there", "--yes")
    if not died_at.startswith("lease"):
        steps(ada, "--carry", "there", "--yes", expect=0)
    ada.passes_until({**ENDED, "use": "Succeeded"})
    (status,) = ada.controller("status", "done", "-o", "json").json
    assert status["tasks"][0]["run_dir"].startswith(f"{new}/")
    assert (lab.executions(), lab.cancelled()) == (ONCE + Counter(use=1), [])
    assert not Path(lab.site.workdir).exists()


def test_a_work_directory_that_is_away(lab: Lab, ada: Person) -> None:
    """Left: new work goes to the new directory at once; what runs in the old one ends there."""
    new, aside = lab.another_site("new"), Path(f"{lab.site.workdir}.aside")
    lab.commit(lab.specs(lab.quick("done", LOSS), lab.long("long"), lab.quick("more"), clusters=[new.cluster()]))
    Path(lab.site.workdir).rename(aside)
    ada.one_pass(expect=3)
    assert "NothingCarried" in ada.controller("move", "--carry", "there", "--yes", expect=3).err
    steps(ada, "--leave", "there", "--yes", expect=0)
    ada.one_pass(expect=3)
    assert ada.states()["long"] == "Unknown"
    aside.rename(lab.site.workdir)
    ada.passes_until({**AT_WORK, "more": "Succeeded"})
    lab.release()
    ada.passes_until({**ENDED, "more": "Succeeded"})
    assert (lab.executions(), lab.cancelled()) == (ONCE + Counter(more=1), [])


SPLIT = ["", "move.before", "move.given", "move.taken", "move.report.before", "lease.recorded"]


@pytest.mark.parametrize("died_at", SPLIT)
def test_a_repository_that_is_split(lab: Lab, ada: Person, died_at: str) -> None:
    """The part with the job that runs goes on under its own controller; nothing runs again, and neither cancels."""
    half = lab.fork("half.git")
    bob = lab.person("bob", repo=str(half))
    cancel = {"on_remove": "cancel"}
    lab.commit(lab.specs(lab.quick("done", LOSS), lab.long("long", **cancel)))
    ada.one_pass()
    lab.commit_to(half, lab.specs(lab.long("long", **cancel)))
    argv = ("--from", str(ada.state_dir))
    assert [step["runs"] for step in steps(bob, *argv)] == [1]
    if died_at:
        bob.dies_at(died_at, "move", *argv, "--yes")
    steps(bob, *argv, "--yes", expect=0)
    lab.commit(lab.specs(lab.quick("done", LOSS)))
    ada.one_pass()
    bob.one_pass()
    assert bob.states() == {"long": "Running"}
    assert (lab.executions(), lab.cancelled(), lab.running()) == (ONCE, [], 1)
    lab.release()
    bob.passes_until({"long": "Succeeded"})
    ada.passes_until({"done": "Succeeded"})
    assert ada.one_pass()["actions"] == []
    assert bob.one_pass()["actions"] == []
    assert (lab.executions(), lab.cancelled()) == (ONCE, [])
    assert len(lab.owners()) >= 1


def split(lab: Lab, ada: Person) -> Person:
    """Split the repository: another controller takes both jobs over; return whose it is."""
    cancel = {"on_remove": "cancel"}
    both = lab.specs(lab.quick("done", LOSS), lab.long("long", **cancel))
    lab.commit(both)
    ada.one_pass()
    half = lab.fork("half.git")
    lab.commit_to(half, {**both, "jobs.yaml": both["jobs.yaml"] + "\n"})
    bob = lab.person("bob", repo=str(half))
    steps(bob, "--from", str(ada.state_dir), "--yes", expect=0)
    return bob


@pytest.mark.parametrize("when", ["at once", "after a pass", "a backup", "twice"])
def test_a_split_and_the_old_state_is_lost(lab: Lab, ada: Person, when: str) -> None:
    """What was given away is known from the status branch: it is not cancelled when its spec goes."""
    ada.back_up()
    bob = split(lab, ada)
    assert list(lab.record()["given"].values()) == [lab.record(Path(bob.settings["repo"]))["instance"]]
    for _ in range(2 if when == "twice" else 1):
        if when in ("after a pass", "twice"):
            ada.one_pass()
        if when == "a backup":
            ada.restore()
        else:
            ada.lose_state()
    ada.one_pass()
    lab.commit(lab.specs(lab.quick("other")))
    lab.approve()
    ada.passes_until({"other": "Succeeded"}, also=True)
    ada.one_pass()
    assert (lab.executions(), lab.cancelled(), lab.running()) == (ONCE + Counter(other=1), [], 1)
    lab.release()
    bob.passes_until(ENDED)
    assert (lab.executions(), lab.cancelled()) == (ONCE + Counter(other=1), [])


def test_a_split_is_published_before_it_is_said(lab: Lab, ada: Person) -> None:
    """Another state directory knows what has ended, and where the rest is, before the first one has run a pass."""
    bob = split(lab, ada)
    half = Path(bob.settings["repo"])
    (former,) = lab.record(half)["sites"]["former"]
    assert former["instance"] == lab.record()["instance"]
    listed = lab.git("ls-tree", "-r", "--name-only", STATUS_BRANCH, where=half).splitlines()
    assert any(name.startswith("ledger/") for name in listed)
    told = [json.loads(lab.git("show", f"{STATUS_BRANCH}:{name}", where=half)) for name in listed if "jobs/" in name]
    assert {task["id"]: task["state"] for status in told for task in status["tasks"]} == AT_WORK
    bob.lose_state()
    bob.controller("reconcile", "--once", expect=None)
    # What runs in the other instance's directory is seen again once that is said again; until then nobody knows.
    assert (bob.states(), lab.executions(), lab.running()) == ({**AT_WORK, "long": "Unknown"}, ONCE, 1)
    steps(bob, "--from", str(ada.state_dir), "--yes", expect=0)
    lab.release()
    bob.passes_until(ENDED)
    assert (lab.executions(), lab.cancelled()) == (ONCE, [])


def test_a_split_said_again_after_the_new_state_is_lost(lab: Lab, ada: Person) -> None:
    """What is running in the old instance's directories is followed there once more, to its end."""
    bob = split(lab, ada)
    bob.one_pass()
    bob.lose_state()
    steps(bob, "--from", str(ada.state_dir), "--yes", expect=0)
    bob.one_pass()
    assert (bob.states(), lab.executions(), lab.running()) == (AT_WORK, ONCE, 1)
    lab.release()
    bob.passes_until(ENDED)
    assert (lab.executions(), lab.cancelled()) == (ONCE, [])


@pytest.mark.parametrize("which", ["old", "new"])
def test_a_split_that_cannot_be_published(lab: Lab, ada: Person, which: str) -> None:
    """It is not said to be done; done again it does all of it."""
    half = lab.fork("half.git")
    bob = lab.person("bob", repo=str(half))
    lab.commit_to(half, {"jobs.yaml": lab.specs(lab.long("long"))["jobs.yaml"]})
    # Nobody can move a branch that is locked.
    lock = (half if which == "new" else lab.repo) / "refs" / "heads" / f"{STATUS_BRANCH}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    argv = ("move", "--from", str(ada.state_dir), "--yes")
    assert "Written down" not in bob.controller(*argv, expect=3).out
    lock.unlink()
    bob.controller(*argv)
    finish_both(lab, ada, bob)


def finish_both(lab: Lab, ada: Person, bob: Person) -> None:
    """Let the long job end under both; all has run once."""
    lab.release()
    bob.passes_until({"long": "Succeeded"})
    ada.passes_until(ENDED)
    assert (lab.executions(), lab.cancelled()) == (ONCE, [])


def test_a_commit_on_a_branch_that_nobody_follows_is_refused(lab: Lab, ada: Person) -> None:
    """``suspend`` and the like would have no effect there: nothing is committed."""
    lab.git("push", "-q", str(lab.repo), "HEAD:feature")
    tip = lab.git("rev-parse", "feature", where=lab.repo)
    for verb in ("suspend", "resume", "rerun"):
        said = ada.controller(verb, "long", "--branch", "feature", expect=3).err
        assert "BranchNotFollowed" in said
        assert "--branch main" in said
    assert lab.git("rev-parse", "feature", where=lab.repo) == tip


def test_adopting_says_what_it_took_over(lab: Lab, ada: Person) -> None:
    """Also with the journal at hand."""
    old = str(lab.repo)
    ada.configure(repo=str(lab.move("elsewhere.git")))
    ada.works_as("someone")
    notes = "".join(ada.one_pass("--adopt")["notes"])
    assert f"in place of {old}" in notes
    assert "taken over in spite of AccountChanged" in notes
    assert ada.one_pass()["notes"] == []


@pytest.mark.parametrize("place", ["own.before", "own.after"])
def test_a_move_that_a_cluster_breaks_off(lab: Lab, ada: Person, place: str) -> None:
    """It says so, and done again it does the rest; the job that runs goes on."""
    ada.works_as("someone")
    lab.site.arm(place)
    assert "AnswerCutOff" in ada.controller("move", "--yes", expect=3).err
    assert not lab.site.armed(place)
    ada.controller("move", "--yes")
    assert next(iter(lab.owners().values()))["account"] == "someone"
    finish(lab, ada)
