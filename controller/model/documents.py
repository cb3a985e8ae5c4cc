"""A resource's status as a document: the one form that status files and ``-o json`` have in common.

Belongs here: names and order of the keys, both ways. Does not belong here: JSON or YAML text, files, tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.model.conditions import Condition, ResourceStatus, TaskState, TaskStatus, Truth
from controller.model.texts import head, tail
from controller.model.versions import refuse_later


def to_document(status: ResourceStatus) -> dict[str, Any]:
    """Return a status as dict, list, str, int and None, with the keys in the order in which people read them."""
    return {
        "kind": status.kind,
        "name": status.name,
        "digest": status.digest,
        "commit": status.commit,
        "path": status.path,
        "cluster": status.cluster,
        "labels": dict(sorted(status.labels.items())),
        "conditions": [
            {
                "type": condition.type,
                "status": condition.status.value,
                "reason": condition.reason,
                "message": head(condition.message),
                "changed": condition.changed,
            }
            for condition in status.conditions
        ],
        "tasks": [_task_document(task) for task in status.tasks],
        "details": _heads(status.details),
    }


def from_document(document: Any) -> ResourceStatus:
    """Return the status that a document describes. Keys that are not known are passed over, for newer writers.

    Raises:
        NewerVersionError: a later version wrote it.
        ValueError: something is missing or of another type; the message names it.
    """
    top = _mapping(document, "the document")
    refuse_later(top, f"the status of {top.get('kind')}/{top.get('name')}")
    details = _mapping(top.get("details", {}), "details")
    labels = _mapping(top.get("labels", {}), "labels")
    return ResourceStatus(
        kind=_text(top, "kind"),
        name=_text(top, "name"),
        digest=_text(top, "digest"),
        commit=_text(top, "commit"),
        path=_text(top, "path", ""),
        cluster=_text(top, "cluster", ""),
        conditions=tuple(_condition(_mapping(item, "a condition")) for item in _items(top, "conditions")),
        tasks=tuple(_task(_mapping(item, "a task")) for item in _items(top, "tasks")),
        labels={key: _text(labels, key) for key in labels},
        details={key: _text(details, key) for key in details},
    )


def _task_document(task: TaskStatus) -> dict[str, Any]:
    # Only where they are known: documents of settled jobs stay as they are.
    charged = {"account": task.account, "partition": task.partition, "qos": task.qos}
    return {
        "id": task.id,
        "state": task.state.value,
        "reason": task.reason,
        "message": head(task.message),
        "job_id": task.job_id,
        **{name: value for name, value in charged.items() if value},
        "attempt": task.attempt,
        "started": task.started,
        "ended": task.ended,
        "exit_code": task.exit_code,
        "run_dir": task.run_dir,
        **({"cluster": task.cluster} if task.cluster else {}),
        "digest": task.digest,
        "stderr_tail": tail(task.stderr_tail),
        "results": dict(sorted(task.results.items())),
        **({"result_faults": _heads(task.result_faults)} if task.result_faults else {}),
    }


def _heads(texts: Mapping[str, str]) -> dict[str, str]:
    """Return texts as they may be published, in the order of their names."""
    return {name: head(text) for name, text in sorted(texts.items())}


def _condition(item: Mapping[str, Any]) -> Condition:
    return Condition(
        type=_text(item, "type"),
        status=Truth(_text(item, "status")),
        reason=_text(item, "reason"),
        message=_text(item, "message"),
        changed=_text(item, "changed"),
    )


def _task(item: Mapping[str, Any]) -> TaskStatus:
    exit_code = item.get("exit_code")
    attempt = item.get("attempt", 0)
    for value in (0 if exit_code is None else exit_code, attempt):
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("exit_code and attempt must be whole numbers")
    results = _mapping(item.get("results", {}), "results")
    faults = _mapping(item.get("result_faults", {}), "result_faults")
    return TaskStatus(
        id=_text(item, "id"),
        results={key: _text(results, key) for key in results},
        result_faults={key: _text(faults, key) for key in faults},
        state=TaskState(_text(item, "state")),
        attempt=attempt,
        exit_code=exit_code,
        reason=_text(item, "reason", ""),
        message=_text(item, "message", ""),
        digest=_text(item, "digest", ""),
        stderr_tail=_text(item, "stderr_tail", ""),
        job_id=_optional(item, "job_id"),
        account=_text(item, "account", ""),
        partition=_text(item, "partition", ""),
        qos=_text(item, "qos", ""),
        started=_optional(item, "started"),
        ended=_optional(item, "ended"),
        run_dir=_optional(item, "run_dir"),
        cluster=_text(item, "cluster", ""),
    )


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} must be a mapping")
    return value


def _items(mapping: Mapping[str, Any], key: str) -> list[Any]:
    value = mapping.get(key, [])
    if not isinstance(value, list):
        raise ValueError(f"{key} must be a list")
    return value


def _optional(mapping: Mapping[str, Any], key: str) -> str | None:
    return None if mapping.get(key) is None else _text(mapping, key)


def _text(mapping: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = mapping.get(key, default)
    if not isinstance(value, str):
        raise ValueError(f"{key} must be text")
    return value
