"""An upgrade while work is in every state: nothing twice, nothing lost, nothing run again; and the way back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import documents, job
from tests.life.lab import Lab, Person
from tests.life.releases import BEFORE, changed, tree_of, with_another_recipe
from tests.life.slurm import SlurmLab

ENDED = {
    "done": "Succeeded",
    "bad": "Failed",
    "long": "Succeeded",
    "queued": "Succeeded",
    "after": "Succeeded",
    "first": "Succeeded",
    "then": "Succeeded",
    "sweep/k=1": "Succeeded",
    "sweep/k=2": "Succeeded",
    "sweep/k=3": "Succeeded",
    "flow/make": "Succeeded",
    "flow/use": "Succeeded",
}
AT_UPGRADE = ENDED | {"long": "Running", "queued": "Queued", "after": "Waiting"}
ONCE = Counter(
    {"done": 1, "bad": 1, "first": 1, "then": 1, "sweep": 3, "flow.make": 1, "flow.use": 1, "long": 1, "gone": 1}
)
"""What has run at the time of the upgrade."""
ALL = ONCE + Counter(queued=1, after=1)


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The version before."""
    return tree_of(BEFORE, tmp_path_factory.mktemp("before"))


@pytest.fixture(scope="session")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A later version, in which every task has another digest."""
    return changed(tmp_path_factory.mktemp("later") / "tree", with_another_recipe)


def work(lab: Lab) -> list[dict[str, Any]]:
    """Return jobs that come to be in every state; two may run at a time."""
    count = lab.counting
    number = {"n": {"json": "n.json", "path": "n"}}
    flow = {
        "kind": "Workflow",
        "name": "flow",
        "cluster": "there",
        "steps": {
            "make": {"command": count("echo '{\"n\": 5}' >n.json"), "results": {"metrics": number}},
            "use": {"command": count("test ${{ steps.make.results.n }} = 5"), "needs": ["make"]},
        },
    }
    return [
        lab.quick("done"),
        job("bad", count("exit 3"), cluster="there"),
        lab.quick("first"),
        job("then", count("test -d ${{ needs.first.run_dir }}"), cluster="there", needs=["first"]),
        job("sweep", count(": ${{ matrix.k }}"), cluster="there", matrix={"k": [1, 2, 3]}),
        flow,
        lab.long("gone", on_remove="keep"),
        lab.long("long"),
        lab.queued("queued"),
        lab.quick("after", needs=["long"]),
    ]


def at_work(lab: Lab, version: Path | None) -> Person:
    """Return somebody whose work is in every state, by one version of the controller."""
    person = lab.person("ada")
    person.version = version
    specs = work(lab)
    ended = [spec for spec in specs if spec["name"] not in ("gone", "long", "queued", "after")]
    lab.commit(lab.specs(*ended))
    person.passes_until({name: state for name, state in ENDED.items() if AT_UPGRADE[name] == state})
    running = [spec for spec in specs if spec["name"] in ("gone", "long")]
    lab.commit(lab.specs(*ended, *running))
    person.passes_until({"long": "Running", "gone": "Running"}, also=True)
    # It stays, since it says on_remove: keep; and both places are taken.
    lab.commit(lab.specs(*[spec for spec in specs if spec["name"] != "gone"]))
    person.passes_until(AT_UPGRADE, also=True)
    assert lab.executions() == ONCE
    return person


def finish(lab: Lab, person: Person) -> None:
    """Let all of it end; see that everything has run once, and that nothing is left to do."""
    lab.release()
    person.passes_until(ENDED, also=True)
    assert lab.executions() == ALL
    assert lab.cancelled() == []
    assert person.one_pass()["actions"] == []
    assert lab.executions() == ALL


@pytest.mark.parametrize("state", ["kept", "lost"])
def test_an_upgrade_from_the_version_before(lab: Lab, before: Path, state: str) -> None:
    """With the state directory as it was, and with none."""
    ada = at_work(lab, before)
    if state == "lost":
        ada.lose_state()
    ada.version = None
    finish(lab, ada)


@pytest.mark.sandbox
def test_an_upgrade_from_the_version_before_on_slurm(slurm_lab: SlurmLab, before: Path) -> None:
    """The same with SLURM, over SSH, and the state directory lost on the way; no job is submitted for what runs."""
    ada = at_work(slurm_lab, before)
    submitted = len(slurm_lab.there.jobs(slurm_lab.instance))
    ada.lose_state()
    ada.version = None
    ada.one_pass()
    assert len(slurm_lab.there.jobs(slurm_lab.instance)) == submitted
    finish(slurm_lab, ada)


@pytest.mark.parametrize("state", ["kept", "lost"])
def test_an_upgrade_to_another_recipe_of_digests(lab: Lab, later: Path, state: str) -> None:
    """Every task has another digest, and what ran under the one before counts, as does what runs now."""
    ada = at_work(lab, None)
    if state == "lost":
        ada.lose_state()
    ada.version = later
    finish(lab, ada)
    ada.lose_state()
    assert ada.one_pass()["actions"] == []
    assert lab.executions() == ALL


def test_the_way_back_to_the_version_before_does_nothing(lab: Lab, before: Path) -> None:
    """It cannot read the journal, ends before it does anything, and leaves the file alone; the upgrade then goes on."""
    ada = at_work(lab, before)
    ada.version = None
    ada.one_pass()
    ada.version = before
    assert ada.crashed("reconcile", "--once")
    assert (lab.executions(), lab.cancelled()) == (ONCE, [])
    assert not list(ada.state_dir.glob("*unreadable*"))
    ada.version = None
    finish(lab, ada)


def test_the_way_back_from_another_recipe_runs_nothing_again(lab: Lab, later: Path) -> None:
    """A run keeps what it was begun under: what ran before the upgrade still counts after it is taken back."""
    ada = at_work(lab, None)
    ada.version = later
    ada.one_pass()
    ada.version = None
    finish(lab, ada)


def test_a_journal_of_a_later_version_is_refused(lab: Lab) -> None:
    """Said with the version that made it; nothing is done and nothing is set aside."""
    lab.commit({"cluster.yaml": documents(lab.site.cluster()), "jobs.yaml": documents(lab.quick("done"))})
    ada = lab.person("ada")
    ada.passes_until({"done": "Succeeded"})
    ada.change_journal("PRAGMA user_version = 99", "UPDATE facts SET value = '7.0' WHERE name = 'controller_version'")
    said = ada.refused()
    assert "made by a later version of the controller 7.0" in said
    assert "Install that version again" in said
    assert not list(ada.state_dir.glob("*unreadable*"))
    assert lab.executions() == Counter(done=1)
