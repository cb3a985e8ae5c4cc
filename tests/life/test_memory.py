"""What ran once is known for good: state lost, scratch purged, old commits, specs removed and put back."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import STATUS_BRANCH, wait_for
from tests.life.lab import Lab, Person

DONE = {"done": "Succeeded"}


@pytest.fixture
def ada(lab: Lab) -> Person:
    """Somebody whose one job has succeeded."""
    lab.commit(lab.specs(lab.quick("done")))
    person = lab.person("ada")
    person.passes_until(DONE)
    return person


def purge(lab: Lab) -> None:
    """Do what a purge of scratch and a new machine do: nothing is left of the runs' own directories."""
    for kind in ("runs", "control", "submissions", "spool"):
        for place in Path(lab.site.workdir).glob(f"*/{kind}"):
            shutil.rmtree(place)


def changed(lab: Lab) -> str:
    """Commit another command for the job, and return the commit before."""
    before = lab.git("rev-parse", "HEAD")
    lab.commit(lab.specs({**lab.quick("done"), "env": {"VERSION": "2"}}))
    return before


def test_a_revert_after_all_but_the_branch_is_lost_runs_nothing(lab: Lab, ada: Person) -> None:
    """The commit of a year ago is asked for again: its run is no longer in any status."""
    before = changed(lab)
    ada.one_pass()
    ada.passes_until(DONE)
    assert lab.executions() == Counter(done=2)
    ada.lose_state()
    purge(lab)
    lab.git("checkout", "-q", before, "--", ".")
    lab.commit({})
    assert ada.one_pass()["actions"] == []
    assert ada.states() == DONE
    assert lab.executions() == Counter(done=2)


def test_a_spec_that_is_removed_and_put_back_runs_nothing(lab: Lab, ada: Person) -> None:
    """While it was gone, state and scratch were lost, and the branch got another name."""
    lab.commit({"jobs.yaml": None})
    ada.one_pass()
    lab.commit(lab.specs(lab.quick("done")), branch="trunk")
    lab.git("symbolic-ref", "HEAD", "refs/heads/trunk", where=lab.repo)
    lab.git("update-ref", "-d", "refs/heads/main", where=lab.repo)
    ada.lose_state()
    purge(lab)
    assert ada.one_pass()["actions"] == []
    assert ada.states() == DONE
    assert lab.executions() == Counter(done=1)


@pytest.mark.parametrize("forced", ["deleted", "back"])
def test_a_status_branch_that_loses_its_memory_gets_it_back(lab: Lab, ada: Person, forced: str) -> None:
    """The journal has the ledger as well, so that the branch is whole again after one pass."""
    first = lab.status_tip()
    changed(lab)
    ada.passes_until(DONE)
    before = entries(lab)
    lab.git("update-ref", "refs/heads/controller/status", first, where=lab.repo)
    if forced == "deleted":
        lab.delete_status()
    purge(lab)
    ada.one_pass()
    assert entries(lab) == before
    assert lab.executions() == Counter(done=2)


@pytest.mark.parametrize("damage", ["{", "", None, '{"job":"done"}\n'])
def test_a_damaged_part_of_the_ledger_is_read_from_history(lab: Lab, ada: Person, damage: str | None) -> None:
    """Somebody breaks, empties or removes a part; it is made whole by the next pass, and nothing runs again."""
    before = ledger(lab)
    (part,) = [name for name in before if name.endswith(".jsonl")]
    lab.rewrite_status({part: damage, **forgotten(lab)})
    ada.lose_state()
    purge(lab)
    assert ada.one_pass()["actions"] == []
    assert ada.states() == DONE
    assert ledger(lab) == before


@pytest.mark.parametrize("damage", ["{", None])
def test_a_damaged_index_of_the_ledger_is_read_from_history(lab: Lab, ada: Person, damage: str | None) -> None:
    """The same for what names the parts, also when a part goes with it."""
    before = ledger(lab)
    (part,) = [name for name in before if name.endswith(".jsonl")]
    lab.rewrite_status({part: None, "ledger/index.json": damage, **forgotten(lab)})
    ada.lose_state()
    purge(lab)
    assert ada.one_pass()["actions"] == []
    assert ledger(lab) == before


