"""What one look at a cluster brought back, as values; anything odd becomes Unknown, with the reason kept."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from controller.clusters.scripts import Answer, Part
from controller.model.observed import (
    BatchRecord,
    ClusterFacts,
    ClusterObservation,
    Conversion,
    EventKind,
    Outputs,
    RunEvent,
    RunLock,
    SifSeen,
)
from controller.model.versions import NewerVersionError, refuse_later
from controller.schedulers.dialect import GarbledOutput, Scheduler

T = TypeVar("T")


def read_observation(
    cluster: str, answer: Answer, scheduler: Scheduler, *, sifs: Sequence[str] = ()
) -> ClusterObservation:
    """Turn a complete answer of ``observe.sh`` into values. ``sifs`` are the paths that were asked for."""
    faults: dict[str, str] = {}

    def take(name: str, read: Callable[[str], T]) -> T | None:
        part = answer.parts.get(name)
        if part is None:
            return None
        if part.exit_code != 0:
            faults[name] = part.fault or f"exit code {part.exit_code}"
            return None
        try:
            return read(part.text)
        except (GarbledOutput, ValueError, TypeError, AttributeError, LookupError) as error:
            faults[name] = str(error) if isinstance(error, NewerVersionError) else f"unreadable answer: {error}"
            return None

    place = take("place", _pairs) or {}
    clock = take("place", lambda text: float(_pairs(text)["now"])) if "now" in place else None
    everything = take("everything", _read_everything)
    spool = take("spool", _read_spool)
    runs = take("runs", _read_runs)
    batches = take("batches", _read_batches)
    scan_events, scan_batches, locks = everything if everything is not None else ((), {}, None)
    events = None if spool is None or runs is None else (*scan_events, *runs, *spool)
    return ClusterObservation(
        cluster=cluster,
        reachable=True,
        now=clock,
        find_job=scheduler.find_job,
        facts=_facts(place, answer.parts.get("facts"), scheduler, faults),
        images=take("images", _read_images),
        conversions=take("conversions", _read_conversions),
        sifs=take("sifs", lambda text: _read_sifs(text, sifs)),
        files=take("files", lambda text: frozenset(text.split())),
        queue=take("queue", lambda text: scheduler.parse_queue(text, answer.nonce)),
        accounting=take("accounting", lambda text: scheduler.parse_accounting(text, answer.nonce)),
        events=events,
        batches=None if batches is None else {**scan_batches, **batches},
        scanned=locks,
        gone=take("gone", lambda text: frozenset(_lines(text))),
        outputs=take("outputs", _read_outputs) or {},
        owners=take("owners", _read_owners),
        faults=faults,
    )


def _lines(text: str) -> list[str]:
    """Split at newlines alone: ``str.splitlines`` also does at characters that file names and commands may hold."""
    return [line for line in text.split("\n") if line.strip()]


def _pairs(text: str) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in _lines(text) if " " in line)


def _facts(
    place: Mapping[str, str], part: Part | None, scheduler: Scheduler, faults: dict[str, str]
) -> ClusterFacts | None:
    if "root" not in place:
        return None
    known: dict[str, str] = {}
    if part is not None:
        known = _pairs(part.text)
        if part.exit_code != 0:
            faults["facts"] = part.fault or f"exit code {part.exit_code}"
    size = known.get("max_array_size", "")
    return ClusterFacts(
        root=place["root"],
        user=place.get("user", ""),
        host=place.get("host", ""),
        initialised=place.get("marker") == "1",
        scheduler_version=known.get("version", ""),
        container_version=known.get("container_version", "" if "container_modules" in known else None),
        container_modules=known.get("container_modules", "").strip(),
        max_array_size=int(size) if size.isdigit() else 1001,
        partitions=scheduler.partitions(part.text) if part is not None else {},
        system=known.get("system", ""),
        accounting=known.get("accounting") != "0",
    )


def _read_owners(text: str) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in text.splitlines() if " " in line)


def _read_images(text: str) -> dict[str, int]:
    rows = (line.split() for line in _lines(text))
    return {name.removesuffix(".sif"): int(size) for name, size in rows}


def _read_conversions(text: str) -> dict[str, Conversion]:
    """Read ``IDENTITY OWNER JOB AGE FAILURE`` lines, with a dash for what is not known."""
    found = {}
    for line in _lines(text):
        identity, owner, job_id, age, failure = line.split(" ", 4)
        found[identity] = Conversion(
            identity=identity,
            instance="" if owner == "-" else owner,
            job_id=None if job_id == "-" else job_id,
            age_s=float(age),
            failure=failure,
        )
    return found


def _read_sifs(text: str, asked: Sequence[str]) -> dict[str, SifSeen]:
    """Read ``READABLE SIZE PATH`` lines, one for each path that was asked for, in that order."""
    rows = [line.split(" ", 2) for line in _lines(text)]
    return {
        written: SifSeen(
            path=path or f"{written} (a variable in it is not set there)", readable=readable == "1", size=int(size)
        )
        for written, (readable, size, path) in zip(asked, rows, strict=True)
    }


def _read_spool(text: str) -> tuple[RunEvent, ...]:
    events = []
    for line in _lines(text):
        name, _, body = line.partition(" ")
        if body and (event := _event(body, spool_file=name)) is not None:
            events.append(event)
    return tuple(events)


def _read_runs(text: str) -> tuple[RunEvent, ...]:
    """Read ``exit RUN {...}`` and ``started RUN {...}`` lines; ``claim`` and ``none`` lines are for scans."""
    events = []
    for line in _lines(text):
        word, _, rest = line.partition(" ")
        run, _, body = rest.partition(" ")
        if word in ("exit", "started", "stopped", "cancelling") and (event := _event(body, spool_file="")) is not None:
            events.append(event)
        elif word == "claim" and run:
            events.append(RunEvent(run=run, kind=EventKind.CLAIMED, owner=body.strip(), at=0.0))
    return tuple(events)


def _event(body: str, *, spool_file: str) -> RunEvent | None:
    """Read one event; None for a line that no run of ours wrote."""
    try:
        value: dict[str, Any] = json.loads(body)
        refuse_later(value, f"what run {value['run']} says of itself")
        return RunEvent(
            run=str(value["run"]),
            kind=EventKind(value["kind"]),
            owner=str(value["owner"]),
            at=float(value["at"]),
            exit_code=int(value["exit_code"]) if "exit_code" in value else None,
            host=str(value.get("host", "")),
            phase=str(value.get("phase", "")),
            reason=str(value.get("reason", "")),
            stderr_tail=_text(value.get("stderr", "")),
            outputs={str(path): b64decode(text) for path, text in value.get("outputs", {}).items()},
            spool_file=spool_file,
        )
    except NewerVersionError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _text(encoded: str) -> str:
    return b64decode(encoded).decode("utf-8", "replace")


def _read_outputs(text: str) -> dict[str, Outputs]:
    """Read ``file BASE64 RUN PATH``, ``large SIZE RUN PATH`` and ``none - RUN PATH`` lines."""
    found: dict[str, Outputs] = {}
    for line in text.splitlines():
        word, value, run, path = line.split(" ", 3)
        one = found.get(run, Outputs())
        match word:
            case "file":
                data = b"" if value == "-" else b64decode(value, validate=True)
                one = replace(one, texts={**one.texts, path: data})
            case "large":
                one = replace(one, too_large={**one.too_large, path: int(value)})
            case _:
                one = replace(one, missing=one.missing | {path})
        found[run] = one
    return found


def _read_batches(text: str) -> dict[str, BatchRecord]:
    """Read ``batch ID TRIES JOB {manifest}`` and ``none ID`` lines."""
    records = {}
    for line in _lines(text):
        fields = line.split(" ", 4)
        if fields[0] == "none":
            records[fields[1]] = BatchRecord(batch=fields[1], present=False)
        elif fields[0] == "batch":
            _, batch, tries, job_id, manifest = fields
            body = json.loads(manifest)
            refuse_later(body, f"manifest.json of submission {batch}")
            records[batch] = BatchRecord(
                batch=batch,
                present=True,
                tries=int(tries),
                job_id=None if job_id == "-" else job_id,
                runs=tuple(body.get("runs", ())),
                job=str(body.get("job", "")),
                commit=str(body.get("commit", "")),
                digests=tuple(body.get("digests", ())),
                keys=tuple(body.get("keys", ())),
            )
    return records


def _read_everything(text: str) -> tuple[tuple[RunEvent, ...], dict[str, BatchRecord], tuple[RunLock, ...]]:
    locks, batch_lines, run_lines = [], [], []
    for line in _lines(text):
        word, _, rest = line.partition(" ")
        if word == "lock":
            lock = _lock(rest.partition(" ")[2])
            locks += [lock] if lock is not None else []
        elif word == "batch":
            batch_lines.append(line)
        else:
            run_lines.append(line)
    return _read_runs("\n".join(run_lines)), _read_batches("\n".join(batch_lines)), tuple(locks)


def _lock(text: str) -> RunLock | None:
    """Read a run's lock; None for one that somebody has damaged: its submission tells of the run too."""
    try:
        value = json.loads(text)
        refuse_later(value, f"run.lock.json of {value['run']}")
        return RunLock(
            run=value["run"],
            job=value["job"],
            key=value["key"],
            digest=value["digest"],
            attempt=int(value["attempt"]),
            batch=value["batch"],
            index=int(value["index"]),
            commit=value["commit"],
        )
    except NewerVersionError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError):
        return None
