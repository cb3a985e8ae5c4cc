"""Clusters that change under way: runs are followed where they are, and nothing runs again or twice."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.harness import job
from tests.life.lab import Lab, Person

ENDED = {"done": "Succeeded", "long": "Succeeded"}
ONCE = Counter(done=1, long=1)
METRIC = {"metrics": {"loss": {"json": "out.json", "path": "loss"}}}
LOSS = """printf '{"loss": 7}' >out.json"""


@pytest.fixture
def ada(lab: Lab) -> Person:
    """Somebody whose one job has succeeded, while the other runs and will have a result."""
    lab.commit(lab.specs(*jobs(lab)))
    person = lab.person("ada")
    person.passes_until({"done": "Succeeded", "long": "Running"})
    return person


def jobs(lab: Lab) -> list[dict[str, object]]:
    """Return the specs of the two."""
    return [lab.quick("done", LOSS, results=METRIC), lab.long("long", LOSS, results=METRIC)]


def task(person: Person, name: str) -> dict[str, object]:
    """Return what is said of the only task of a job."""
    (found,) = person.controller("status", name, "-o", "json").json
    return dict(found["tasks"][0])


def settled(lab: Lab, person: Person, *, executed: Counter[str] = ONCE) -> None:
    """All has run once, nothing was cancelled, and a pass has nothing to do."""
    assert (lab.executions(), lab.cancelled()) == (executed, [])
    last = person.one_pass()
    assert (last["actions"], last["status_commit"]) == ([], None)


def test_a_work_directory_that_moves_while_a_job_runs(lab: Lab, ada: Person) -> None:
    """The run ends where it is, with its result; new work goes to the new directory."""
    old, new = lab.site.workdir, lab.another_site("new")
    after = [*jobs(lab), lab.quick("later")]
    lab.commit(lab.specs(*after, clusters=[new.cluster()]))
    said = ada.one_pass()
    assert f"what is in {old} is followed there" in "".join(said["notes"])
    assert ada.states()["long"] == "Running"
    assert ada.one_pass()["notes"] == []
    lab.release()
    ada.passes_until({**ENDED, "later": "Succeeded"})
    assert task(ada, "long")["results"] == {"loss": "7"}
    assert str(task(ada, "long")["run_dir"]).startswith(f"{old}/")
    assert str(task(ada, "later")["run_dir"]).startswith(f"{new.workdir}/")
    assert ada.controller("logs", "done", "--stderr").code == 0
    assert ada.controller("trace", "long", "-o", "json").json["links"]["results"]["value"]["metrics"] == {"loss": "7"}
    settled(lab, ada, executed=ONCE + Counter(later=1))


def test_a_work_directory_that_moves_while_the_state_is_lost(lab: Lab, ada: Person) -> None:
    """The status branch says where the runs are."""
    new = lab.another_site("new")
    ada.lose_state()
    lab.commit(lab.specs(*jobs(lab), clusters=[new.cluster()]))
    ada.one_pass()
    assert ada.states() == {"done": "Succeeded", "long": "Running"}
    lab.release()
    ada.passes_until(ENDED)
    assert task(ada, "long")["results"] == {"loss": "7"}
    settled(lab, ada)


def test_a_cancellation_reaches_a_run_where_it_is(lab: Lab, ada: Person) -> None:
    """The job's spec goes as the work directory moves: the job is ended where it runs."""
    new = lab.another_site("new")
    changed = {**jobs(lab)[1], "on_change": "replace", "command": lab.site.counting("true")}
    lab.commit(lab.specs(jobs(lab)[0], {**jobs(lab)[1], "on_change": "replace"}))
    ada.one_pass()
    lab.commit(lab.specs(jobs(lab)[0], {**changed, "results": {}}, clusters=[new.cluster()]))
    ada.passes_until(ENDED)
    assert len(lab.cancelled()) == 1
    assert lab.executions() == Counter(done=1, long=2)
    assert lab.running() == 0


