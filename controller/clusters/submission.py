"""What a submission puts on the cluster: the job script, the table of its runs, and who they are.

``tasks`` has a line for each array index: run id, lock (base64 of JSON) and command (base64 of shell), with tabs
between. Base64, so that a compute node needs no JSON reader and no value can be taken for shell.
"""

from __future__ import annotations

import io
import json
import shlex
import tarfile
from base64 import b64encode
from collections.abc import Iterable, Mapping

from controller.clusters.launching import launch_script
from controller.clusters.scripts import LAST_MEMBER, remote_file
from controller.model.images import Image, SifFile
from controller.model.plans import PlannedRun, SubmitBatch
from controller.model.runs import tag_of
from controller.schedulers.dialect import Scheduler, SubmitRequest


def submission_files(
    batch: SubmitBatch, scheduler: Scheduler, *, root: str, instance: str, scheduler_version: str
) -> dict[str, bytes]:
    """Return the files of ``submissions/<batch>/`` by name."""
    request = SubmitRequest(
        tag=tag_of(instance, batch.batch),
        count=len(batch.runs),
        resources=batch.resources,
        priority=batch.job.priority,
        max_running=batch.max_running,
        scheduler_version=scheduler_version,
    )
    manifest = {
        "batch": batch.batch,
        "job": batch.job.name,
        "commit": batch.runs[0].run.commit,
        "image": batch.image.identity if batch.image else "",
        "runs": [planned.run.id for planned in batch.runs],
        "digests": [planned.run.place.digest for planned in batch.runs],
        "keys": [planned.run.place.key for planned in batch.runs],
    }
    tasks = "".join(_task_line(batch, index, planned, root, instance) for index, planned in enumerate(batch.runs))
    return {
        "manifest.json": (json.dumps(manifest, sort_keys=True) + "\n").encode(),
        "tasks": tasks.encode(),
        "job.sh": job_script(batch, scheduler, root=root, instance=instance).encode(),
        "submit": (scheduler.submit_line(request) + "\n").encode(),
    }


def sif_of(image: Image | None) -> str | None:
    """Return the identity of the SIF that an image's runs are in; None when that is not one of the controller's own."""
    return None if image is None or isinstance(image.origin, SifFile) else image.identity


def job_script(batch: SubmitBatch, scheduler: Scheduler, *, root: str, instance: str) -> str:
    """Return the script that the scheduler starts: see ``remote/job.sh``.

    Privileged mode reads nothing of the environment that would change the shell itself. What the environment was is
    kept first of all, for the child: names of ours may be in it.
    """
    variables = {
        "root": root,
        "base": f"{root}/{instance}",
        "batch": batch.batch,
        "login": "-l" if scheduler.login else "",
        "setup": batch.cluster.setup.rstrip(),
        "shell": batch.job.shell[0],
        "files_tree": batch.job.files.tree if batch.job.files else "",
        "outputs": "\n".join(sorted({metric.file for metric in batch.job.results.metrics.values()})),
        "launch": launch_script(batch, root=root, instance=instance),
    }
    return "\n".join(
        [
            "#!/bin/bash -p",
            # A job starts with next to no environment, so that nothing of the submitter's leaks in.
            'export HOME="${HOME:-$(cd ~ && pwd)}" USER="${USER:-$(id -un)}"',
            "inherited=$(export -p)",
            *(f"{name}={shlex.quote(value)}" for name, value in variables.items()),
            f"scheduler_identity() {{\n{scheduler.identity}\n}}",
            f"scheduler_exports() {{\n{scheduler.exports}\n}}",
            remote_file("child.sh"),
            remote_file("manifest.sh"),
            remote_file("job.sh"),
        ]
    )


def archive(directories: Iterable[tuple[str, Mapping[str, bytes]]]) -> bytes:
    """Return a tar of ``(directory, {name: bytes})`` pairs."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for directory, contents in directories:
            for name, data in contents.items():
                entry = tarfile.TarInfo(f"{directory}/{name}")
                entry.size = len(data)
                entry.mode = 0o644
                tar.addfile(entry, io.BytesIO(data))
        tar.addfile(tarfile.TarInfo(LAST_MEMBER))
    return buffer.getvalue()


def _task_line(batch: SubmitBatch, index: int, planned: PlannedRun, root: str, instance: str) -> str:
    run = planned.run
    lock = {
        "run": run.id,
        "job": run.place.job,
        "key": run.place.key,
        "digest": run.place.digest,
        "attempt": run.attempt,
        "batch": batch.batch,
        "index": index,
        "commit": run.commit,
        "image": batch.image.identity if batch.image else None,
        "files": batch.job.files.tree if batch.job.files else None,
        "command": planned.task.command,
        "shell": list(batch.job.shell),
        "env": dict(planned.task.env),
    }
    own = {
        "CONTROLLER_JOB": run.job,
        "CONTROLLER_TASK": planned.task.id,
        "CONTROLLER_ATTEMPT": str(run.attempt),
        "CONTROLLER_COMMIT": run.commit,
        "CONTROLLER_RUN_DIR": f"{root}/{instance}/runs/{run.id}",
    }
    exports = [f"export {name}={shlex.quote(value)}" for name, value in {**own, **planned.task.env}.items()]
    tables = [_write_table(path, text) for path, text in planned.tables.items()]
    script = "\n".join([_begun(f"{root}/{instance}/control/{run.id}"), *exports, *tables, planned.task.command, ""])
    return f"{run.id}\t{_base64(json.dumps(lock, sort_keys=True))}\t{_base64(script)}\n"


def _begun(control: str) -> str:
    """The first line of a command's script: it leaves a mark that the shell has begun it; see ``job.sh``."""
    return f"true >{shlex.quote(f'{control}/phase.begun')} || true"


def _write_table(path: str, text: str) -> str:
    """Shell text that makes a file of the run directory."""
    directory = shlex.quote(path.rpartition("/")[0] or ".")
    return f"mkdir -p {directory}\nprintf '%s' {shlex.quote(text)} >{shlex.quote(path)}"


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode("ascii")
