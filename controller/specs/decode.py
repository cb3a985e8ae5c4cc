"""Validated plain data to the nouns of the model; every default is filled in here.

What arrives has passed its schema, so nothing can be wrong with it. Must not report problems or look at other files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.model.resources import Cluster, Connection, Gpus, Limits, Resources, Source
from controller.specs.quantities import memory_mib, walltime_s


def cluster(data: Mapping[str, Any], source: Source) -> Cluster:
    """Return the Cluster of a valid document."""
    connection = data.get("connection")
    given = {key: data[key] for key in ("scheduler", "workdir", "containers", "convert_on", "setup") if key in data}
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
