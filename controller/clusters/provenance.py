"""What a cluster still knows of one run, as values: lock, script, image, files, end. Pure.

A part that could not be read is None, and ``faults`` says why: nothing is made up. Must not know what the spec says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.clusters.scripts import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """One run. ``outputs`` maps paths below its directory to sizes in bytes; ``sif`` is size and SHA-256."""

    lock: Mapping[str, Any] | None = None
    owner: str | None = None
    """The job that holds the claim."""
    exit: Mapping[str, Any] | None = None
    script_sha256: str | None = None
    job_id: str | None = None
    sif_bytes: int | None = None
    sif_sha256: str | None = None
    tree_present: bool = False
    outputs: Mapping[str, int] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    """Name of a field to why it is not known."""


def read_provenance(parts: Mapping[str, Part]) -> Provenance:
    """Turn the answer of ``trace.sh`` into values."""
    faults: dict[str, str] = {}
    lock, end = _json(parts, "lock", faults), _json(parts, "exit", faults)
    lock_of = lock or {}
    script = _rows(parts, "scripts").get(str(lock_of.get("batch")), ["", "-"])
    image = _rows(parts, "images").get(str(lock_of.get("image")), ["", "-"])
    if not script[0]:
        faults["script"] = faults.get("lock", "the submission's directory is no longer on the cluster")
    if not image[0]:
        faults["sif"] = faults.get("lock", "the SIF is no longer on the cluster")
    elif image[1] == "-":
        faults["sif"] = "no hash was recorded when this SIF was made; sha256sum on the cluster gives it"
    claim = parts.get("claim")
    return Provenance(
        lock=lock,
        owner=claim.text.strip() or None if claim is not None and claim.exit_code == 0 else None,
        exit=end,
        script_sha256=script[0] or None,
        job_id=_or_none(script[1]),
        sif_bytes=int(image[0]) if image[0].isdigit() else None,
        sif_sha256=_or_none(image[1]),
        tree_present=str(lock_of.get("files")) in _rows(parts, "trees"),
        outputs=_outputs(parts.get("outputs")),
        faults=faults,
    )


def _json(parts: Mapping[str, Part], name: str, faults: dict[str, str]) -> Mapping[str, Any] | None:
    part = parts.get(name)
    if part is None or part.exit_code != 0:
        faults[name] = (part.fault if part is not None else "") or "the cluster did not say"
        return None
    try:
        value = json.loads(part.text)
    except ValueError as error:
        faults[name] = f"it cannot be read: {error}"
        return None
    if not isinstance(value, dict):
        faults[name] = "it cannot be read: not a JSON object"
        return None
    return value


def _rows(parts: Mapping[str, Part], name: str) -> dict[str, list[str]]:
    """Return the first word of each line to the others."""
    part = parts.get(name)
    rows = (line.split() for line in part.text.split("\n")) if part is not None else ()
    return {row[0]: row[1:] for row in rows if row}


def _outputs(part: Part | None) -> dict[str, int]:
    rows = (line.partition(" ") for line in part.text.split("\n")) if part is not None else ()
    return {path: int(size) for size, _, path in rows if size.isdigit() and path}


def _or_none(text: str) -> str | None:
    return None if text in ("", "-") else text
