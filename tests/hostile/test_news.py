"""What a job leaves in the spool, or in its own control files, by accident or not: it concerns nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.harness import Counted, Project, documents, job

LATE = 1_700_000_000


def event(**changes: object) -> str:
    """Return an event that fits, but for the changes."""
    return json.dumps({"run": "good/abc/1", "kind": "exited", "owner": "1_0@abc.1", "at": LATE, **changes}) + "\n"


def raw(name: str, text: str) -> str:
    """Return an event with a value as it would be typed."""
    return event(**{name: "HERE"}).replace('"HERE"', text)


TEXTS = {
    "an infinite exit code": raw("exit_code", "Infinity"),
    "a huge exit code": raw("exit_code", "1e300"),
    "a time that is none": raw("at", "NaN"),
    "a time beyond all": raw("at", "1e300"),
    "a time before all": raw("at", "-1e15"),
    "a time in words": raw("at", '"now"'),
    "nesting without end": "[" * 100_000 + "\n",
    "nesting within": raw("outputs", '{"a":' * 50_000 + "1" + "}" * 50_000),
    "a number of 6,000 digits": raw("exit_code", "9" * 6000),
    "a run that leads out": event(run="../../other/1"),
    "a list": "[1, 2]\n",
    "half an event": event()[:40],
    "no JSON": "hello\n",
    "nothing": "",
    "60 MB": raw("stderr", '"' + "QUFB" * 15_000_000 + '"'),
    "outputs that are no text": raw("outputs", '{"a": 7}'),
}
FITTING = {
    "a lone surrogate": raw("host", '"\\ud800"'),
    "an event of a run that nobody knows": event(run="nobody/abc/1"),
}
FILES: dict[str, Callable[[Path], object]] = {
    "a directory": lambda path: path.mkdir(),
    "a FIFO": os.mkfifo,
    "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "a link to another file": lambda path: path.symlink_to("/etc/passwd"),
    "a line of 300 MB": lambda path: (path.write_bytes(b""), os.truncate(path, 300_000_000)),
    "a file of 1 TB": lambda path: (path.write_bytes(b""), os.truncate(path, 10**12)),
}
MOST_S = 60.0


def two_clusters(project: Project) -> list[dict[str, object]]:
    """Return one cluster where it happens, and one that has to go on."""
    return [project.here(), {**project.here("beside"), "workdir": f"{project.workdir}-beside"}]


def instance_of(project: Project) -> Path:
    return project.workdir / project.instance


def passes(project: Project, count: int) -> None:
    """Run passes, each to its end and within its time."""
    for _ in range(count):
        assert project.controller("reconcile", "--once", timeout_s=MOST_S).code in (0, 1, 3)


def put(path: Path, kind: str) -> None:
    """Make a file of a kind."""
    if kind in FILES:
        FILES[kind](path)
    else:
        path.write_text((TEXTS | FITTING)[kind])


def test_news_that_is_none_is_named_and_set_aside(project: Project, counted: Counted) -> None:
    """Jobs on both clusters end as they do; each file is out of the spool, and what the cluster says is short."""
    counted.release()
    mine, others = job("good", counted.command), job("other", "true", cluster="beside")
    project.commit({"specs.yaml": documents(*two_clusters(project), mine, others)})
    spool = instance_of(project) / "spool"
    spool.mkdir(parents=True)
    names = {f"{number:02}.json": kind for number, kind in enumerate([*TEXTS, *FILES])}
    for name, kind in names.items():
        put(spool / name, kind)
    passes(project, 1)
    ready = project.condition("Cluster", "here", "Ready")
    assert ready[:2] == ("False", "PartlySeen")
    assert "spool/00.json: it holds Infinity" in ready[2]
    assert f"and {len(names) - 3} more" in ready[2]
    assert project.condition("Cluster", "beside", "Ready")[0] == "True"
    project.passes_until_states({"good": "Succeeded", "other": "Succeeded"})
    passes(project, 1)
    assert list(spool.glob("*.json")) == []
    assert {path.name for path in (spool / "unreadable").iterdir()} == names.keys()
    assert project.condition("Cluster", "here", "Ready")[0] == "True"
    assert len(counted.lines) == 1
    # A status is read by people, and hosts refuse large files.
    assert all(len(text) < 100_000 for text in project.status_files().values())


def test_news_that_concerns_nobody_is_taken_away(project: Project, counted: Counted) -> None:
    """It costs one scan, not one in each pass."""
    counted.release()
    project.commit({"specs.yaml": documents(project.here(), job("good", counted.command))})
    project.passes_until_states({"good": "Succeeded"})
    spool = instance_of(project) / "spool"
    for number, kind in enumerate(FITTING):
        put(spool / f"{number}.json", kind)
    passes(project, 3)
    assert list(spool.glob("*.json")) == []
    assert (project.state("good"), len(counted.lines)) == ("Succeeded", 1)


@pytest.mark.parametrize("kinds", [["half an event", "a directory"], ["an infinite exit code", "a FIFO"]], ids="+".join)
def test_an_end_that_cannot_be_read_leaves_the_word_to_the_scheduler(
    project: Project, tmp_path: Path, kinds: list[str]
) -> None:
    """No run is taken for one that never was: each is executed once, and its task says which file is in the way."""
    commands = {f"good-{number}": Counted(tmp_path, f"count-{number}") for number in range(len(kinds))}
    jobs = [job(name, command.command) for name, command in commands.items()]
    other = job("other", "true", cluster="beside")
    project.commit({"specs.yaml": documents(*two_clusters(project), *jobs, other)})
    project.passes_until("they run", lambda: all(len(command.lines) == 1 for command in commands.values()))
    for (name, command), kind in zip(commands.items(), kinds, strict=True):
        [control] = (instance_of(project) / "control" / name).glob("*/1")
        put(control / "exit.json", kind)
        command.release()
    project.passes_until_states({"other": "Succeeded"})
    for _ in range(3):
        passes(project, 1)
        # What they say of their ends besides is lost on the way.
        for news in (instance_of(project) / "spool").glob("*.json"):
            news.unlink()
    for name, command in commands.items():
        task = project.task(name)
        assert len(command.lines) == 1
        assert task["state"] in ("Unknown", "Failed", "Succeeded"), task
        if task["state"] == "Unknown":
            assert (task["reason"], "exit.json: " in task["message"]) == ("Unreadable", True), task