def test_a_part_that_nothing_is_left_of_holds_its_jobs(lab: Lab, ada: Person) -> None:
    """Its history is gone as well: what may have succeeded waits for an approval, and other jobs go on."""
    part = next(name for name in ledger(lab) if name.endswith(".jsonl"))
    lab.rewrite_status({part: "{", **forgotten(lab)})
    begin_history_anew(lab)
    ada.lose_state()
    purge(lab)
    lab.commit(lab.specs(lab.quick("done"), lab.quick("other")))
    ada.one_pass(expect=0)
    assert ada.one_pass()["held"][0]["reason"] == "LedgerDamaged"
    ada.passes_until({"done": "Waiting", "other": "Succeeded"})
    assert lab.executions() == Counter(done=1, other=1)
    assert "LedgerDamaged" in ada.controller("approve", "--dry-run").out
    lab.approve()
    ada.passes_until({"done": "Succeeded", "other": "Succeeded"})
    assert ada.one_pass()["held"] == []
    assert lab.executions() == Counter(done=2, other=1)


def test_a_ledger_of_a_later_version_is_refused(lab: Lab, ada: Person) -> None:
    """It may say what this version does not understand."""
    lab.rewrite_status({"ledger/index.json": json.dumps({"version": 99, "parts": {}})})
    assert "LedgerTooNew" in ada.controller("reconcile", "--once", expect=3).err


def test_ends_of_the_version_before_are_entered(lab: Lab, ada: Person) -> None:
    """Its branch has statuses and no ledger; the spec changes in the very first pass, with a fresh state."""
    lab.rewrite_status(dict.fromkeys(ledger(lab)))
    begin_history_anew(lab)
    before = changed(lab)
    ada.lose_state()
    purge(lab)
    ada.passes_until(DONE)
    lab.git("checkout", "-q", before, "--", ".")
    lab.commit({})
    ada.lose_state()
    purge(lab)
    assert ada.one_pass()["actions"] == []
    assert lab.executions() == Counter(done=2)


def test_two_controllers_at_once_lose_no_entry(lab: Lab, ada: Person) -> None:
    """Each has ends of its own to write, and one branch to write them to."""
    bob = lab.person("bob")
    names = [f"job{number}" for number in range(4)]
    lab.commit(lab.specs(lab.quick("done"), *(lab.quick(name) for name in names)))
    states = dict.fromkeys(["done", *names], "Succeeded")

    def both_passed() -> bool:
        processes = [who.start("reconcile", "--once") for who in (ada, bob)]
        for process in processes:
            process.communicate(timeout=120)
        return ada.states() == states

    wait_for("all is done", both_passed, deadline_s=120)
    assert {entry["job"] for entry in entries(lab)} == set(states)
    for who in (ada, bob):
        who.lose_state()
    purge(lab)
    assert ada.one_pass()["actions"] == []
    assert bob.one_pass()["actions"] == []
    assert lab.executions() == Counter(list(states))


def ledger(lab: Lab) -> dict[str, str]:
    """Return the files of the ledger on the status branch."""
    names = lab.git("ls-tree", "-r", "--name-only", STATUS_BRANCH, "ledger/", where=lab.repo).splitlines()
    return {name: lab.git("show", f"{STATUS_BRANCH}:{name}", where=lab.repo) for name in names}


def entries(lab: Lab) -> list[dict[str, Any]]:
    """Return the entries of the ledger on the status branch, in order of their digests."""
    parts = [text for name, text in ledger(lab).items() if name.endswith(".jsonl")]
    found = [json.loads(line) for text in parts for line in text.splitlines()]
    return sorted(found, key=lambda entry: str(entry["digest"]))


