"""Values that tests of the pure half are made of. All have defaults: a test says only what it is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from controller.model.conditions import TaskState
from controller.model.digests import digest_of, short
from controller.model.files import FileEntry, FileSet, Source
from controller.model.images import Build, Image
from controller.model.observed import (
    ClusterFacts,
    ClusterObservation,
    EngineObservation,
    EventKind,
    JobRecord,
    JobState,
    Observed,
    RunEvent,
)
from controller.model.plans import Plan, SubmitBatch
from controller.model.resources import Cluster, Connection, Desired, Job, Task
from controller.model.runs import Run, RunRecord, batch_of, tag_of
from controller.planning.history import History
from controller.planning.plan import make_plan

NOW = 1_000_000.0
INSTANCE = "inst"
COMMIT = "c" * 40
ROOT = "/scratch/ada/controller"


def source(path: str = "lab.yaml", line: int = 1, commit: str = COMMIT) -> Source:
    """Where a resource stands."""
    return Source(path=path, line=line, commit=commit)


def cluster(name: str = "hpc", **changes: Any) -> Cluster:
    """A SLURM cluster without containers."""
    fields: dict[str, Any] = {"source": source(), "connection": Connection(host="login"), "containers": "none"}
    return Cluster(name=name, **(fields | changes))


def task(job: str = "train", key: str = "", command: str = "true", **changes: Any) -> Task:
    """A task whose digest follows from its command."""
    return Task(job=job, key=key, command=command, env={}, digest=digest_of([job, key, command]), **changes)


def job(name: str = "train", *tasks: Task, **changes: Any) -> Job:
    """A job; with no task given, of one task."""
    fields: dict[str, Any] = {"source": source(), "cluster": "hpc", "tasks": tasks or (task(name),)}
    return Job(name=name, **(fields | changes))


def file_set(text: str = "x") -> FileSet:
    """One file, known by its content."""
    oid = digest_of(text)[:40]
    return FileSet(tree=digest_of([text]), entries=(FileEntry(path="src/a", mode=0o100644, oid=oid),), commit=COMMIT)


def image(name: str = "torch", text: str = "FROM x", **changes: Any) -> Image:
    """An image whose identity follows from a text."""
    origin = Build(context=file_set(text))
    return Image(name=name, source=source(), identity=digest_of(text), origin=origin, **changes)


def desired(*resources: Cluster | Image | Job, **changes: Any) -> Desired:
    """A commit that asks for these resources; the cluster "hpc" is there without being named."""
    clusters = {"hpc": cluster()} | {r.name: r for r in resources if isinstance(r, Cluster)}
    fields: dict[str, Any] = {
        "commit": COMMIT,
        "clusters": clusters,
        "images": {r.name: r for r in resources if isinstance(r, Image)},
        "jobs": {r.name: r for r in resources if isinstance(r, Job)},
    }
    return Desired(**(fields | changes))


def run(of: Task | None = None, attempt: int = 1, cluster: str = "hpc") -> Run:
    """An attempt at a task."""
    of = of or task()
    return Run(job=of.job, key=of.key, digest=of.digest, attempt=attempt, cluster=cluster, commit=COMMIT)


def record(of: Run | Task | None = None, **changes: Any) -> RunRecord:
    """A run that is queued as job 7."""
    of = of if isinstance(of, Run) else run(of)
    fields: dict[str, Any] = {
        "batch": batch_of([of.id]),
        "index": 0,
        "state": TaskState.QUEUED,
        "reason": "Pending",
        "job_id": "7",
        "intended_at": NOW - 1000,
        "submitted_at": NOW - 1000,
        "run_dir": f"{ROOT}/{INSTANCE}/runs/{of.id}",
    }
    return RunRecord(run=of, **(fields | changes))


def tag(of: RunRecord) -> str:
    """The name that the run's job carries."""
    return tag_of(INSTANCE, of.batch)


def queued(of: RunRecord, state: JobState = JobState.PENDING, **changes: Any) -> JobRecord:
    """A line of queue or accounting about a run."""
    fields: dict[str, Any] = {
        "job_id": of.job_id or "7",
        "index": of.index,
        "tag": tag(of),
        "state": state,
        "word": state.name,
    }
    return JobRecord(**(fields | changes))


def owner(of: RunRecord, job_id: str | None = None) -> str:
    """What a job of the run's batch writes into the claim."""
    return f"{job_id or of.job_id or 7}_{of.index}@{short(of.batch)}.1"


def event(of: RunRecord, kind: EventKind, **changes: Any) -> RunEvent:
    """A run's own word."""
    fields: dict[str, Any] = {"owner": owner(of), "at": NOW - 10}
    return RunEvent(run=of.id, kind=kind, **(fields | changes))


def exited(of: RunRecord, code: int, **changes: Any) -> RunEvent:
    """The end of a run, by its own word."""
    return event(of, EventKind.EXITED, exit_code=code, phase=changes.pop("phase", "command"), **changes)


def facts(**changes: Any) -> ClusterFacts:
    """A work directory that has been in use."""
    return replace(ClusterFacts(root=ROOT, user="ada", host="login", initialised=True), **changes)


def seen(name: str = "hpc", **changes: Any) -> ClusterObservation:
    """A cluster seen whole, on which nothing is."""
    fields: dict[str, Any] = {
        "reachable": True,
        "now": NOW,
        "facts": facts(),
        "images": {},
        "files": frozenset(),
        "queue": (),
        "accounting": (),
        "events": (),
        "batches": {},
    }
    return ClusterObservation(cluster=name, **(fields | changes))


def unreachable(name: str = "hpc") -> ClusterObservation:
    """A cluster that nothing could be learned of."""
    return ClusterObservation(cluster=name, reachable=False, error_reason="Unreachable", error="no route to login")


def observed(*clusters: ClusterObservation, engine: EngineObservation | None = None) -> Observed:
    """What one pass saw; with no cluster given, "hpc" with nothing on it."""
    return Observed(engine=engine, clusters={c.cluster: c for c in clusters or (seen(),)})


def engine(*identities: str) -> EngineObservation:
    """An engine that has these images."""
    return EngineObservation(images=frozenset(identities))


def no_engine() -> EngineObservation:
    """An engine that could not be asked."""
    return EngineObservation(images=None, error_reason="EngineUnavailable", error="no Docker Engine answers")


def history(*records: RunRecord, **changes: Any) -> History:
    """The past: these runs."""
    return History(runs={r.id: r for r in records}, **changes)


def plan(wanted: Desired, world: Observed | None = None, past: History | None = None, now: float = NOW) -> Plan:
    """The plan of one pass."""
    return make_plan(wanted, world or observed(), past or history(), now=now)


def submits(of: Plan) -> list[SubmitBatch]:
    """The submissions of a plan."""
    return [action for action in of.actions if isinstance(action, SubmitBatch)]
