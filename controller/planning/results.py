"""Metrics: single values out of the JSON files that a run leaves behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from controller.model.resources import Metric

LONGEST = 200
"""Characters of a metric that are kept."""


def extract(metrics: Mapping[str, Metric], outputs: Mapping[str, str]) -> dict[str, str]:
    """Return the metrics that could be read, as text, by name.

    ``outputs`` is the text of each file by path. A metric whose file is missing or no JSON, or whose path leads
    nowhere or to something that is neither number, text, true nor false, is left out.
    """
    documents: dict[str, Any] = {}
    found = {}
    for name, metric in metrics.items():
        if metric.file not in outputs:
            continue
        if metric.file not in documents:
            documents[metric.file] = _parse(outputs[metric.file])
        value = _walk(documents[metric.file], metric.path)
        if isinstance(value, str | int | float):
            found[name] = (value if isinstance(value, str) else json.dumps(value))[:LONGEST]
    return found


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _walk(value: Any, path: str) -> Any:
    for name in path.split(".") if path else ():
        if isinstance(value, list) and name.lstrip("-").isdigit() and -len(value) <= int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            return None
    return value
