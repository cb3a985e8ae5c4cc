"""The status branch's files: rendered from statuses, and parsed back into them. Pure.

One JSON file a resource for machines, README.md for people; a resource of very many tasks has them in parts beside it,
so that a pass that changes some rewrites those parts only. Nothing in them changes unless a status does, or the spec
commit: no time of the pass, no counters. Does not belong here: commits (statusbranch.py), the table's words for the
terminal.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from controller.model.conditions import ResourceStatus
from controller.model.documents import from_document, to_document
from controller.model.errors import StalledError
from controller.model.versions import NewerVersionError
from controller.repository.readme import render_readme

README = "README.md"
_text = json.JSONEncoder().encode
"""ASCII only: escapes keep the lone surrogates that come out of a program's undecodable output."""
_FILE = re.compile(r"(?P<kind>[a-z]+)s/(?P<shard>[0-9a-f]{2})/(?P<name>[^/]+)\.json")
_PART = re.compile(r"[a-z]+s/[0-9a-f]{2}/[^/]+\.tasks/[0-9]{4,}\.json")
TASKS_IN_PART = 1000
"""A resource of more tasks than these has them in parts of so many."""


def render(
    statuses: Iterable[ResourceStatus],
    *,
    spec_commit: str,
    url: str,
    path: str = "",
    problems: Sequence[str] = (),
    previous: Mapping[str, bytes] | None = None,
    heartbeat: tuple[str, str] = ("", ""),
    max_rows: int = 500,
) -> dict[str, bytes]:
    """Return path to bytes of every file; the order of ``statuses`` does not matter.

    ``url`` is shown as it is, so it must hold no secret. ``problems`` are the headlines of specs that cannot be read.
    Where a status says the same as in ``previous`` but for its ``commit``, the previous file is kept, so that a commit
    that changes one spec does not rewrite the files of all others. ``heartbeat`` is the branch that says when the last
    pass was, and why that cannot be written.
    """
    ordered = sorted(statuses, key=lambda status: (status.kind, status.name))
    files: dict[str, bytes] = {}
    rows = []
    for status in ordered:
        file = path_of(status.kind, status.name)
        files |= _render_files(status, file, (previous or {}).get(file))
        rows.append((status, file))
    readme = render_readme(
        rows, spec_commit=spec_commit, url=url, path=path, problems=problems, heartbeat=heartbeat, max_rows=max_rows
    )
    files[README] = readme.encode("utf-8", "backslashreplace")
    return files


def parse(files: Mapping[str, bytes]) -> list[ResourceStatus]:
    """Return the statuses in the files, by kind and name: the inverse of ``render``.

    Files that are not the controller's, or that someone has broken, are passed over: the next pass writes them anew.
    """
    found = []
    for path in files:
        match = _FILE.fullmatch(path)
        if match is None:
            continue
        try:
            status = read_status(path, files.__getitem__)
        except (ValueError, RecursionError):
            continue
        if path == path_of(status.kind, status.name):
            found.append(status)
    return sorted(found, key=lambda status: (status.kind, status.name))


def read_status(path: str, read: Callable[[str], bytes]) -> ResourceStatus:
    """Return the status in a resource's file and its parts, each of which is asked for by path.

    Raises:
        ValueError: it is not what the controller writes, or a part is missing (a ``KeyError`` of ``read``) or another.
    """
    document = json.loads(read(path))
    parts = document.pop("task_parts", []) if isinstance(document, dict) else []
    if not isinstance(parts, list):
        raise ValueError("task_parts must be a list")
    for number, digest in enumerate(parts):
        try:
            data = read(part_of(path, number))
        except KeyError as error:
            raise ValueError(f"part {number} of the tasks is missing") from error
        if _digest(data) != digest:
            raise ValueError(f"part {number} of the tasks is not the one that was written")
        document["tasks"] += json.loads(data)
    try:
        return from_document(document)
    except NewerVersionError as error:
        raise StalledError("NewerStatus", f"status branch: {error}; nothing was done") from error


def obsolete(files: Iterable[str], rendered: Mapping[str, bytes]) -> list[str]:
    """Return which of the branch's ``files`` are of resources that are no longer rendered."""
    return sorted(path for path in files if path not in rendered and (_FILE.fullmatch(path) or _PART.fullmatch(path)))


def path_of(kind: str, name: str) -> str:
    """Return the file of a resource: ``jobs/<2 hex of the name's SHA-256>/<name>.json``."""
    shard = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:2]
    return f"{kind.lower()}s/{shard}/{_file_name(name)}.json"


def part_of(path: str, number: int) -> str:
    """Return the file of one part (from 0) of the tasks of the resource whose file is ``path``."""
    return f"{path.removesuffix('.json')}.tasks/{number:04}.json"


def name_in(path: str) -> tuple[str, str] | None:
    """Return lower-case kind and name of the resource that a file is of, None for any other file."""
    match = _FILE.fullmatch(path)
    return None if match is None else (match["kind"], unquote(match["name"]))


def _file_name(name: str) -> str:
    """Keep a name as it is where it is one; anything else is escaped, so that no name leads out of its directory."""
    escaped = quote(name.encode("utf-8", "surrogatepass"), safe="")
    return "%2E" + escaped[1:] if escaped.startswith(".") else escaped


def _render_files(status: ResourceStatus, path: str, previous: bytes | None) -> dict[str, bytes]:
    document = to_document(status)
    files = {}
    if len(tasks := document["tasks"]) > TASKS_IN_PART:
        parts = [tasks[start : start + TASKS_IN_PART] for start in range(0, len(tasks), TASKS_IN_PART)]
        files = {part_of(path, number): (_lines(part, "") + "\n").encode("ascii") for number, part in enumerate(parts)}
        document |= {"tasks": [], "task_parts": [_digest(data) for data in files.values()]}
    return {path: _with_kept_commit(document, previous), **files}


def _with_kept_commit(document: dict[str, Any], previous: bytes | None) -> bytes:
    made = _json(document)
    if previous is None or previous == made:
        return made
    try:
        commit = json.loads(previous)["commit"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return made
    kept = _json({**document, "commit": commit}) if isinstance(commit, str) else made
    return kept if kept == previous else made


def _json(document: Mapping[str, Any]) -> bytes:
    """Return one line a key, and one a condition and a task: a change is a small diff.

    Laid out here because ``json`` with an indent is written in Python and takes eight times as long.
    """
    parts = [f"  {_text(key)}: {_value(value)}" for key, value in document.items()]
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode("ascii")


def _value(value: object) -> str:
    return _lines(value, "  ") if isinstance(value, list) and value else _text(value)


def _lines(items: Sequence[object], indent: str) -> str:
    inner = f"\n{indent}  "
    return f"[{inner}" + f",{inner}".join(map(_text, items)) + f"\n{indent}]"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
