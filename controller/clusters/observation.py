"""What one look at a cluster brought back, as values; anything odd becomes Unknown, with the reason kept."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from controller.clusters.records import lines_of, read_batches, read_everything, read_runs, read_spool, spool_fault
from controller.clusters.scripts import Answer, Part
from controller.model.observed import (
    ClusterFacts,
    ClusterObservation,
    Conversion,
    Outputs,
    SifSeen,
)
from controller.model.versions import NewerVersionError
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
        except (GarbledOutput, ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
            faults[name] = str(error) if isinstance(error, NewerVersionError) else f"unreadable answer: {error}"
            return None

    place = take("place", _pairs) or {}
    clock = take("place", lambda text: float(_pairs(text)["now"])) if "now" in place else None
    unfit: dict[str, str] = {}
    everything = take("everything", lambda text: read_everything(text, unfit))
    spool = take("spool", lambda text: read_spool(text, unfit))
    runs = take("runs", lambda text: read_runs(text, unfit))
    batches = take("batches", lambda text: read_batches(text, unfit))
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
        gone=take("gone", lambda text: frozenset(lines_of(text))),
        outputs=take("outputs", _read_outputs) or {},
        owners=take("owners", _read_owners),
        unfit=unfit,
        faults=faults | spool_fault(unfit),
    )


def _pairs(text: str) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in lines_of(text) if " " in line)


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
    rows = (line.split() for line in lines_of(text))
    return {name.removesuffix(".sif"): int(size) for name, size in rows}


def _read_conversions(text: str) -> dict[str, Conversion]:
    """Read ``IDENTITY OWNER JOB AGE FAILURE`` lines, with a dash for what is not known."""
    found = {}
    for line in lines_of(text):
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
    rows = [line.split(" ", 2) for line in lines_of(text)]
    return {
        written: SifSeen(
            path=path or f"{written} (a variable in it is not set there)", readable=readable == "1", size=int(size)
        )
        for written, (readable, size, path) in zip(asked, rows, strict=True)
    }


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
