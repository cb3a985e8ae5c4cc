"""Cerberus errors as sentences: what is wrong, where, what was meant, what to do.

Takes the nested errors of one document apart. Must not decide what is valid.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from cerberus import errors

from controller.specs import not_yet
from controller.specs.nearest import MOST_SUGGESTIONS, as_list, did_you_mean, nearest, shown, type_name
from controller.specs.schemas import KINDS, Schema, schema_of
from controller.specs.yaml_loader import Path

_EXPECTED = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "dict": "a mapping",
    "list": "a list",
}

_LONGEST = 48
_LONGEST_NAME = 100
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})", re.ASCII)
"""What is the same number to everybody: 012 is twelve by YAML 1.2, ten by YAML 1.1, and perhaps no number at all."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One error of one document: where (at the key or at its value), and the words for it."""

    path: Path
    at_key: bool
    message: str
    remedy: str = ""
    missing: bool = False
    """The field at the path is absent, and the place is that of what should hold it."""


def findings(schema: str, found: list[errors.ValidationError], texts: Mapping[Path, str]) -> Iterator[Finding]:
    """Yield what the errors of a document of a kind (or of ``Config``) say; ``texts`` is the source of its numbers.

    A missing field that was only misspelt is told once, where it stands.
    """
    misspelt: set[Path] = set()
    if any(error.code == errors.REQUIRED_FIELD.code for error in found):
        unknown = (error.document_path for error in found if error.code == errors.UNKNOWN_FIELD.code)
        for path in islice(unknown, MOST_SUGGESTIONS):
            misspelt.add((*path[:-1], nearest(str(path[-1]), _known(schema, path)) or ""))
    for error in found:
        if error.is_group_error:
            yield from findings(schema, error.child_errors, texts)
        elif error.code != errors.REQUIRED_FIELD.code or tuple(error.document_path) not in misspelt:
            yield _finding(schema, error, texts)


def dotted(path: Path) -> str:
    """Return a path as people write it: ``resources.gpus.count``, ``files[0]``."""
    text = ""
    for part in path:
        shorter = (
            part if isinstance(part, int) else part if len(part) <= _LONGEST_NAME else part[:_LONGEST_NAME] + "..."
        )
        text += f"[{shorter}]" if isinstance(part, int) else f".{shorter}" if text else str(shorter)
    return text


def _finding(schema: str, error: errors.ValidationError, texts: Mapping[Path, str]) -> Finding:
    path: Path = tuple(error.document_path)
    text = texts.get(path)
    written = shown(error.value) if text is None or not text.isprintable() else text[:_LONGEST]
    name = dotted(path) if str(path[-1]).isprintable() else dotted(path[:-1])
    in_key = "keysrules" in error.schema_path
    match error.code:
        case errors.UNKNOWN_FIELD.code:
            return Finding(path, True, *_unknown(schema, path))
        case errors.REQUIRED_FIELD.code:
            return Finding(path, False, f'missing field "{name}"', missing=True)
        case errors.NOT_NULLABLE.code:
            return Finding(path, True, f'"{name}" is empty', "give it a value or leave it out")
        case errors.BAD_TYPE.code:
            return Finding(path, False, *_type(name, error, text, written))
        case errors.UNALLOWED_VALUE.code:
            return Finding(path, False, *_value(schema, name, error))
        case errors.MIN_VALUE.code:
            return Finding(path, False, f'"{name}" must be at least {error.constraint}, not {written}')
        case errors.MAX_VALUE.code:
            return Finding(path, False, f'"{name}" must be at most {error.constraint}, not {written}')
        case errors.MIN_LENGTH.code:
            return Finding(path, False, f'"{name}" must have at least {error.constraint} {_unit(error.value, 1)}')
        case errors.MAX_LENGTH.code:
            unit = _unit(error.value, 2)
            message = f'"{name[:60]}" must have at most {error.constraint} {unit}, not {len(error.value)}'
            return Finding(path, in_key, message)
        case errors.CUSTOM.code:
            return _custom(path, name, in_key, error, written)
        case _:
            return Finding(path, in_key, f'"{name}" is not valid: {error.rule} {error.constraint}')