def forgotten(lab: Lab) -> dict[str, None]:
    """Return the status files of jobs, to be removed: they remember as well."""
    names = lab.git("ls-tree", "-r", "--name-only", STATUS_BRANCH, "jobs/", where=lab.repo).splitlines()
    return dict.fromkeys(names)


def begin_history_anew(lab: Lab) -> None:
    """Make the status branch one commit without parents, as a person does who finds it too long."""
    tree = lab.git("rev-parse", f"{STATUS_BRANCH}^{{tree}}", where=lab.repo)
    commit = lab.git("commit-tree", "-m", "Anew", tree, where=lab.repo)
    lab.git("update-ref", f"refs/heads/{STATUS_BRANCH}", commit, where=lab.repo)
    lab.git("reflog", "expire", "--expire=now", "--all", where=lab.repo)
    lab.git("gc", "-q", "--prune=now", where=lab.repo)


USE = 'test -d "$FROM" && echo used'


def chain(lab: Lab, more: str = "echo x >made.txt") -> dict[str, str]:
    """Return a job that makes something, and one that is given its directory."""
    user = {"env": {"FROM": "${{ needs.done.run_dir }}"}, "needs": ["done"]}
    use = {**lab.quick("use"), **user, "command": f"{lab.site.counting()}\n{USE}"}
    return lab.specs({**lab.quick("done"), "command": f"{lab.site.counting()}\n{more}"}, use)


def emptied(place: Path) -> None:
    """Take away all files, as a purge by age does, which leaves the directories."""
    for path in [*place.glob("*/runs/done/**/*"), *place.glob("*/control/done/**/*")]:
        if not path.is_dir():
            path.unlink()


@pytest.mark.parametrize("purged", ["directory", "files", "run directory alone"])
@pytest.mark.parametrize("state", ["kept", "lost"])
def test_a_purged_directory_that_is_needed_is_said_to_be_gone(lab: Lab, purged: str, state: str) -> None:
    """What needs it is not started in vain; what to do is said, and makes it go on."""
    files = chain(lab)
    lab.commit({**files, "jobs.yaml": files["jobs.yaml"].split("---")[0]})
    ada = lab.person("ada")
    ada.passes_until(DONE)
    place = Path(lab.site.workdir)
    if purged == "files":
        emptied(place)
    else:
        for kind in ("runs", "control") if purged == "directory" else ("runs",):
            for found in place.glob(f"*/{kind}/done"):
                shutil.rmtree(found)
    if state == "lost":
        ada.lose_state()
    lab.commit(files)
    ada.one_pass()
    said = ada.controller("status", "use").out
    assert "OutputsGone" in said
    assert "controller rerun done" in said
    assert ada.one_pass()["actions"] == []
    assert lab.executions() == Counter(done=1)
    again = files["jobs.yaml"].replace("name: done\n", "name: done\nrerun: '1'\n", 1)
    lab.commit({"jobs.yaml": again})
    ada.passes_until({"done": "Succeeded", "use": "Succeeded"})
    assert lab.executions() == Counter(done=2, use=1)


def test_a_run_that_made_no_file_is_not_gone(lab: Lab) -> None:
    """Its directory is empty as it was."""
    lab.commit(chain(lab, "true"))
    ada = lab.person("ada")
    ada.passes_until({"done": "Succeeded", "use": "Succeeded"})
    assert lab.executions() == Counter(done=1, use=1)


@pytest.mark.parametrize("state", ["kept", "lost"])
def test_a_purge_that_leaves_submissions_makes_nothing_of_an_end(lab: Lab, ada: Person, state: str) -> None:
    """They look like runs under way: with the journal lost nothing is cancelled, and a revert finds the success."""
    before = changed(lab)
    ada.passes_until(DONE)
    lab.purge_runs("done")
    if state == "lost":
        ada.lose_state()
    assert ada.one_pass()["actions"] == []
    lab.git("checkout", "-q", before, "--", ".")
    lab.commit({})
    assert ada.one_pass()["actions"] == []
    assert ada.states() == DONE
    assert lab.executions() == Counter(done=2)
