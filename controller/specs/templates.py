"""Templates of build contexts: what a template says about itself, and whether given values fit.

A template is a directory: ``template.yaml`` describes it, files that end in ``.j2`` are rendered under their name
without that ending, all others are taken as they are. The built-in ones are package data, as the schemas are. Must not
render anything: that happens in a child process, when an image is built.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.model.digests import digest_of
from controller.model.files import FileEntry, FileSet
from controller.model.images import Value
from controller.specs.nearest import did_you_mean, shown, type_name
from controller.specs.schemas import TEMPLATE
from controller.specs.settings import read_settings

DESCRIPTION = "template.yaml"
RENDERED = ".j2"
BUILTIN = "builtin:"
"""Begins the ``repository`` of a file set that is a built-in template's."""
_WORDS = {"string": "a string", "integer": "an integer", "boolean": "true or false", "list": "a list of strings"}
_PROGRAM, _REGULAR = 0o100755, 0o100644


class TemplateError(Exception):
    """A template, or a value for it, that cannot be used; ``remedy`` may be empty."""

    def __init__(self, message: str, remedy: str = "", *, value: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy
        self.value = value
        """Name of the value that it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateValue:
    """One value that a template's files use. ``default`` None: one has to be given."""

    name: str
    description: str
    type: str
    default: Value | None

    def accept(self, given: Any) -> Value:
        """Return a given value as the template takes it.

        Raises:
            TemplateError: it is of another type.
        """
        match self.type:
            case "integer":
                fits = isinstance(given, int) and not isinstance(given, bool)
            case "boolean":
                fits = isinstance(given, bool)
            case "list":
                fits = isinstance(given, list) and all(isinstance(each, str) for each in given)
            case _:
                fits = isinstance(given, str)
        if not fits:
            kind = "a list of others" if isinstance(given, list) and self.type == "list" else type_name(given)
            raise TemplateError(f"must be {_WORDS[self.type]}, not {kind}", value=self.name)
        return tuple(given) if isinstance(given, list) else given

    def parse(self, text: str) -> Value:
        """Return a value that was given as text, on a command line; a list has commas.

        Raises:
            TemplateError: it does not read as the type.
        """
        match self.type:
            case "integer" if text.removeprefix("-").isdecimal():
                return int(text)
            case "boolean" if text in ("true", "false"):
                return text == "true"
            case "list":
                return tuple(part.strip() for part in text.split(",") if part.strip())
            case "string":
                return text
            case _:
                raise TemplateError(f"must be {_WORDS[self.type]}, not {shown(text)}", value=self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What a template says about itself."""

    description: str
    values: Mapping[str, TemplateValue]

    def filled(self, given: Mapping[str, Any]) -> dict[str, Value]:
        """Return a value for every name, in the order of the names.

        Raises:
            TemplateError: one is missing, unknown, or of another type.
        """
        for name in given:
            if name not in self.values:
                hint = did_you_mean(name, self.values)
                known = ", ".join(self.values) or "none"
                raise TemplateError(
                    f"is no value of the template{hint}", "" if hint else f"values: {known}", value=name
                )
        filled: dict[str, Value] = {}
        for name, value in sorted(self.values.items()):
            chosen = value.accept(given[name]) if name in given else value.default
            if chosen is None:
                raise TemplateError(f'the template needs the value "{name}": {value.description}')
            filled[name] = chosen
        return filled


def read_template(data: bytes, path: str) -> Template:
    """Return what a ``template.yaml`` says; ``path`` is for the messages.

    Raises:
        TemplateError: it says nothing that can be used.
    """
    written, problems = read_settings(data, path, schema=TEMPLATE, noun="template description")
    if problems:
        raise TemplateError(problems[0].headline(), problems[0].remedy)
    values = {}
    for name, rule in written.get("values", {}).items():
        value = TemplateValue(name=name, description=rule["description"], type=rule["type"], default=None)
        if "default" in rule:
            try:
                default = value.accept(rule["default"])
            except TemplateError as error:
                raise TemplateError(f'{path}: the default of "{name}" {error}', error.remedy) from error
            value = TemplateValue(name=name, description=rule["description"], type=rule["type"], default=default)
        values[name] = value
    return Template(description=written.get("description", ""), values=values)


class BuiltinTree:
    """The files of a built-in template; implements ``controller.specs.tree.Tree``."""

    def __init__(self, name: str) -> None:
        self._files: dict[str, bytes] = {}
        self._entries: list[FileEntry] = []
        root = _directory() / name
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                data = path.read_bytes()
                oid = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
                self._files[oid] = data
                # Not the file's own mode: a wheel need not keep it, and it is part of the identity.
                mode = _PROGRAM if data.startswith(b"#!") else _REGULAR
                self._entries.append(FileEntry(path=path.relative_to(root).as_posix(), mode=mode, oid=oid))
        self._entries.sort(key=lambda entry: entry.path)

    @property
    def commit(self) -> str:
        """Nothing: it is of no commit."""
        return ""

    def entries(self) -> Sequence[FileEntry]:
        """Return every file in path order."""
        return self._entries

    def submodules(self) -> Sequence[str]:
        """Return nothing: there are none."""
        return ()

    def read(self, oid: str, *, limit: int | None = None) -> bytes:
        """Return a file's bytes."""
        return self._files[oid][:limit]

    def size(self, oid: str) -> int:
        """Return a file's size in bytes."""
        return len(self._files[oid])


@functools.cache
def builtin_names() -> tuple[str, ...]:
    """Return the names of the built-in templates, sorted."""
    return tuple(sorted(path.parent.name for path in _directory().glob(f"*/{DESCRIPTION}")))


@functools.cache
def builtin(name: str) -> tuple[FileSet, Template]:
    """Return the files of a built-in template, and what it says about itself.

    Raises:
        KeyError: there is none of that name.
    """
    if name not in builtin_names():
        raise KeyError(name)
    tree = BuiltinTree(name)
    entries = tuple(tree.entries())
    described = next(entry for entry in entries if entry.path == DESCRIPTION)
    files = FileSet(
        tree=digest_of([[entry.path, entry.mode, entry.oid] for entry in entries]),
        entries=entries,
        commit="",
        repository=BUILTIN + name,
    )
    return files, read_template(tree.read(described.oid), f"{name}/{DESCRIPTION}")


def _directory() -> Path:
    return Path(__file__).resolve().parent.parent / "templates"