def _unit(value: Any, count: int) -> str:
    unit = "item" if isinstance(value, list) else "field" if isinstance(value, dict) else "character"
    return unit if count == 1 else unit + "s"


def _custom(path: Path, name: str, in_key: bool, error: errors.ValidationError, written: str) -> Finding:
    message, remedy = (*error.info, "")[:2]
    if in_key:
        return Finding(path, True, f"{shown(path[-1])} in {dotted(path[:-1])}: a name {message}", remedy)
    if message.startswith("must be ") and not isinstance(error.value, dict | list):
        message += f", not {written}"
    return Finding(path, False, f'"{name}" {message}', remedy)


def _unknown(schema: str, path: Path) -> tuple[str, str]:
    name = dotted(path)
    if (message := not_yet.field(schema, name)) is not None:
        return message, "remove it"
    known = _known(schema, path)
    where = f" in {dotted(path[:-1])}" if len(path) > 1 else ""
    # What is a field of another kind, or of a field here, is not misspelt, but in the wrong place.
    if inside := [field for field, rule in known.items() if path[-1] in _fields_of(rule)]:
        places = " or ".join(f"{dotted((*path[:-1], field))}: {{{path[-1]}: ...}}" for field in inside)
        return f"unknown field {shown(path[-1])}{where}; it belongs in {' or '.join(inside)}", f"write {places}"
    elsewhere = any(path[-1] in schema_of(kind) for kind in KINDS)
    hint = "" if elsewhere else did_you_mean(str(path[-1]), known)
    return f"unknown field {shown(path[-1])}{where}{hint}", "" if hint else "known fields: " + ", ".join(known)


def _known(schema: str, path: Path) -> Schema:
    """Return the fields that there are beside the one at a path. No list in a schema holds mappings."""
    rule: Schema = {"schema": schema_of(schema)}
    for part in path[:-1]:
        rule = rule["valuesrules"] if "valuesrules" in rule else rule.get("schema", {}).get(part, {})
    fields: Schema = rule.get("schema", {})
    return fields


def _fields_of(rule: Schema) -> Schema:
    """Return the fields of a field that may be a mapping."""
    found: Schema = rule.get("schema", {})
    return found


def _type(name: str, error: errors.ValidationError, text: str | None, written: str) -> tuple[str, str]:
    """Return what is said of a value of another type. A remedy repeats what stands in the file, or nothing of it."""
    types = [error.constraint] if isinstance(error.constraint, str) else list(error.constraint)
    expected = " or ".join(_EXPECTED[each] for each in types)
    value = error.value
    given = type_name(value)
    if not isinstance(value, dict | list):
        given += f" ({written})"
    remedy = ""
    if "string" in types and isinstance(value, int | float):
        remedy = f'quote it: "{text}"' if text is not None and text == written else "quote it"
    elif "boolean" in types and isinstance(value, str) and value.lower() in ("yes", "no", "on", "off"):
        remedy = "write true or false, without quotes"
    elif "integer" in types and isinstance(value, str) and _INTEGER.fullmatch(value):
        remedy = "remove the quotes"
    elif types == ["list"] and isinstance(value, str | int | float):
        remedy = as_list(value if isinstance(value, str) else text or "")
    return f'"{name}" must be {expected}, not {given}', remedy


def _value(schema: str, name: str, error: errors.ValidationError) -> tuple[str, str]:
    if (message := not_yet.value(schema, name, error.value)) is not None:
        return message, "allowed values: " + ", ".join(error.constraint)
    hint = did_you_mean(str(error.value), error.constraint)
    return f'"{name}" may not be {shown(error.value)}{hint}', "allowed values: " + ", ".join(error.constraint)
