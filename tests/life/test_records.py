"""The records of a lease lost, damaged, older or newer: what says otherwise is never taken for nothing."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from tests.life.lab import Lab, Person

ONCE = Counter(done=1, long=1)
AT_WORK = {"done": "Succeeded", "long": "Running"}


@pytest.fixture
def ada(lab: Lab) -> Person:
    """Somebody whose one job has succeeded, while the other runs."""
    lab.commit(lab.specs(lab.quick("done"), lab.long("long")))
    person = lab.person("ada")
    person.passes_until(AT_WORK)
    return person


def owner_file(lab: Lab) -> Path:
    """Return the only ``owner.json``."""
    (path,) = Path(lab.site.workdir).glob("*/owner.json")
    return path


def as_by_the_version_before(lab: Lab, person: Person) -> None:
    """Take the records away, as a version left things that knew of none."""
    with sqlite3.connect(person.state_dir / "journal.sqlite3") as database:
        database.execute("DELETE FROM facts WHERE name = 'lease'")
    lab.rewrite_status({"controller.json": None})
    owner_file(lab).unlink()


def goes_on(lab: Lab, person: Person) -> None:
    """Nothing is to be done, and all that ran has run once in the end."""
    assert person.one_pass()["actions"] == []
    assert lab.running() == 1
    lab.release()
    person.passes_until({"done": "Succeeded", "long": "Succeeded"})
    assert (lab.executions(), lab.cancelled()) == (ONCE, [])
    assert lab.record()["address"] == json.loads(owner_file(lab).read_text())["address"]


@pytest.mark.parametrize("spelling", ["file://{repo}", "{repo}/", "{link}", "{plain}"])
def test_another_machine_and_another_spelling_change_nothing(lab: Lab, ada: Person, spelling: str) -> None:
    """The state is lost, the address is the same."""
    link = lab.directory / "link.git"
    link.symlink_to(lab.repo)
    words = {"repo": lab.repo, "link": link, "plain": str(lab.repo).removesuffix(".git")}
    record = lab.record()
    ada.lose_state()
    ada.configure(repo=spelling.format(**words))
    goes_on(lab, ada)
    assert lab.record() == record


@pytest.mark.parametrize(
    "damage", [{"controller.json": "{"}, {"controller.json": None}, {"controller.json": '{"version": "x"}'}]
)
def test_a_damaged_record_on_the_status_branch(lab: Lab, ada: Person, damage: dict[str, str | None]) -> None:
    """Here it is written anew; elsewhere the run directories in the statuses tell that it is another's branch."""
    record = lab.record()
    lab.rewrite_status(damage)
    ada.lose_state()
    copy = lab.fork("fork.git")
    bob = lab.person("bob", repo=str(copy))
    assert "RepositoryMoved" in bob.refused()
    goes_on(lab, ada)
    assert {**lab.record(), "since": ""} == {**record, "since": ""}


def test_the_clusters_know_the_instance_when_all_else_is_lost(lab: Lab, ada: Person) -> None:
    """The repository moved with the journal at hand; then state and status branch are lost."""
    instance = lab.record()["instance"]
    ada.configure(repo=str(lab.move("elsewhere.git")))
    ada.one_pass()
    ada.lose_state()
    lab.delete_status()
    goes_on(lab, ada)
    assert lab.record()["instance"] == instance


@pytest.mark.parametrize("text", ["", "{", '{"version": 1, "instance": "x"}'])
def test_a_damaged_owner_file(lab: Lab, ada: Person, text: str) -> None:
    """It is written anew where the journal or the status branch knows whose it is; otherwise a person is asked."""
    owner_file(lab).write_text(text)
    ada.lose_state()
    tip = lab.status_tip()
    lab.git("update-ref", "refs/heads/kept", tip, where=lab.repo)
    lab.delete_status()
    assert "LeaseUnreadable" in ada.refused()
    lab.git("update-ref", "refs/heads/controller/status", tip, where=lab.repo)
    goes_on(lab, ada)


def test_records_of_a_later_version_are_left_alone(lab: Lab, ada: Person) -> None:
    """The refusal says that this controller is to be upgraded."""
    later = json.dumps({**lab.record(), "version": 99})
    record = lab.record()
    lab.rewrite_status({"controller.json": later})
    assert "LeaseTooNew" in ada.refused()
    assert lab.record()["version"] == 99
    lab.rewrite_status({"controller.json": json.dumps(record)})
    owner = owner_file(lab)
    text = owner.read_text()
    owner.write_text(json.dumps({**json.loads(text), "version": 99}))
    assert ada.one_pass(expect=3)["actions"] == []
    assert ada.states()["done"] == "Succeeded"
    assert json.loads(owner.read_text())["version"] == 99
    owner.write_text(text)
    goes_on(lab, ada)


def test_work_begun_by_the_version_before_goes_on(lab: Lab, ada: Person) -> None:
    """No record is anywhere: the journal's run directories say which instance it is, also at another address."""
    instance = lab.record()["instance"]
    as_by_the_version_before(lab, ada)
    ada.configure(repo=str(lab.move("elsewhere.git")))
    goes_on(lab, ada)
    assert lab.record()["instance"] == instance


def test_the_version_before_and_a_fresh_state(lab: Lab, ada: Person) -> None:
    """At its own address it goes on; at another one the statuses' run directories speak against it."""
    as_by_the_version_before(lab, ada)
    ada.lose_state()
    repo = lab.repo
    ada.configure(repo=str(lab.move("elsewhere.git")))
    assert "RepositoryMoved" in ada.refused()
    assert lab.executions() == ONCE
    lab.repo.rename(repo)
    lab.repo = repo
    ada.configure(repo=str(repo))
    goes_on(lab, ada)


def test_a_configured_instance_that_contradicts_the_record_is_refused(lab: Lab, ada: Person) -> None:
    """With the journal or without it."""
    ada.configure(instance="another")
    assert "InstanceChanged" in ada.refused()
    ada.lose_state()
    assert "InstanceChanged" in ada.refused()
    del ada.settings["instance"]
    goes_on(lab, ada)


def test_a_state_directory_serves_one_repository(lab: Lab, ada: Person) -> None:
    """With another repository's controller it is refused, whatever is asked for."""
    copy = lab.fork("fork.git")
    bob = lab.person("bob", repo=str(copy))
    bob.one_pass("--new-instance")
    bob.configure(repo=str(lab.repo))
    assert "StateDirectoryInUse" in bob.refused()
    assert "StateDirectoryInUse" in bob.refused("--adopt")
    goes_on_alone = ada.one_pass()
    assert goes_on_alone["actions"] == []
    assert lab.cancelled() == []
