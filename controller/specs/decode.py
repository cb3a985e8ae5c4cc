"""Validated plain data to the nouns of the model; every default is filled in here.

What arrives has passed its schema, so nothing can be wrong with it. Must not report problems or look at other files.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from controller.model.files import Source
from controller.model.resources import (
    DEFAULT_SHELL,
    Cluster,
    Connection,
    Gpus,
    Limits,
    Metric,
    Resources,
    Results,
    Retries,
)
from controller.specs.cron import MACROS
from controller.specs.quantities import duration_s, memory_mib, walltime_s
from controller.specs.shells import words_of


def cluster(data: Mapping[str, Any], source: Source) -> Cluster:
    """Return the Cluster of a valid document."""
    connection = data.get("connection")
    given = {key: data[key] for key in ("scheduler", "workdir", "containers", "convert_on", "setup") if key in data}
    given["binds"] = tuple(data.get("binds", ()))
    given["labels"] = dict(data.get("labels", {}))
    given["shell"] = shell(data.get("defaults", {}))
    return Cluster(
        name=data["name"],
        source=source,
        connection=None if connection is None else Connection(**connection),
        defaults=resources(data.get("defaults", {})),
        limits=Limits(**data.get("limits", {})),
        **given,
    )


def resources(data: Mapping[str, Any]) -> Resources:
    """Return the Resources of a valid mapping; fields left out are None."""
    return Resources(
        cpus=data.get("cpus"),
        memory_mib=memory_mib(data["memory"]) if "memory" in data else None,
        gpus=_gpus(data.get("gpus", 0)),
        nodes=data.get("nodes"),
        walltime_s=walltime_s(data["time"]) if "time" in data else None,
        partition=data.get("partition"),
        account=data.get("account"),
        qos=data.get("qos"),
        extra=tuple(data.get("extra", ())),
    )


def _gpus(value: Any) -> Gpus | None:
    wanted = Gpus(count=value) if isinstance(value, int) else Gpus(**value)
    return wanted if wanted.count else None


def retries(data: Any) -> Retries:
    """Return the Retries of a number or of a valid mapping."""
    if isinstance(data, int):
        return Retries(max=data)
    given: dict[str, Any] = {"max": data["max"]}
    if "on" in data:
        given["on"] = frozenset(data["on"])
    if "backoff" in data:
        given["backoff_s"] = duration_s(str(data["backoff"]))
    grow = data.get("grow", {})
    return Retries(**given, grow_memory=float(grow.get("memory", 1)), grow_time=float(grow.get("time", 1)))


def results(data: Mapping[str, Any]) -> Results:
    """Return the Results of a valid mapping."""
    metrics = {
        name: Metric(file=posixpath.normpath(metric["json"]), path=metric.get("path", ""))
        for name, metric in data.get("metrics", {}).items()
    }
    return Results(files=tuple(data.get("files", ())), metrics=metrics)


def shell(data: Mapping[str, Any], default: tuple[str, ...] = DEFAULT_SHELL) -> tuple[str, ...]:
    """Return the words of the shell that a valid mapping names, or the default."""
    return words_of(data["shell"]) if "shell" in data else default


def schedule(text: str | None) -> str | None:
    """Return the five fields of a valid schedule."""
    return None if text is None else " ".join(MACROS.get(text, text).split())
