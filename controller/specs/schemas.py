"""The Cerberus schemas: found, read and joined together.

They are data, one YAML file a kind: ``controller/schemas`` in an installed package, ``schemas`` at the root of a
checkout. Two words are added to what Cerberus knows: ``use: NAME`` takes a rule of ``rules.yaml`` and lays the
field's own words over it, ``include: NAME`` makes another file the field's ``schema``, with the fields that it has
itself beside those. Must not hold rules itself.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controller.specs.yaml_loader import load

Schema = dict[str, Any]

KINDS = ("Cluster", "Image", "Job", "Workflow")
CONFIG = "Config"
"""Name of the schema of the controller's own configuration file, which is no kind of resource."""
TEMPLATE = "Template"
"""Name of the schema of a template.yaml, which is none either."""


@functools.cache
def directory() -> Path:
    """Return where the schema files are, in a wheel or in a checkout."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "schemas"
    return shipped if shipped.is_dir() else package.parent / "schemas"


@functools.cache
def schema_version() -> str:
    """Return a digest of all that a verdict on a blob depends on besides its bytes: schemas and reading code."""
    hashed = hashlib.sha256()
    for path in sorted([*directory().glob("*.yaml"), *Path(__file__).parent.glob("*.py")]):
        content = path.read_bytes()
        hashed.update(f"{path.name} {len(content)}\n".encode() + content)
    return hashed.hexdigest()


@functools.cache
def schema_of(name: str) -> Schema:
    """Return the schema of a kind, or of ``Config``, with ``use`` and ``include`` filled in.

    The value is shared: whoever changes it copies it first.
    """
    return _expanded(_read(name.lower()), _read("rules"))


def _read(stem: str) -> Schema:
    loaded = load((directory() / f"{stem}.yaml").read_bytes())
    faults = [*loaded.faults, *(f for d in loaded.documents for f in d.faults), *(g.fault for g in loaded.garbled)]
    if faults or len(loaded.documents) != 1:
        raise ValueError(f"schema {stem}.yaml is not one YAML document: {faults}")
    value: Schema = loaded.documents[0].value
    return value


def _expanded(fields: Mapping[str, Any], rules: Mapping[str, Any]) -> Schema:
    """Return the fields with every ``use`` and ``include`` replaced, at any depth."""
    return {name: _expanded_rule(rule, rules) for name, rule in fields.items()}


def _expanded_rule(rule: Mapping[str, Any], rules: Mapping[str, Any]) -> Schema:
    own = dict(rule)
    used = _expanded_rule(rules[own.pop("use")], rules) if "use" in own else {}
    result = used | own
    result["meta"] = dict(used.get("meta", {})) | dict(own.get("meta", {}))
    if "include" in result:
        own_fields = _expanded(result.get("schema", {}), rules)
        result["schema"] = _expanded(_read(result.pop("include")), rules) | own_fields
    elif isinstance(inner := result.get("schema"), dict):
        is_list = "list" in result["type"]
        result["schema"] = _expanded_rule(inner, rules) if is_list else _expanded(inner, rules)
    for word in ("keysrules", "valuesrules"):
        if word in result:
            result[word] = _expanded_rule(result[word], rules)
    return result
