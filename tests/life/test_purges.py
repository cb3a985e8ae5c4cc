"""What a purge of scratch takes away, file by file and all at once: no run goes without its files, none runs twice."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.e2e.harness import job, wait_for
from tests.life.lab import Lab, Person

WHAT = {
    "the mark": ".controller",
    "owner.json": "*/owner.json",
    "staged files": "files/*/*",
    "a manifest": "files/*.manifest",
    "staged directories": "files",
    "the scheduler's program": "bin/*",
    "the scheduler's queue": "local/queue/*",
    "jobs of the scheduler": "local/jobs/*/*",
    "the scheduler's numbers": "local/next",
    "processes of the scheduler": "local/running/*/pid",
    "the scheduler's record": "local/ended",
    "submissions": "*/submissions/*/*",
    "control files": "*/control/*/*/*/*",
    "control directories": "*/control",
    "news": "*/spool/*",
    "runs": "*/runs",
    "all files": "",
    "everything": ".controller files bin local */",
}
"""Patterns below the work directory."""
WAITING, RUNNING, ENDED = "waiting", "running", "ended"
CASES = [
    *[(WAITING, what) for what in WHAT if what not in ("processes of the scheduler", "news")],
    (RUNNING, "the scheduler's program"),
    (RUNNING, "jobs of the scheduler"),
    (RUNNING, "processes of the scheduler"),
    (RUNNING, "control files"),
    (RUNNING, "control directories"),
    (RUNNING, "all files"),
    (RUNNING, "everything"),
    (ENDED, "the scheduler's record"),
    (ENDED, "control files"),
    (ENDED, "news"),
    (ENDED, "all files"),
    (ENDED, "everything"),
]
"""When what is deleted."""
LOST = {
    (WAITING, "the scheduler's queue"),
    (WAITING, "jobs of the scheduler"),
    (WAITING, "all files"),
    (WAITING, "everything"),
    (ENDED, "all files"),
    (ENDED, "everything"),
}
"""After these nobody can know whether the job ran, or will: the status says what to do."""


def work(lab: Lab, **more: object) -> dict[str, object]:
    """Return a job that counts itself, waits to be let go, and succeeds only with its files."""
    wait = f'[ "$(cat src/data)" = mine ] || exit 9\nwhile [ ! -e {lab.directory}/on ]; do sleep 0.2; done'
    return job("work", lab.site.counting(wait), cluster="there", files=["src"], **more)


def old(lab: Lab) -> dict[str, object]:
    """Return a job with the same files that has succeeded before anything is deleted."""
    return {**lab.quick("old"), "files": ["src"]}


def purge(lab: Lab, what: str) -> None:
    """Delete what is called so, alone; all files leave their directories behind."""
    root = lab.site.workdir
    if what == "all files":
        lab.site.shell(f"find {root} -type f -delete")
    else:
        assert lab.site.shell(f"cd {root} && ls -d {WHAT[what]}"), f"there is no {what} in {root}"
        lab.site.shell(f"cd {root} && rm -rf {WHAT[what]}")


def look(person: Person) -> dict[str, str]:
    """Run a pass; return the states of all tasks."""
    person.controller("reconcile", "--once", expect=None)
    return person.states()


def said_of(person: Person, name: str) -> str:
    """Return what the status says of a task, or of a cluster."""
    listed = person.controller("status", "-o", "json").json
    tasks = [f"{task['reason']}: {task['message']}" for item in listed for task in item["tasks"] if task["id"] == name]
    clusters = [
        f"{each['reason']}: {each['message']}" for item in listed if item["name"] == name for each in item["conditions"]
    ]
    return " ".join([*tasks, *clusters])


@pytest.fixture
def ada(lab: Lab) -> Person:
    """Somebody whose one job has succeeded, on a machine that runs one job at a time."""
    person = lab.person("ada")
    slots = f"{lab.site.workdir}/local/slots"
    lab.site.shell(f"mkdir -p {slots} && echo 1 >{slots}/count")
    lab.commit({**lab.specs(old(lab), work(lab, suspend=True)), "src/data": "mine\n", "src/more": "more\n"})
    wait_for("the first job has succeeded", lambda: look(person)["old"] == "Succeeded", deadline_s=120)
    return person


def settles(lab: Lab, ada: Person, *, lost: bool) -> None:
    """In the end the job has run once, or the status says what nobody can know and how to go on."""
    lab.site.shell(f"touch {lab.directory}/on")
    lab.release()

    def over() -> bool:
        state = look(ada)["work"]
        if "WorkdirMissing" in said_of(ada, "there"):
            # What the message says.
            lab.site.shell(f"mkdir -p {lab.site.workdir} && touch {lab.site.workdir}/.controller")
        return state == "Succeeded" or (lost and "'rerun' field" in said_of(ada, "work"))

    wait_for("it goes on", over, deadline_s=240)
    ran = lab.executions()
    assert ran["old"] == 1, "what had succeeded ran again"
    assert ran["work"] == 1 or (lost and ran["work"] == 0), ran
    assert ada.states()["old"] == "Succeeded"
    assert lab.cancelled() == []


@pytest.mark.parametrize(("when", "what"), CASES)
def test_deleted_while_a_job_is_there(lab: Lab, ada: Person, when: str, what: str) -> None:
    """The job waits for the machine, runs, or has ended and nobody has seen it yet."""
    if when == WAITING:
        lab.commit(lab.specs(old(lab), lab.long("busy"), work(lab)))
        wait_for(
            "it waits", lambda: look(ada) == {"old": "Succeeded", "busy": "Running", "work": "Queued"}, deadline_s=120
        )
    else:
        lab.commit(lab.specs(old(lab), work(lab)))
        wait_for("it runs", lambda: look(ada)["work"] == "Running", deadline_s=120)
        wait_for("its command runs", lambda: lab.executions()["work"] == 1)
    if when == ENDED:
        lab.site.shell(f"touch {lab.directory}/on")
        wait_for("it has ended", lambda: lab.running() == 0)
    purge(lab, what)
    settles(lab, ada, lost=(when, what) in LOST)


@pytest.mark.parametrize("what", WHAT)
def test_deleted_before_a_job_is_submitted(lab: Lab, ada: Person, what: str) -> None:
    """What the job needs is put there again first, so that its one attempt succeeds; nothing stalls."""
    if lab.site.shell(f"cd {lab.site.workdir} && ls -d {WHAT[what]}", check=False):
        purge(lab, what)
    lab.commit(lab.specs(old(lab), work(lab)))
    settles(lab, ada, lost=False)
    (item,) = [item for item in ada.controller("status", "-o", "json").json if item["name"] == "work"]
    assert item["tasks"][0]["attempt"] == 1


def test_what_is_in_use_does_not_grow_old(lab: Lab, ada: Person) -> None:
    """A purge by age takes nothing of what a pass uses: once a day its time stamps are renewed."""
    root = Path(lab.site.workdir)
    age = f"find {root} -exec touch -h -d '40 days ago' {{}} +"
    lab.site.shell(age)
    with sqlite3.connect(ada.state_dir / "journal.sqlite3") as database:
        # The facts were asked for more than a day ago.
        database.execute("UPDATE facts SET value = json_set(value, '$.at', 1.0) WHERE name = 'facts:there'")
    lab.commit(lab.specs(old(lab), work(lab)))
    look(ada)
    lab.site.shell(f"find {root} -type f \\( -mtime +30 -o -atime +30 \\) -delete")
    left = {path.relative_to(root).parts[0] for path in root.rglob("*") if path.is_file()}
    assert left >= {".controller", "files", "bin"}, left
    assert list(root.glob("*/owner.json"))
    assert [path.name for path in sorted(root.glob("files/*/src/*"))] == ["data", "more"]
    settles(lab, ada, lost=False)


def test_an_empty_mount_point_stalls(lab: Lab, ada: Person) -> None:
    """Nothing of a controller is in the directory: nothing is submitted there, and the status says what to do."""
    root = Path(lab.site.workdir)
    root.rename(root.with_name("unmounted"))
    root.mkdir()
    lab.commit(lab.specs(old(lab), work(lab)))
    for _ in range(2):
        assert look(ada)["work"] == "Waiting"
    assert "WorkdirMissing" in said_of(ada, "there")
    assert "touch" in said_of(ada, "work")
    lab.site.shell(f"rm -rf {root}")
    root.with_name("unmounted").rename(root)
    settles(lab, ada, lost=False)


def test_another_work_directory_is_judged_by_its_own_mark(lab: Lab, ada: Person) -> None:
    """A new directory has no mark yet; the one before, emptied, is still known to have had one."""
    first, second = lab.site.workdir, f"{lab.site.workdir}2"
    specs = lab.specs(old(lab), work(lab, suspend=True))
    there = {"cluster.yaml": specs["cluster.yaml"].replace(first, second)}
    lab.commit(there)
    for _ in range(3):
        look(ada)
        assert "WorkdirMissing" not in said_of(ada, "there")
    lab.commit(specs)
    lab.site.shell(f"mv {first} {first}.away && mkdir {first}")
    look(ada)
    assert "WorkdirMissing" in said_of(ada, "there")
    lab.site.shell(f"rm -rf {first} && mv {first}.away {first}")
    look(ada)
    assert "WorkdirMissing" not in said_of(ada, "there")
