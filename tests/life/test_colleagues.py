"""Two people with a controller each: what one has begun counts for the other, whatever has changed meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.harness import wait_for
from tests.life.lab import Lab, Person
from tests.life.releases import changed, with_another_recipe


def renamed(lab: Lab, person: Person) -> str:
    """Rename the job."""
    lab.commit(lab.specs(lab.quick("ready", was="done")))
    return "ready"


def on_another_cluster(lab: Lab, person: Person) -> str:
    """Move the job to another cluster."""
    beyond = {**lab.another_site("beyond").cluster(), "name": "beyond"}
    lab.commit(lab.specs(lab.quick("done", cluster="beyond"), clusters=[lab.site.cluster(), beyond]))
    return "done"


def in_another_directory(lab: Lab, person: Person) -> str:
    """Give the cluster another work directory."""
    lab.commit(lab.specs(lab.quick("done"), clusters=[lab.another_site("new").cluster()]))
    return "done"


def by_a_later_version(lab: Lab, person: Person) -> str:
    """Have the other one upgrade to a version in which every task has another digest."""
    person.version = changed(lab.directory / "later", with_another_recipe)
    return "done"


@pytest.mark.parametrize("change", [renamed, on_another_cluster, in_another_directory, by_a_later_version])
@pytest.mark.parametrize("who", ["a colleague", "an old backup"])
def test_what_another_controller_began_counts(lab: Lab, who: str, change: Callable[[Lab, Person], Any]) -> None:
    """It ended unseen, and what is asked for next would be run elsewhere, or under another name or digest."""
    lab.commit(lab.specs(lab.quick("first")))
    ada = lab.person("ada")
    bob = lab.person("bob") if who == "a colleague" else ada
    for person in (ada, bob):
        person.passes_until({"first": "Succeeded"})
    bob.back_up()
    lab.commit(lab.specs(lab.quick("done")))
    wait_for("it has run", lambda: lab.executions()["done"] or ada.one_pass() is None, deadline_s=120)
    wait_for("it has ended", lambda: not lab.running())
    bob.restore()
    name = change(lab, bob)
    bob.passes_until({name: "Succeeded"})
    assert (lab.executions(), lab.cancelled()) == (Counter(first=1, done=1), [])
