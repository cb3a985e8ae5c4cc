"""The links from a commit to a result: the ones that are known, and why the others are not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from controller.clusters.provenance import Provenance
from controller.model.conditions import TaskState, TaskStatus
from controller.model.files import Source
from controller.model.images import Image, RegistryImage, SifFile
from controller.model.resources import Desired, Job, LateValue, Metric, Results, Task
from controller.reconcile.tracing import Link, Sources, chain

TASK = Task(job="train", key="", command="run", env={"A": "1"}, digest="d1")
JOB = Job(
    name="train",
    source=Source(path="t.yaml", line=7, commit="c1"),
    cluster="here",
    tasks=(TASK,),
    results=Results(files=("out/*.csv",), metrics={"loss": Metric(file="m.json", path="loss")}),
)
DESIRED = Desired(commit="c1", jobs={"train": JOB})
SH = ("sh", "-e")
LOCK: dict[str, Any] = {
    "commit": "c1",
    "key": "",
    "digest": "d1",
    "command": "run",
    "env": {"A": "1"},
    "image": None,
    "files": None,
}
STATUS = TaskStatus(
    id="train",
    state=TaskState.SUCCEEDED,
    job_id="17",
    account="lab",
    partition="short",
    exit_code=0,
    run_dir="/w/runs/r",
    results={"loss": "0.5"},
)
SEEN = Provenance(lock=LOCK, script_sha256="s", outputs={"out/a.csv": 4, "core": 9})


def links(**changed: Any) -> dict[str, Link]:
    sources = Sources(job="train", task=STATUS, seen=SEEN, now=DESIRED, then=DESIRED)
    return {link.name: link for link in chain(replace(sources, **changed))}


def agreement(task: Task, **lock: Any) -> tuple[Any, str]:
    now = Desired(commit="c2", jobs={"train": replace(JOB, tasks=(task,))})
    link = links(now=now, seen=replace(SEEN, lock={**LOCK, **lock}))["up_to_date"]
    return link.value, link.note


def test_a_whole_chain() -> None:
    found = links()
    assert (found["commit"].value, found["spec"].value) == ("c1", "t.yaml:7")
    assert found["image"] == Link(name="image", value=None, note="the job runs in no image")
    assert found["results"].value == {"metrics": {"loss": "0.5"}, "files": {"out/a.csv": 4}}
    assert found["up_to_date"].value is True
    assert (found["account"].value, found["partition"].value) == ("lab", "short")
    assert found["qos"] == Link(name="qos", value=None, note="the scheduler has not said it")


def test_the_shell_that_ran_it() -> None:
    """A lock without one is an earlier version's, which knew one shell only."""
    assert links()["shell"] == Link(name="shell", value="/bin/sh -e", note="as every run of an earlier version")
    lock = {**LOCK, "shell": ["bash", "-eo", "pipefail"]}
    assert links(seen=replace(SEEN, lock=lock))["shell"].value == "bash -eo pipefail"
    mine = replace(JOB, shell=SH, tasks=(replace(TASK, digest="d2"),))
    changed = links(seen=replace(SEEN, lock=lock), now=Desired(commit="c2", jobs={"train": mine}))["up_to_date"]
    assert (changed.value, changed.note) == (False, "the spec has changed since: shell")


def test_what_has_changed_since() -> None:
    changed = replace(TASK, digest="d2", command="other", env={"A": "2"})
    assert agreement(changed) == (False, "the spec has changed since: command, env")
    assert agreement(replace(TASK, digest="d2")) == (False, "the spec has changed since: rerun, or what it needs")
    assert agreement(replace(TASK, digest="d2"), files="t") == (False, "the spec has changed since: files")
    assert agreement(replace(TASK, key="lr=1"))[1] == "the newest commit does not hold the task any more"


def test_look_ups_that_were_filled_in_later_are_no_difference() -> None:
    """``${{ needs.x.run_dir }}`` stands in the spec, a path in the lock."""
    late = (LateValue(text="${{ needs.x.run_dir }}", job="x", what="run_dir"),)
    task = replace(TASK, digest="d2", command="run ${{ needs.x.run_dir }}", late=late)
    assert agreement(task, command="run /w/runs/x") == (False, "the spec has changed since: rerun, or what it needs")


def test_a_cluster_that_could_not_be_asked() -> None:
    """What the status knows is still told; all else says why it is not."""
    found = links(seen=None, then=None, unasked="no way there", lost="no way there")
    assert (found["job_id"].value, found["exit_code"].value) == ("17", 0)
    for name in ("commit", "spec", "image", "files", "command", "script_sha256", "sif_sha256", "up_to_date"):
        assert (found[name].value, found[name].note) == (None, "no way there"), name


def test_a_task_that_has_not_run() -> None:
    task = TaskStatus(id="train", state=TaskState.WAITING, reason="Suspended", message="suspended in t.yaml:7")
    found = links(task=task, seen=None, then=None, unasked="it has not run yet", lost="it has not run yet")
    assert found["job_id"].note == "it has not run: Waiting, Suspended: suspended in t.yaml:7"
    assert found["exit_code"].note == "the task is Waiting (Suspended)"


def test_an_image_from_outside_of_the_commit_is_not_compared() -> None:
    """At which digest it is in force only a pass knows: no answer is better than a wrong one. Of needs as well."""
    image = Image(
        name="tool",
        source=JOB.source,
        identity="unseen",
        origin=RegistryImage(reference="docker.io/lab/tool:v1", digest=""),
    )
    task = replace(TASK, digest="d2")
    seen = replace(SEEN, lock={**LOCK, "image": "pinned"})
    inside = replace(JOB, tasks=(task,), image="tool")
    now = Desired(commit="c2", images={"tool": image}, jobs={"train": inside})
    link = links(now=now, seen=seen)["up_to_date"]
    assert (link.value, link.note.partition(":")[0]) == (None, "not known")
    needed = replace(JOB, name="prepare", image="tool")
    now = Desired(
        commit="c2",
        images={"tool": image},
        jobs={"train": replace(JOB, tasks=(task,), needs=("prepare",)), "prepare": needed},
    )
    assert links(now=now)["up_to_date"].value is None
    now = replace(now, jobs={"train": replace(inside, tasks=(replace(task, command="other"),))})
    link = links(now=now, seen=seen)["up_to_date"]
    assert (link.value, link.note) == (False, "the spec has changed since: command")


def test_a_sif_that_was_there_already_is_not_said_to_be_gone() -> None:
    """Nobody recorded its hash: what the spec gives is what is known."""
    job = replace(JOB, image="tool")
    for sha256, note in ((None, "/s/x.sif: the spec gives no sha256"), ("f" * 64, "as the spec has it, of /s/x.sif")):
        origin = SifFile(path="/s/x.sif", sha256=sha256)
        image = Image(name="tool", source=JOB.source, identity="i", origin=origin)
        then = replace(DESIRED, jobs={"train": job}, images={"tool": image})
        link = links(then=then, seen=replace(SEEN, lock={**LOCK, "image": "i"}))["sif_sha256"]
        assert (link.value, link.note) == (sha256, note)
