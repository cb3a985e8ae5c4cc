"""The schema files: complete, sound, and told to editors truthfully."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from controller.model.images import Build, ImageTest, SifFile
from controller.model.resources import Cluster, Connection, Gpus, Job, Limits, Resources
from controller.specs import not_yet
from controller.specs.checks import Checker
from controller.specs.json_schema import json_schema
from controller.specs.schemas import CONFIG, KINDS, directory, schema_of, schema_version
from controller.specs.settings import read_settings


def described(rules: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, rule in rules.items():
        assert set(rule["meta"]) <= {"description", "expected", "default", "examples", "json"}, name
        yield f"{path}{name}", rule["meta"].get("description", "")
        if "list" not in rule["type"] and "schema" in rule:
            yield from described(rule["schema"], f"{path}{name}.")
        of_values = rule.get("valuesrules", {})
        if "list" not in of_values.get("type", ""):
            yield from described(of_values.get("schema", {}), f"{path}{name}.NAME.")


@pytest.mark.parametrize("name", [*KINDS, CONFIG])
def test_every_field_is_described(name: str) -> None:
    assert [path for path, text in described(schema_of(name)) if not text.endswith(".")] == []


@pytest.mark.parametrize("name", [*KINDS, CONFIG])
def test_cerberus_takes_every_schema(name: str) -> None:
    Checker().errors(name, {})


def fields(noun: type, *, without: str = "") -> set[str]:
    return {field.name for field in dataclasses.fields(noun)} - set(without.split())


def test_every_field_of_the_model_can_be_written() -> None:
    common = {"kind", "description"}
    cluster, job, image = (set(schema_of(kind)) - common for kind in ("Cluster", "Job", "Image"))
    assert cluster == fields(Cluster, without="source shell")
    assert set(schema_of("Cluster")["defaults"]["schema"]) == {*schema_of("Job")["resources"]["schema"], "shell"}
    assert set(schema_of("Cluster")["connection"]["schema"]) == fields(Connection, without="ssh_config")
    assert set(schema_of("Cluster")["limits"]["schema"]) == fields(Limits)
    written = fields(Job, without="source tasks workflow tick notice") | {"command", "env", "matrix", "rerun"}
    assert job == written - not_yet.FIELDS["Job"]
    timed = {"time" if f == "time_s" else f for f in fields(ImageTest)}
    assert set(schema_of("Image")["test"]["schema"]) == timed
    assert {"name", "build", "from", "sif", "rebuild", "registry", "test", "labels"} <= image
    assert set(schema_of("Image")["build"]["schema"]) == fields(Build) | {"repo", "ref"}
    assert set(schema_of("Image")["sif"]["schema"]) == fields(SifFile)
    renamed = {"memory_mib": "memory", "walltime_s": "time"}
    assert set(schema_of("Job")["resources"]["schema"]) == {renamed.get(f, f) for f in fields(Resources)}
    assert set(schema_of("Job")["resources"]["schema"]["gpus"]["schema"]) == fields(Gpus)


def test_nothing_is_both_there_and_not_yet_there() -> None:
    for kind, names in not_yet.FIELDS.items():
        assert not names & set(schema_of(kind))
    for (kind, field), values in not_yet.VALUES.items():
        assert not values & set(schema_of(kind)[field]["allowed"])
    assert not not_yet.KINDS & set(KINDS)


def test_the_version_is_a_digest_and_does_not_change_within_a_process() -> None:
    assert len(schema_version()) == 64
    assert schema_version() == schema_version()
    assert (directory() / "job.yaml").is_file()


def test_json_schema_of_a_job() -> None:
    job = json_schema("Job")
    assert job["required"] == ["kind", "name", "cluster", "command"]
    assert job["additionalProperties"] is False
    assert job["properties"]["kind"]["enum"] == ["Job"]
    assert job["properties"]["on_change"]["enum"] == ["replace", "finish"]
    assert job["properties"]["resources"]["properties"]["gpus"]["type"] == ["integer", "object"]
    assert job["properties"]["files"]["items"] == {"type": "string"}
    assert job["properties"]["env"]["propertyNames"]["pattern"] == "^(?:[A-Za-z_][A-Za-z0-9_]*)$"


def test_json_schema_of_any_kind_goes_by_kind() -> None:
    schema = json_schema()
    assert [branch["then"]["$ref"] for branch in schema["allOf"]] == [f"#/$defs/{kind}" for kind in KINDS]
    assert set(schema["$defs"]) == set(KINDS)


def test_settings() -> None:
    data = b"repo: ssh://git@example.org/x.git\ninterval: 5m\nhttp: {listen: '127.0.0.1:8080'}\n"
    settings, problems = read_settings(data, "c.yaml")
    assert problems == ()
    assert settings["interval"] == "5m"
    assert read_settings(b"", "c.yaml") == ({}, ())


@pytest.mark.parametrize(
    ("data", "messages"),
    [
        (b"intervall: 5m", ['c.yaml:1:1: unknown field "intervall"; did you mean "interval"?']),
        (b"interval: 5", ['c.yaml:1:11: "interval" must be a duration such as 90s, 30m, 4h, 2d or 1h30m, not 5']),
        (b"repo: x\nrepo: y", ['c.yaml:2:1: duplicate key "repo"; the first is on line 1']),
        (b"- repo", ["c.yaml:1:1: a configuration must be a mapping, not a list"]),
        (b"repo: x\n---\nrepo: y", ["c.yaml:3:1: a configuration file is one document"]),
        (b"http: {}", ['c.yaml:1:7: missing field "http.listen"']),
        (b"ssh: {identity_file: '-oX'}", None),
        (b"repo: [", None),
        (b"\xff", None),
    ],
)
def test_bad_settings(data: bytes, messages: list[str] | None) -> None:
    _, problems = read_settings(data, "c.yaml")
    assert problems
    assert messages is None or [problem.headline() for problem in problems] == messages


@pytest.mark.parametrize("name", [*KINDS, CONFIG])
def test_the_reference_has_every_field_with_its_default(name: str) -> None:
    reference = (directory().parent / "docs" / "specs.md").read_text()
    for field, rule in schema_of(name).items():
        row = next((line for line in reference.splitlines() if line.startswith(f"| `{field}` |")), None)
        assert row is not None, field
        if "default" in rule["meta"]:
            assert f"`{str(rule['meta']['default']).lower()}`" in row.lower()
        if rule.get("required"):
            assert "| required |" in row
