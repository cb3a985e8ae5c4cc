"""Metrics: single values out of the JSON files that a run leaves behind, and why one could not be read.

The files are a program's, so anything may be in them: whatever is wrong with one is said of the metric and of nothing
else. Must not fetch anything.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.model.observed import OUTPUT_SENT, Outputs
from controller.model.resources import Metric

LONGEST = 1000
"""Characters of a metric that is text, digits of one that is a number: a cut value would be another one."""
UNREAD = "Unread"
"""Reason of a metric whose file is read in a later pass."""
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """Metrics as text by name, and for each that could not be read ``Reason: message``."""

    results: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)


def extract(metrics: Mapping[str, Metric], outputs: Outputs, *, whole: bool) -> Extracted:
    """Return what can be read of these metrics, and why not.

    With ``whole`` False they are what a run has sent along: a file that is not among them is read later, and so is one
    of ``OUTPUT_SENT`` bytes, which may be the beginning of a longer one (jobs submitted by an earlier version).
    """
    documents: dict[str, Any] = {}
    found = Extracted()
    for name, metric in metrics.items():
        if metric.file not in documents:
            documents[metric.file] = _document(metric.file, outputs, whole=whole)
        value = documents[metric.file]
        if not isinstance(value, _Fault):
            value = _text(_walk(value, metric.path.split(".") if metric.path else [], metric.path), metric)
        if isinstance(value, _Fault):
            found.faults[name] = value.said
        else:
            found.results[name] = value
    return found


def unread(faults: Mapping[str, str]) -> frozenset[str]:
    """Return the names of metrics whose files are still to be read."""
    return frozenset(name for name, said in faults.items() if said.startswith(f"{UNREAD}:"))


@dataclass(frozen=True, slots=True)
class _Fault:
    said: str


def _document(path: str, outputs: Outputs, *, whole: bool) -> Any:
    size = outputs.too_large.get(path)
    if size is not None:
        return _Fault(f"TooLarge: {path} has {size} bytes, and at most 1 MiB is read; write the value to a small file")
    data = outputs.texts.get(path)
    if not whole and (data is None or len(data) >= OUTPUT_SENT):
        return _Fault(f"{UNREAD}: {path} did not come with the end of the run; it is read in a later pass")
    if data is None:
        return _Fault(f"FileMissing: there is no file {path} in the run directory; have the command write it")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data:
        return _Fault(f"NotUtf8: {path} seems to be UTF-16; write it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _Fault(f"NotUtf8: {path} is not UTF-8 at byte {error.start}; write it as UTF-8")
    try:
        return json.loads(text, parse_int=_int, parse_float=_float, parse_constant=_not_finite)
    except json.JSONDecodeError as error:
        return _Fault(_why_no_json(path, text, error))
    except RecursionError:
        return _Fault(f"NotJson: {path} is nested too deeply; write the value to a file of its own")


def _why_no_json(path: str, text: str, error: json.JSONDecodeError) -> str:
    if not text.strip():
        return f"NotJson: {path} is empty; have the command write one JSON document to it before it ends"
    if error.msg == "Extra data":
        return (
            f"JsonLines: {path} holds one JSON document after another, and a metric is read from a file of one; "
            "write the one that counts to a file of its own"
        )
    where = f"{path}, line {error.lineno}, column {error.colno}: {error.msg}"
    return f"NotJson: {where}; have the command write one JSON document, then rerun the job"


def _int(digits: str) -> Any:
    # int() refuses more than 4,300 digits (sys.set_int_max_str_digits).
    return int(digits) if len(digits) <= LONGEST else _Fault(f"TooLong: a number of {len(digits)} digits")


def _float(digits: str) -> Any:
    value = float(digits)
    if math.isinf(value):
        return _not_finite(digits)
    return value


def _not_finite(word: str) -> _Fault:
    return _Fault(f"NotFinite: {word[:40]} is no number that JSON, or a program that needs it, can hold")


def _walk(value: Any, names: list[str], path: str) -> Any:
    """Follow a dotted path; a name with dots in it is one key where there is such a key and no way by the parts."""
    if not names:
        return value
    if isinstance(value, list):
        index = names[0].removeprefix("-")
        if index.isascii() and index.isdecimal() and len(index) < 10 and -len(value) <= int(names[0]) < len(value):
            return _walk(value[int(names[0])], names[1:], path)
    missing = _Fault(f'PathNotFound: there is no "{path}"; {_there(value, names)}. Correct path, then rerun the job')
    if isinstance(value, dict):
        for count in range(1, len(names) + 1):
            key = ".".join(names[:count])
            if key in value:
                found = _walk(value[key], names[count:], path)
                if not (isinstance(found, _Fault) and found.said.startswith("PathNotFound:")):
                    return found
                missing = found
    return missing


def _there(value: Any, names: Iterable[str]) -> str:
    where = f'where "{".".join(names)}" is looked for'
    if isinstance(value, dict):
        keys = [str(key)[:40] for key in value]
        more = f" and {len(keys) - _MOST_NAMED} more" if len(keys) > _MOST_NAMED else ""
        return f"{where} are the keys {', '.join(keys[:_MOST_NAMED])}{more}" if keys else f"{where} is an empty object"
    return f"{where} is a list of {len(value)}" if isinstance(value, list) else f"{where} is a single value"


def _text(value: Any, metric: Metric) -> str | _Fault:
    where = f"{metric.file} at {metric.path or 'its top'}"
    match value:
        case _Fault():
            return value
        case None:
            return _Fault(f"Null: {where} is null")
        case str():
            if len(value) > LONGEST:
                return _Fault(f"TooLong: {where} is a text of {len(value)} characters; at most {LONGEST} are read")
            if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
                return _Fault(f"NotText: {where} holds characters that no command line can")
            return value
        case bool() | int() | float():
            return json.dumps(value)
        case _:
            kind = "a list" if isinstance(value, list) else "an object"
            return _Fault(f"NotScalar: {where} is {kind}, not a number or text; name a value inside it")
