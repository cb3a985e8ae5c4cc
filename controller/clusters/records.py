"""What runs and submissions say of themselves, file by file: one that does not fit is noted, and the others count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from controller.clusters import decoding
from controller.clusters.decoding import UnfitError
from controller.model.observed import OUTPUT_SENT, BatchRecord, EventKind, RunEvent, RunLock
from controller.model.versions import refuse_later

STDERR_BYTES = 8192
_KINDS = frozenset(kind.value for kind in EventKind)


def lines_of(text: str) -> list[str]:
    """Split at newlines alone: ``str.splitlines`` also does at characters that file names and commands may hold."""
    return [line for line in text.split("\n") if line.strip()]


def read_spool(text: str, unfit: dict[str, str]) -> tuple[RunEvent, ...]:
    """Read ``FILE {...}`` lines."""
    events = []
    for line in lines_of(text):
        name, _, body = line.partition(" ")
        with _noting(unfit, f"spool/{name}"):
            events.append(_event(body, spool_file=name))
    return tuple(events)


def read_runs(text: str, unfit: dict[str, str]) -> tuple[RunEvent, ...]:
    """Read ``exit RUN {...}`` and ``started RUN {...}`` lines; ``claim`` and ``none`` lines are for scans."""
    events = []
    for line in lines_of(text):
        word, _, rest = line.partition(" ")
        run, _, body = rest.partition(" ")
        if word in ("exit", "started", "stopped", "cancelling"):
            with _noting(unfit, f"control/{run}/{word}.json"):
                event = _event(body, spool_file="")
                if event.run != run:
                    raise UnfitError(f"it speaks of another run, {event.run}")
                events.append(event)
        elif word == "claim" and run:
            events.append(RunEvent(run=run, kind=EventKind.CLAIMED, owner=body.strip(), at=0.0))
    return tuple(events)


def _event(body: str, *, spool_file: str) -> RunEvent:
    """Read one event.

    Raises:
        UnfitError: no run of ours wrote it so.
        NewerVersionError: a later version did.
    """
    value = decoding.document(_told(body))
    run = decoding.run_of(value)
    refuse_later(value, f"what run {run} says of itself")
    kind = decoding.text_of(value, "kind")
    if kind not in _KINDS:
        raise UnfitError(f"kind is {kind!r}, not one of {', '.join(sorted(_KINDS))}")
    outputs = decoding.members_of(value, "outputs")
    return RunEvent(
        run=run,
        kind=EventKind(kind),
        owner=decoding.text_of(value, "owner"),
        at=decoding.seconds_of(value, "at"),
        exit_code=decoding.integer_of(value, "exit_code", high=255) if "exit_code" in value else None,
        host=decoding.text_of(value, "host", default=""),
        phase=decoding.text_of(value, "phase", default=""),
        reason=decoding.text_of(value, "reason", default=""),
        stderr_tail=decoding.bytes_of(value.get("stderr", ""), "stderr", most=STDERR_BYTES).decode("utf-8", "replace"),
        outputs={path: decoding.bytes_of(text, path, most=OUTPUT_SENT) for path, text in outputs.items()},
        spool_file=spool_file,
    )


def read_batches(text: str, unfit: dict[str, str]) -> dict[str, BatchRecord]:
    """Read ``batch ID TRIES JOB {manifest}`` and ``none ID`` lines."""
    records = {}
    for line in lines_of(text):
        fields = line.split(" ", 4)
        if fields[0] == "none":
            records[fields[1]] = BatchRecord(batch=fields[1], present=False)
        elif fields[0] == "batch":
            _, batch, tries, job_id, manifest = fields
            record = BatchRecord(batch=batch, present=True, tries=int(tries), job_id=None if job_id == "-" else job_id)
            with _noting(unfit, f"submissions/{batch}/manifest.json"):
                record = _with_manifest(record, decoding.document(manifest))
            records[batch] = record
    return records


def _with_manifest(record: BatchRecord, manifest: dict[str, Any]) -> BatchRecord:
    refuse_later(manifest, f"manifest.json of submission {record.batch}")
    runs, digests, keys = (decoding.texts_of(manifest, name) for name in ("runs", "digests", "keys"))
    for run in runs:
        decoding.run_of({"run": run})
    if not len(runs) == len(digests) == len(keys):
        raise UnfitError(f"it has {len(runs)} runs, {len(digests)} digests and {len(keys)} keys")
    return replace(
        record,
        runs=runs,
        digests=digests,
        keys=keys,
        job=decoding.text_of(manifest, "job", default=""),
        commit=decoding.text_of(manifest, "commit", default=""),
    )


def read_everything(
    text: str, unfit: dict[str, str]
) -> tuple[tuple[RunEvent, ...], dict[str, BatchRecord], tuple[RunLock, ...]]:
    locks, batch_lines, run_lines = [], [], []
    for line in lines_of(text):
        word, _, rest = line.partition(" ")
        if word == "lock":
            run, _, body = rest.partition(" ")
            # Its submission tells of the run too.
            with _noting(unfit, f"control/{run}/run.lock.json"):
                locks.append(_lock(body))
        elif word == "batch":
            batch_lines.append(line)
        else:
            run_lines.append(line)
    runs, batches = "\n".join(run_lines), "\n".join(batch_lines)
    return read_runs(runs, unfit), read_batches(batches, unfit), tuple(locks)


def _lock(text: str) -> RunLock:
    value = decoding.document(_told(text))
    run = decoding.run_of(value)
    refuse_later(value, f"run.lock.json of {run}")
    return RunLock(
        run=run,
        job=decoding.text_of(value, "job"),
        key=decoding.text_of(value, "key"),
        digest=decoding.text_of(value, "digest"),
        attempt=decoding.integer_of(value, "attempt"),
        batch=decoding.text_of(value, "batch"),
        index=decoding.integer_of(value, "index"),
        commit=decoding.text_of(value, "commit"),
    )


def _told(line: str) -> str:
    """Return what is in a file, unless the cluster says instead why it could not be read."""
    if line.startswith("- "):
        raise UnfitError(line.removeprefix("- "))
    return line


@contextmanager
def _noting(unfit: dict[str, str], path: str) -> Iterator[None]:
    """Note what is wrong with a file, and go on without it: it is of one run."""
    try:
        yield
    except UnfitError as error:
        unfit[path] = str(error)


def spool_fault(unfit: Mapping[str, str]) -> dict[str, str]:
    """Say of the cluster which files of its spool are set aside; what is of a run is said of that."""
    bad = [f"{path}: {said}" for path, said in sorted(unfit.items()) if path.startswith("spool/")]
    if not bad:
        return {}
    more = f"; and {len(bad) - 3} more" if len(bad) > 3 else ""
    why = "set aside in spool/unreadable, since no run of ours wrote them so"
    return {"spool files": f"{why}: {'; '.join(bad[:3])}{more}"}
