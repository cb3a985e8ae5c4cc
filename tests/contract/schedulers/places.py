"""A cluster of each scheduler to try things on: its client, and the longer way round by a shell on it."""

from __future__ import annotations

import io
import shlex
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from controller.clusters.cluster import ClusterClient, Look, SubmitEnd, Submitted
from controller.clusters.scripts import LAST_MEMBER
from controller.clusters.transport import Completed, Progress, Transport
from controller.model.conditions import TERMINAL, TaskState
from controller.model.digests import digest_of
from controller.model.observed import ENDED, ClusterFacts, ClusterObservation
from controller.model.plans import PlannedRun, SubmitBatch
from controller.model.resources import Cluster, Resources, Task
from controller.model.runs import RunRecord, batch_of
from controller.planning.absorb import absorb
from controller.reconcile.archives import write_tar
from controller.schedulers import scheduler_named
from tests.unit.planning import values
from tests.unit.specs.trees import MemoryTree

DEADLINE_S = 60.0


def until(what: str, holds: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """Wait for a condition; fail once the deadline has passed."""
    end = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < end, f"not within {deadline_s:.0f} s: {what}"
        threading.Event().wait(0.1)


@dataclass
class Prefixed:
    """A transport on whose far side every script finds something said or set before it."""

    transport: Transport
    prefix: str

    def run(
        self,
        script: str,
        *,
        payload: bytes | BinaryIO = b"",
        timeout_s: float = 60.0,
        progress: Progress | None = None,
    ) -> Completed:
        text = f"{self.prefix}\n{script}"
        return self.transport.run(text, payload=payload, timeout_s=timeout_s, progress=progress)

    def close(self) -> None:
        self.transport.close()


@dataclass
class Place:
    """A cluster. Everything submitted there is known by ``records``, which ``look`` brings up to date."""

    scheduler: str
    root: str
    instance: str
    transport: Transport
    cluster: Cluster
    records: dict[str, RunRecord] = field(default_factory=dict)
    facts: ClusterFacts | None = None

    def client(self, prefix: str = "") -> ClusterClient:
        """Return a client; with a prefix, one on whose far side that text stands before every script."""
        transport = Prefixed(self.transport, prefix) if prefix else self.transport
        return ClusterClient(self.cluster, transport, scheduler_named(self.scheduler), instance=self.instance)

    def known_facts(self) -> ClusterFacts:
        if self.facts is None:
            seen = self.client().observe(Look(facts=True))
            assert seen.reachable, seen.error
            assert seen.facts is not None
            self.facts = seen.facts
        return self.facts

    def shell(self, script: str) -> str:
        """Run a script there and return what it printed."""
        done = self.transport.run(script)
        assert done.exit_code == 0, done.stderr.decode()
        return done.stdout.decode()

    def batch(self, *tasks: Task, attempt: int = 1, **changes: object) -> SubmitBatch:
        """Return a batch of one run for each task."""
        resources = changes.pop("resources", Resources(walltime_s=600))
        job = values.job(tasks[0].job, *tasks, cluster=self.cluster.name, **changes)
        runs = tuple(
            PlannedRun(run=replace(values.run(task, attempt), cluster=self.cluster.name), task=task) for task in tasks
        )
        return SubmitBatch(
            cluster=self.cluster,
            job=job,
            image=None,
            runs=runs,
            batch=batch_of(planned.run.id for planned in runs),
            resources=resources,  # type: ignore[arg-type]
            why="new",
        )

    def send(self, batch: SubmitBatch, *, tries: int = 0, client: ClusterClient | None = None) -> Submitted:
        """Submit a batch once, and know its runs from then on."""
        facts = self.known_facts()
        end = (client or self.client()).submit([(batch, tries)], facts)[batch.batch]
        for index, planned in enumerate(batch.runs):
            made = RunRecord(
                run=planned.run,
                batch=batch.batch,
                index=index,
                array=len(batch.runs) > 1,
                state=TaskState.QUEUED if end.job_id else TaskState.SUBMITTING,
                job_id=end.job_id,
                intended_at=time.time(),
                submitted_at=time.time(),
            )
            self.records.setdefault(made.id, made)
        return end

    def submit(self, *tasks: Task, **changes: object) -> list[RunRecord]:
        """Submit tasks as one batch that goes through."""
        batch = self.batch(*tasks, **changes)
        end = self.send(batch)
        assert end.end is SubmitEnd.SUBMITTED, end
        return [self.records[planned.run.id] for planned in batch.runs]

    def stage(self, files: Mapping[str, bytes | str]) -> dict[str, object]:
        """Stage a commit's files; return what a job that names them has."""
        commit, text = MemoryTree(files), io.BytesIO()
        tree = digest_of([[entry.path, entry.mode, entry.oid] for entry in commit.entries()])
        write_tar(text, [(tree, commit, commit.entries())], last=LAST_MEMBER, manifests=True)
        text.seek(0)
        self.client().stage([tree], text)
        return {"files": replace(values.file_set("code"), tree=tree)}

    def observe(self, **changes: object) -> ClusterObservation:
        """Look once, at everything of every run that is known."""
        batches = tuple({r.batch for r in self.records.values() if r.job_id is None})
        fields: dict[str, object] = {"runs": tuple(self.records), "batches": batches, "accounting_s": 86400}
        seen = self.client().observe(Look(**(fields | changes)))  # type: ignore[arg-type]
        assert seen.reachable, seen.error
        assert not seen.faults
        return seen

    def look(self) -> None:
        """Bring the records up to date."""
        self.records = absorb(self.records.values(), self.observe(), instance=self.instance, now=time.time())

    def state(self, record: RunRecord) -> TaskState:
        """Return where a run stands after one more look."""
        self.look()
        return self.records[record.id].state

    def reaches(self, record: RunRecord, *states: TaskState, deadline_s: float = DEADLINE_S) -> RunRecord:
        """Wait until a run is in one of the states, and return it as it is then."""
        until(
            f"{record.id} is {' or '.join(states)}, not {self.records[record.id]}",
            lambda: self.state(record) in states,
            deadline_s,
        )
        return self.records[record.id]

    def ends(self, record: RunRecord, deadline_s: float = DEADLINE_S) -> RunRecord:
        """Wait for a run's end, whatever it is."""
        return self.reaches(record, *TERMINAL, deadline_s=deadline_s)

    def stdout(self, record: RunRecord) -> str:
        """Return everything a run has printed."""
        return self.client().read_output(record.id, "stdout", offset=0, limit=1_000_000).decode()

    def jobs(self, batch: str) -> set[str]:
        """Return the ids of the jobs that queue and accounting have for a batch."""
        seen = self.observe()
        tag = f"{self.instance}-{batch[:12]}"
        return {job.job_id for job in (*(seen.queue or ()), *(seen.accounting or ())) if job.tag == tag}

    def until_ended(self, job_id: str) -> None:
        """Wait until accounting has the end of a job."""

        def ended() -> bool:
            jobs = [job for job in self.observe().accounting or () if job.job_id == job_id]
            return bool(jobs) and all(job.state in ENDED for job in jobs)

        until(f"job {job_id} has ended", ended)

    def run_directory(self, record: RunRecord) -> str:
        return f"{self.root}/{self.instance}/runs/{record.id}"

    def control_directory(self, record: RunRecord) -> str:
        return f"{self.root}/{self.instance}/control/{record.id}"

    def submit_by_hand(self, batch: str, count: int = 1) -> str:
        """Submit a batch's script once more, past the controller; return the new job's id."""
        directory = shlex.quote(f"{self.root}/{self.instance}/submissions/{batch}")
        tag = f"{self.instance}-{batch[:12]}"
        if self.scheduler == "local":
            command = f"bash {self.root}/bin/local-scheduler-*.sh {self.root}/local submit {tag} {count} 0 ./job.sh 0 2"
        else:
            array = f"--array=0-{count - 1}" if count > 1 else ""
            command = f"sbatch --parsable --output=job.out --job-name={tag} {array} ./job.sh 2"
        return self.shell(f"cd {directory} && {command}").strip()

    def one_at_a_time(self) -> None:
        """Let only one job run at once, where that is ours to say."""
        self.shell(f"mkdir -p {self.root}/local/slots && echo 1 >{self.root}/local/slots/count")

    def clear(self) -> None:
        """End whatever is left of this test."""
        left = [record for record in self.records.values() if record.state not in TERMINAL]
        if left:
            self.client().cancel(left)
        if self.scheduler == "slurm":
            ours = f"squeue --me --noheader --format='%i %j' | awk '$2 ~ /^{self.instance}-/ {{print $1}}'"
            self.transport.run(f"{ours} | xargs -r scancel")


def commands(job: str, *lines: Sequence[str] | str) -> list[Task]:
    """Return a task for each command."""
    return [values.task(job, f"n={number}", str(line)) for number, line in enumerate(lines)]
