"""The controller's own configuration file, and what a template says about itself, read and checked like a spec.

One YAML document against its schema; durations stay text (``quantities.duration_s`` reads them). Must not
open the file, or fill in what the environment decides.
"""

from __future__ import annotations

from typing import Any

from controller.model.problems import Problem
from controller.specs.checks import Checker
from controller.specs.excerpts import excerpt
from controller.specs.messages import findings
from controller.specs.nearest import type_name
from controller.specs.schemas import CONFIG
from controller.specs.yaml_loader import Document, load


def read_settings(
    data: bytes, path: str, *, schema: str = CONFIG, noun: str = "configuration"
) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """Return the settings (field to value, as the schema has them; an empty file has none) and problems.

    ``path`` is for the messages only. The settings are to be used only when there are no problems.
    """
    loaded = load(data)
    documents = [document for document in loaded.documents if document.value is not None]
    told: list[tuple[int, int, str, str]] = [
        (fault.line, fault.column, fault.message, fault.remedy)
        for fault in [
            *loaded.faults,
            *(piece.fault for piece in loaded.garbled),
            *(fault for document in documents for fault in document.faults),
        ]
    ]
    for extra in documents[1:]:
        told.append((*extra.place(()), f"a {noun} file is one document", "remove what follows the ---"))
    settings: dict[str, Any] = {}
    if documents:
        value = documents[0].value
        if isinstance(value, dict):
            settings = value
            told += _findings(documents[0], schema)
        else:
            told.append((*documents[0].place(()), f"a {noun} must be a mapping, not {type_name(value)}", ""))
    lines = data.decode("utf-8", "replace").removeprefix("\ufeff").splitlines()
    problems = [
        Problem(
            path=path, line=line, column=column, message=message, remedy=remedy, excerpt=excerpt(lines, line, column)
        )
        for line, column, message, remedy in told
    ]
    return settings, tuple(sorted(problems))


def _findings(document: Document, schema: str) -> list[tuple[int, int, str, str]]:
    told = []
    for finding in findings(schema, Checker().errors(schema, document.value), document.texts):
        place = document.place_of(finding.path, at_key=finding.at_key)
        told.append((*place, finding.message, finding.remedy))
    return told
