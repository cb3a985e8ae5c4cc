"""Cerberus with the checks that a schema names by ``check_with``.

One validator belongs to one thread and one call: Cerberus is not thread-safe (533 of 800 answers were wrong with one
validator in four threads, measured with 1.3.8). Its messages are made in ``messages``; here a check only says what
the value must be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import cerberus
from cerberus import TypeDefinition, errors

from controller.specs import cron, quantities
from controller.specs.references import NotAReferenceError, reference_of
from controller.specs.schemas import Schema, schema_of
from controller.specs.shells import ShellError, words_of
from controller.specs.submit_options import refusal

LONGEST = 4_096
"""Characters of a text that has a form of its own, where the schema says nothing else."""
_OF_ANY_LENGTH = ("text", "command", "line", "finite")
_NESTED = ("schema", "keysrules", "valuesrules")
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
_NOT_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_GIT_ADDRESS = re.compile(
    r"(?:https?://[A-Za-z0-9][^\s/@]*/\S+|ssh://(?:[^\s/@:]+@)?[A-Za-z0-9\[][^\s/@]*/\S+"
    r"|(?:[A-Za-z0-9_.+-]+@)?[A-Za-z0-9][A-Za-z0-9.-]*:(?!/?/)\S+)"
)
_PASSWORD = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/@]*:[^/@]*@")
_WORKDIR_START = re.compile(r"(?:~|\$[A-Za-z_][A-Za-z0-9_]*|\$\{[A-Za-z_][A-Za-z0-9_]*\})?(?=/|$)", re.ASCII)
_WORKDIR_PART = re.compile(r"(?:[A-Za-z0-9._+@=,-]|\$[A-Za-z_][A-Za-z0-9_]*+|\$\{[A-Za-z_][A-Za-z0-9_]*\})++", re.ASCII)


class SpecValidator(cerberus.Validator):  # type: ignore[misc]
    """Validator of one kind. Documents are read only; defaults are filled in when they are decoded."""

    types_mapping = cerberus.Validator.types_mapping.copy()
    types_mapping["integer"] = TypeDefinition("integer", (int,), (bool,))

    def _error(self, *args: Any) -> None:
        # Cerberus itself sorts all errors again after each one, and keeps them in two trees that nobody reads here.
        if len(args) == 1:
            self._errors.extend(args[0])
        else:
            super()._error(*args)

    def _is_too_long(self, field: Any, value: Any) -> bool:
        """Return whether a text has more than it may: another rule says so, and no more has to be known of it."""
        return isinstance(value, str) and len(value) > self.schema[field].get("maxlength", LONGEST)

    def _say(self, field: Any, message: str, remedy: str = "") -> None:
        self._error(field, errors.CUSTOM, message, remedy)

    def _validate_regex(self, pattern: str, field: Any, value: Any) -> None:
        """{'type': 'string'}"""
        # Cerberus itself matches with "$", which lets a trailing newline pass.
        if isinstance(value, str) and not self._is_too_long(field, value) and re.fullmatch(pattern, value) is None:
            self._say(field, "must be " + self.schema[field]["meta"]["expected"])

    def _validate_check_with(self, checks: Any, field: Any, value: Any) -> None:
        # Cerberus goes on with this rule after it has found that there is no value.
        if value is not None and (checks in _OF_ANY_LENGTH or not self._is_too_long(field, value)):
            super()._validate_check_with(checks, field, value)

    # Cerberus reads the rule's own schema from the docstring.
    _validate_check_with.__doc__ = cerberus.Validator._validate_check_with.__doc__

    def _quantity(self, parse: Callable[[Any], int], field: Any, value: Any) -> None:
        try:
            parse(value)
        except quantities.QuantityError as error:
            self._say(field, error.message, error.remedy)

    def _check_with_duration(self, field: Any, value: Any) -> None:
        self._quantity(quantities.duration_s, field, str(value))

    def _check_with_walltime(self, field: Any, value: Any) -> None:
        self._quantity(quantities.walltime_s, field, value)

    def _check_with_memory(self, field: Any, value: Any) -> None:
        self._quantity(quantities.memory_mib, field, value)

    def _check_with_text(self, field: Any, value: Any) -> None:
        if found := _NOT_TEXT.search(value):
            self._say(field, f"must not hold the character U+{ord(found[0]):04X}")

    def _check_with_command(self, field: Any, value: Any) -> None:
        self._check_with_text(field, value)
        if not value.strip():
            self._say(field, "must not be empty")

    def _check_with_line(self, field: Any, value: Any) -> None:
        if isinstance(value, str) and (found := _NOT_LINE.search(value)):
            self._say(field, f"must be one line without control characters, but holds U+{ord(found[0]):04X}")

    def _check_with_no_parent(self, field: Any, value: Any) -> None:
        if ".." in value.split("/"):
            self._say(field, 'must not have ".." in it')

    def _check_with_git_address(self, field: Any, value: Any) -> None:
        # Never a path, nor a transport such as ext:: that runs a program: this is opened on the controller's machine.
        if re.match(r"https?://[^/]*@", value):
            self._say(field, "must not hold a user name or a password", "name a repository that anybody can read")
        elif "?" in value or "#" in value:
            self._say(field, 'must not have "?" or "#" in it', "a commit is no place for a token: remove it")
        elif _NOT_LINE.search(value) or "::" in value or _GIT_ADDRESS.fullmatch(value) is None:
            self._say(field, "must be an address such as https://host/group/name or git@host:group/name")

    def _check_with_repo_path(self, field: Any, value: Any) -> None:
        if not value:
            self._say(field, "must not be empty", 'write "." for the whole repository')
        elif _NOT_LINE.search(value) or "\\" in value:
            self._say(field, 'must be a path without control characters and "\\"')
        elif value.startswith(("/", "~")):
            self._say(field, "must be relative to the root of the repository", "write it without the leading part")
        elif ".." in value.split("/"):
            self._say(field, 'must stay inside the repository: ".." is not allowed')

    def _check_with_context_path(self, field: Any, value: Any) -> None:
        if not value or value.endswith("/") or value in (".", "./"):
            self._say(field, "must name a file inside the build context")
        else:
            self._check_with_repo_path(field, value)

    def _check_with_run_path(self, field: Any, value: Any) -> None:
        if not value or _NOT_LINE.search(value) or "\\" in value:
            self._say(field, 'must be a path without control characters and "\\"')
        elif value.startswith(("/", "~")):
            self._say(field, "must be relative to the run directory", "write it without the leading part")
        elif ".." in value.split("/"):
            self._say(field, 'must stay inside the run directory: ".." is not allowed')

    def _check_with_finite(self, field: Any, value: Any) -> None:
        if not math.isfinite(value):
            self._say(field, "must be a finite number")

    def _check_with_schedule(self, field: Any, value: Any) -> None:
        try:
            cron.parse(value)
        except cron.CronError as error:
            self._say(field, error.message, error.remedy)

    def _check_with_shell(self, field: Any, value: Any) -> None:
        try:
            words_of(value)
        except ShellError as error:
            self._say(field, error.message, error.remedy)

    def _check_with_submit_option(self, field: Any, value: Any) -> None:
        if (reason := refusal(value)) is not None:
            self._say(field, *reason)

    def _check_with_git_url(self, field: Any, value: Any) -> None:
        if _NOT_LINE.search(value) or not value.strip() or value != value.strip():
            self._say(field, "must be the address of a Git repository, without control characters or outer blanks")
        elif _PASSWORD.search(value) or re.match(r"https?://[^/]*@", value):
            self._say(field, "must not hold a password or a token", "a commit is no place for a secret: remove it")
        elif not value.startswith(("/", "~")) and ":" not in value:
            self._say(field, "must be an address such as https://host/group/repository.git")

    def _check_with_git_ref(self, field: Any, value: Any) -> None:
        # git-check-ref-format(1)
        parts = value.split("/")
        if (
            ".." in value
            or "@{" in value
            or any(not p or p.startswith(".") or p.endswith((".", ".lock")) for p in parts)
        ):
            self._say(field, "must be the name of a branch or a tag, or a commit id")

    def _check_with_template(self, field: Any, value: Any) -> None:
        if "/" in value:
            self._check_with_repo_path(field, value)
        elif not re.fullmatch("[a-z0-9][a-z0-9-]*", value):
            self._say(
                field, "must be the name of a built-in template", "a directory of the repository has a slash: ./mine"
            )

    def _check_with_image_reference(self, field: Any, value: Any) -> None:
        try:
            reference_of(value)
        except NotAReferenceError:
            self._say(field, "must be the name of an image such as docker://python:3.12-slim")

    def _check_with_sif(self, field: Any, value: Any) -> None:
        if isinstance(value, str):
            self._remote_path(field, value)
            if not value.endswith(".sif"):
                self._say(field, 'must be the path of a file that ends in ".sif"')

    def _check_with_workdir(self, field: Any, value: Any) -> None:
        if value != "auto":
            self._remote_path(field, value, also='"auto", ')
            if "," in value:
                self._say(field, "must not hold a comma: containers cannot be given such a directory")

    def _remote_path(self, field: Any, value: str, *, also: str = "") -> None:
        start = _WORKDIR_START.match(value)
        rest = value[start.end() :] if start else ""
        parts = [part for part in rest.split("/") if part]
        if start is None or not value or (start[0] == "" and not rest):
            self._say(field, f"must be {also}an absolute path, or a path that begins with ~ or $NAME")
        elif ".." in parts:
            self._say(field, 'must not have ".." in it')
        elif value == "/":
            self._say(field, "must not be the root directory")
        elif not all(_WORKDIR_PART.fullmatch(part) for part in parts):
            self._say(field, 'may hold letters, digits, "._+@=,-" and $NAME only')


def _bare(schema: Schema) -> Schema:
    """Return a copy of a schema without what is there for people and editors (and which Cerberus cannot hash)."""
    bare: Schema = {}
    for field, rule in schema.items():
        bare[field] = {word: value for word, value in rule.items() if word not in ("meta", *_NESTED)}
        bare[field]["meta"] = {"expected": rule.get("meta", {}).get("expected", "")}
        for word in _NESTED:
            if word in rule:
                is_rule = word != "schema" or "list" in rule["type"]
                bare[field][word] = _bare({"": rule[word]})[""] if is_rule else _bare(rule[word])
    return bare


class Checker:
    """Validators for one call of ``load``: one a kind, made when first needed."""

    def __init__(self) -> None:
        self._validators: dict[str, SpecValidator] = {}

    def errors(self, schema: str, value: dict[str, Any]) -> list[errors.ValidationError]:
        """Return the errors of a document against a schema (a kind, or ``Config``), nested as Cerberus has them."""
        validator = self._validators.get(schema)
        if validator is None:
            validator = self._validators[schema] = SpecValidator(_bare(schema_of(schema)))
        validator.validate(value, normalize=False)
        found: list[errors.ValidationError] = sorted(validator._errors)
        return found
