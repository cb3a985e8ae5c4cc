"""Cerberus schemas as JSON Schema (draft 2020-12), for the YAML language servers of editors.

Says less than the schemas do: a ``check_with`` has no counterpart, and its field is described by words only.
``meta.json`` adds what Cerberus has no words for. Must not be used to validate anything here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.specs.schemas import CONFIG, KINDS, schema_of

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_TYPES = {
    "string": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "dict": "object",
    "list": "array",
}
_WORDS = {"allowed": "enum", "min": "minimum", "max": "maximum"}

JsonSchema = dict[str, Any]


def json_schema(name: str | None = None) -> JsonSchema:
    """Return the JSON Schema of a kind, of ``Config``, or (None) of a document of any kind.

    Raises:
        KeyError: there is no such kind.
    """
    if name is None:
        return {"$schema": _DRAFT, "title": "Spec", **_any_kind()}
    if name not in (*KINDS, CONFIG):
        raise KeyError(name)
    return {"$schema": _DRAFT, "title": name, **_object(schema_of(name))}


def _any_kind() -> JsonSchema:
    """Return a schema that goes by ``kind``, so that an editor tells of one kind's fields only."""
    return {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": list(KINDS)}},
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {"$ref": f"#/$defs/{kind}"},
            }
            for kind in KINDS
        ],
        "$defs": {kind: _object(schema_of(kind)) for kind in KINDS},
    }


def _object(fields: Mapping[str, Any]) -> JsonSchema:
    schema: JsonSchema = {
        "type": "object",
        "properties": {name: _value(rule) for name, rule in fields.items()},
        "additionalProperties": False,
    }
    if required := [name for name, rule in fields.items() if rule.get("required")]:
        schema["required"] = required
    return schema


def _value(rule: Mapping[str, Any]) -> JsonSchema:
    types = [rule["type"]] if isinstance(rule["type"], str) else list(rule["type"])
    names = [_TYPES[each] for each in types]
    schema: JsonSchema = {"type": names[0] if len(names) == 1 else names}
    schema |= {word: rule["meta"][word] for word in ("description", "default", "examples") if word in rule["meta"]}
    schema |= {there: rule[here] for here, there in _WORDS.items() if here in rule}
    if "regex" in rule:
        schema["pattern"] = f"^(?:{rule['regex']})$"
    unit = "Items" if "list" in types else "Properties" if "dict" in types else "Length"
    schema |= {word[:3] + unit: rule[word] for word in ("minlength", "maxlength") if word in rule}
    if "keysrules" in rule:
        schema["propertyNames"] = _value({"meta": {}, **rule["keysrules"]})
    if "valuesrules" in rule:
        schema["additionalProperties"] = _value({"meta": {}, **rule["valuesrules"]})
    if "schema" in rule:
        schema |= {"items": _value(rule["schema"])} if "list" in types else _fields(rule["schema"])
    schema |= rule["meta"].get("json", {})
    return schema


def _fields(fields: Mapping[str, Any]) -> JsonSchema:
    """Return the words for the fields of an object whose type has been said already."""
    return {word: value for word, value in _object(fields).items() if word != "type"}
