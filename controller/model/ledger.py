"""The ledger of ends: one line for each run that has ended, kept for good. The line, and where it belongs.

It stands in the journal and in ``ledger/`` of the status branch. From here it is read by the planner, so that what has
succeeded once is known whatever commit is asked for. Must not know how the lines are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.model.conditions import TERMINAL, TaskState
from controller.model.runs import Run, RunRecord, place_of
from controller.model.texts import head

MOST_RESULTS = 2000
"""Characters of results that an entry keeps; where there are more, the entry says so in their place."""
_MOST_SAID = 300
"""Characters of a message that an entry keeps."""
_MOST_FAULTS = 10
_ALWAYS = ("job", "digest", "instance")
NOT_KEPT = "NotKept"
"""Reason of a result that was too long for the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How one run ended. Times are seconds since the epoch; ``instance`` is whose run it was.

    ``run`` has the names that it was begun under, for ever; what it counts for now follows from the commit.
    """

    run: Run
    instance: str
    site: str = ""
    """Name of the site where it ran (model/sites.py), "" for where its cluster's spec said."""
    state: TaskState
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    job_id: str | None = None
    run_dir: str | None = None
    started: float | None = None
    ended: float | None = None
    results: Mapping[str, str] = field(default_factory=dict)
    result_faults: Mapping[str, str] = field(default_factory=dict)


def shard_of(job: str) -> str:
    """Return the shard, two hex digits, in which all entries of a job are."""
    return hashlib.sha256(job.encode("utf-8", "surrogatepass")).hexdigest()[:2]


def end_of(record: RunRecord, *, instance: str) -> End | None:
    """Return the entry of a run; None while it has not ended. The run's own directory tells the instance."""
    if record.state not in TERMINAL or record.lapsed:
        return None
    results, faults = dict(record.results), dict(record.result_faults)
    if sum(len(name) + len(text) for name, text in results.items()) > MOST_RESULTS:
        said = f"{NOT_KEPT}: it is too long for the ledger; see the run directory"
        results, faults = {}, faults | dict.fromkeys(results, said)
    return End(
        run=record.run.as_begun(),
        instance=_instance_in(record.run_dir) or instance,
        site=record.site,
        state=record.state,
        reason=record.reason,
        message=head(record.message, _MOST_SAID),
        exit_code=record.exit_code,
        job_id=record.job_id,
        run_dir=record.run_dir,
        started=record.started,
        ended=record.ended,
        results=results,
        result_faults={name: said[:_MOST_SAID] for name, said in sorted(faults.items())[:_MOST_FAULTS]},
    )


def line_of(end: End) -> str:
    """Return an entry as one line of JSON, ASCII, without what is at its default."""
    run, tail = end.run, f"/{end.instance}/runs/{end.run.id}"
    document: dict[str, Any] = {
        "job": run.job,
        "task": run.key,
        "digest": run.digest,
        "attempt": run.attempt,
        "state": str(end.state),
        "reason": end.reason if end.reason != end.state else "",
        "message": end.message,
        "exit": end.exit_code,
        "instance": end.instance,
        "cluster": run.cluster,
        "site": end.site,
        "commit": run.commit,
        "id": end.job_id,
        "started": None if end.started is None else round(end.started),
        "ended": None if end.ended is None else round(end.ended),
        "results": dict(sorted(end.results.items())),
        "faults": dict(sorted(end.result_faults.items())),
    }
    if end.run_dir is not None:
        # Most of a run's directory follows from the rest.
        if end.run_dir.endswith(tail):
            document["root"] = end.run_dir.removesuffix(tail)
        else:
            document["dir"] = end.run_dir
    kept = {name: value for name, value in document.items() if value not in (None, "", {}) or name in _ALWAYS}
    return json.dumps(kept, separators=(",", ":"))


def read_end(line: str) -> End:
    """Return the entry in a line. Keys that are not known are passed over, for newer writers.

    Raises:
        ValueError: it is no entry.
    """
    try:
        found = json.loads(line)
        run = Run(
            job=_text(found["job"]),
            key=_text(found.get("task", "")),
            digest=_text(found["digest"]),
            attempt=int(found["attempt"]),
            cluster=_text(found.get("cluster", "")),
            commit=_text(found.get("commit", "")),
        )
        state, instance, root = TaskState(found["state"]), _text(found["instance"]), found.get("root")
        if state not in TERMINAL:
            raise ValueError(f"{state} is no end")
        return End(
            run=run,
            instance=instance,
            site=_text(found.get("site", "")),
            state=state,
            reason=_text(found.get("reason", str(state))),
            message=_text(found.get("message", "")),
            exit_code=_number(found.get("exit")),
            job_id=_text(found["id"]) if "id" in found else None,
            run_dir=(_text(found["dir"]) if "dir" in found else None)
            if root is None
            else f"{root}/{instance}/runs/{run.id}",
            started=_number(found.get("started")),
            ended=_number(found.get("ended")),
            results=_texts(found.get("results", {})),
            result_faults=_texts(found.get("faults", {})),
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no entry of the ledger: {error!r}") from error


def merged(entries: Iterable[End]) -> dict[tuple[str, str], End]:
    """Return entries by instance and run: of several for one run Succeeded counts, then the one that knows more."""
    found: dict[tuple[str, str], End] = {}
    for end in entries:
        place = (end.instance, end.run.id)
        before = found.get(place)
        if before is None or _rank(end) >= _rank(before):
            found[place] = end
    return found


def _rank(end: End) -> tuple[bool, int]:
    return end.state is TaskState.SUCCEEDED, len(end.results)


def _instance_in(run_dir: str | None) -> str:
    try:
        return place_of(run_dir)[0] if run_dir else ""
    except ValueError:
        return ""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _number(value: Any) -> Any:
    if not (value is None or isinstance(value, int | float)):
        raise TypeError(f"{value!r} is no number")
    return value


def _texts(value: Any) -> dict[str, str]:
    return {_text(name): _text(text) for name, text in value.items()}
