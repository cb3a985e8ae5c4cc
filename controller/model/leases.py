"""Lease: the instance under which a repository's runs are known, and the place whose specs it follows.

The instance is derived once and then kept in the journal, on the status branch (``controller.json``) and on each
cluster (``<workdir>/<instance>/owner.json``). Belongs here: these records and their JSON text. Does not belong here:
which of them is in force (planning/leases.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from controller.model.sites import NOWHERE, Whereabouts, read_whereabouts, whereabouts_document
from controller.model.versions import NewerVersionError

VERSION = 1
"""Version of both documents. A reader passes over keys that it does not know, and refuses a later version."""


class Choice(StrEnum):
    """What a person says about an lease that is in doubt."""

    NONE = ""
    ADOPT = "--adopt"
    """The repository moved, or another branch or account takes over: go on as the recorded instance."""
    NEW = "--new-instance"
    """It is another one, such as a fork: an instance of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """What an instance follows: one directory of one branch of one repository."""

    address: str
    """Without user name and password."""
    path: str = ""
    branch: str = ""
    """"" where it is not known."""

    def __str__(self) -> str:
        inside = f", path {self.path}" if self.path else ""
        return f"{self.address}{inside}" + (f", branch {self.branch}" if self.branch else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The record of an instance. ``spot`` None: the status branch of an earlier version, which names no address."""

    instance: str
    spot: Spot | None
    since: str = ""
    """When it was first recorded, ISO 8601 in UTC."""
    accounts: Mapping[str, str] = field(default_factory=dict)
    """Cluster -> account that the jobs run under."""
    sites: Whereabouts = NOWHERE
    """Where the clusters are, and where runs are beside them; on the status branch only."""
    given: Mapping[str, str] = field(default_factory=dict)
    """Run that was under way at a split of the repository -> instance that follows it since; on the status branch only.
    Never forgotten: whoever reads it must not cancel the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """The record of an instance on one cluster. ``text`` is the file as it was read."""

    instance: str
    spot: Spot
    account: str
    controller: str = ""
    """Host and state directory of the controller that wrote it, for people."""
    since: str = ""
    text: str = ""


def lease_text(lease: Lease) -> str:
    """Return the JSON text of ``controller.json``, one key a line."""
    assert lease.spot is not None
    document = {
        "version": VERSION,
        "instance": lease.instance,
        "address": lease.spot.address,
        "path": lease.spot.path,
        "branch": lease.spot.branch,
        "since": lease.since,
        "accounts": dict(sorted(lease.accounts.items())),
    }
    if lease.sites != NOWHERE:
        document["sites"] = whereabouts_document(lease.sites)
    if lease.given:
        document["given"] = dict(sorted(lease.given.items()))
    return json.dumps(document, indent=2) + "\n"


def read_lease(text: str | bytes) -> Lease:
    """Return the record in ``controller.json``.

    Raises:
        NewerVersionError: a later version wrote it.
        ValueError: it is damaged.
    """
    document = _document(text)
    accounts = document.get("accounts", {})
    if not isinstance(accounts, dict):
        raise ValueError("accounts must be an object")
    given = document.get("given")
    return Lease(
        instance=_text(document, "instance"),
        spot=_spot(document),
        since=_text(document, "since", ""),
        accounts={str(name): str(account) for name, account in accounts.items()},
        sites=read_whereabouts(document.get("sites")),
        given={run: str(to) for run, to in given.items() if to} if isinstance(given, dict) else {},
    )


def owner_text(owner: Ownership) -> str:
    """Return the JSON text of ``owner.json``: one line."""
    document = {
        "version": VERSION,
        "instance": owner.instance,
        "address": owner.spot.address,
        "path": owner.spot.path,
        "branch": owner.spot.branch,
        "account": owner.account,
        "controller": owner.controller,
        "since": owner.since,
    }
    return json.dumps(document)


def read_owner(text: str) -> Ownership:
    """Return the record in ``owner.json``.

    Raises:
        NewerVersionError: a later version wrote it.
        ValueError: it is damaged.
    """
    document = _document(text)
    return Ownership(
        instance=_text(document, "instance"),
        spot=_spot(document),
        account=_text(document, "account"),
        controller=_text(document, "controller", ""),
        since=_text(document, "since", ""),
        text=text,
    )


def _document(text: str | bytes) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(document, dict):
        raise ValueError("not an object")
    version = document.get("version")
    if not isinstance(version, int) or version < 1:
        raise ValueError("no version")
    if version > VERSION:
        raise NewerVersionError(f"version {version}; this controller reads version {VERSION}")
    return document


def _spot(document: Mapping[str, Any]) -> Spot:
    return Spot(
        address=_text(document, "address"), path=_text(document, "path", ""), branch=_text(document, "branch", "")
    )


def _text(document: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = document.get(key, default)
    if not isinstance(value, str) or (default is None and not value):
        raise ValueError(f"{key} is missing")
    return value