def test_a_job_that_moves_to_another_cluster_hands_on_no_directory(lab: Lab) -> None:
    """What needs its directory there says why it waits; results are handed on; once run again there, all goes on."""
    there, beyond = lab.site.cluster(), {**lab.another_site("beyond").cluster(), "name": "beyond"}
    lab.commit(lab.specs(lab.quick("first", LOSS, results=METRIC), clusters=[there, beyond]))
    ada = lab.person("ada")
    ada.passes_until({"first": "Succeeded"})
    first = lab.quick("first", LOSS, results=METRIC, cluster="beyond")
    use = {"needs": ["first"], "cluster": "beyond"}
    path = job("path", lab.site.counting("ls ${{ needs.first.run_dir }}/out.json"), **use)
    value = job("value", lab.site.counting("[ ${{ needs.first.results.loss }} = 7 ]"), **use)
    lab.commit(lab.specs(first, path, value, clusters=[there, beyond]))
    ada.passes_until({"first": "Succeeded", "path": "Waiting", "value": "Succeeded"})
    waiting = task(ada, "path")
    assert waiting["reason"] == "NeedElsewhere"
    assert "controller rerun first" in str(waiting["message"])
    assert task(ada, "first")["cluster"] == "there"
    assert ada.controller("trace", "first", "-o", "json").json["cluster"] == "there"
    lab.commit(lab.specs({**first, "rerun": "once more"}, path, value, clusters=[there, beyond]))
    ada.passes_until({"first": "Succeeded", "path": "Succeeded", "value": "Succeeded"})
    assert lab.cancelled() == []
    assert lab.executions() == Counter(first=2, path=1, value=2)


def test_a_work_directory_that_is_gone_is_held(lab: Lab, ada: Person) -> None:
    """Copied, and the old one deleted: nothing is done there until a person says so."""
    lab.release()
    ada.passes_until(ENDED)
    new = lab.another_site("new")
    shutil.copytree(lab.site.workdir, new.workdir)
    shutil.rmtree(lab.site.workdir)
    more = lab.quick("more")
    lab.commit(lab.specs(*jobs(lab), more, clusters=[new.cluster()]))
    said = ada.one_pass(expect=3)
    assert [each["reason"] for each in said["unseen"]] == ["WorkdirMoved"]
    assert "controller move" in said["unseen"][0]["message"]
    assert lab.site.workdir in said["unseen"][0]["message"]
    assert not Path(lab.site.workdir).exists()
    assert ada.states() == {**ENDED, "more": "Waiting"}


def test_a_cluster_that_is_renamed_keeps_its_runs(lab: Lab, ada: Person) -> None:
    """The same work directory by another name: the run is followed, nothing runs again."""
    renamed = {**lab.site.cluster(), "name": "renamed"}
    after = [{**each, "cluster": "renamed"} for each in jobs(lab)]
    lab.commit(lab.specs(*after, clusters=[renamed]))
    ada.one_pass()
    assert ada.states() == {"done": "Succeeded", "long": "Running"}
    lab.release()
    ada.passes_until(ENDED)
    assert task(ada, "long")["results"] == {"loss": "7"}
    settled(lab, ada)


def test_work_of_the_version_before_is_followed(lab: Lab, ada: Person) -> None:
    """Its records name no site, and its journal and status branch know of none: the run's directory tells."""
    with closing(sqlite3.connect(ada.state_dir / "journal.sqlite3")) as journal, journal:
        for run, text in journal.execute("SELECT id, record FROM runs").fetchall():
            record = {name: value for name, value in json.loads(text).items() if name != "site"}
            journal.execute("UPDATE runs SET record = ? WHERE id = ?", (json.dumps(record), run))
        journal.execute("DELETE FROM facts WHERE name = 'sites'")
    record = {name: value for name, value in lab.record().items() if name != "sites"}
    lab.rewrite_status({"controller.json": json.dumps(record)})
    new = lab.another_site("new")
    lab.commit(lab.specs(*jobs(lab), clusters=[new.cluster()]))
    ada.one_pass()
    lab.release()
    ada.passes_until(ENDED)
    assert task(ada, "long")["results"] == {"loss": "7"}
    settled(lab, ada)
