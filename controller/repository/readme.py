"""README.md of the status branch: what a person sees first on the Git host. Pure.

Counts first, then what needs attention, then the rest up to a limit. Everything that a spec or a program wrote is
escaped. Does not belong here: the JSON files, the terminal's table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from controller.model.conditions import ResourceStatus, TaskState, Truth
from controller.model.redaction import redact_text
from controller.model.texts import one_line

Row = tuple[ResourceStatus, str]
"""A status and the path of its file."""

STALLED, READY, RECONCILING = "Stalled", "Ready", "Reconciling"
ATTENTION = (STALLED, TaskState.FAILED.value, TaskState.UNKNOWN.value)
ORDER = (
    *ATTENTION,
    TaskState.CANCELLED.value,
    TaskState.RUNNING.value,
    TaskState.SUBMITTING.value,
    TaskState.QUEUED.value,
    TaskState.WAITING.value,
    RECONCILING,
    TaskState.SUCCEEDED.value,
    READY,
)
MAX_MESSAGE = 240
MAX_PROBLEMS = 50
_SPECIAL = re.compile(r"[\\`*_\[\]#|~!]")
_BLANK = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")


def headline(status: ResourceStatus) -> str:
    """Return the one word that a resource is listed under: the worst that is true of it."""
    conditions = {condition.type: condition.status for condition in status.conditions}
    if conditions.get(STALLED) is Truth.TRUE:
        return STALLED
    states = {task.state.value for task in status.tasks}
    for word in ORDER:
        if word in states:
            return word
    if conditions.get(RECONCILING) is Truth.TRUE:
        return RECONCILING
    if conditions.get(READY) is Truth.TRUE:
        return READY
    return TaskState.UNKNOWN.value if conditions.get(READY) is not Truth.FALSE else TaskState.WAITING.value


def render_readme(
    rows: Iterable[Row],
    *,
    spec_commit: str,
    url: str,
    path: str,
    problems: Sequence[str],
    heartbeat: tuple[str, str],
    max_rows: int,
) -> str:
    """Return the Markdown. At most ``max_rows`` resources are listed; the rest is pointed to."""
    told = sorted(
        (
            (ORDER.index(word := headline(status)), status.kind, status.name, word, status, file)
            for status, file in rows
        ),
        key=lambda row: row[:3],
    )
    worst = [row for row in told if row[3] in ATTENTION]
    rest = sorted((row for row in told if row[3] not in ATTENTION), key=lambda row: row[1:3])
    lines = ["# Status", "", f"Of {_where(url, path)} at commit `{_code(spec_commit)}`.", ""]
    lines += _heartbeat(*heartbeat)
    lines += _counts(Counter(row[3] for row in told), _tasks(row[4] for row in told))
    lines += _problems(problems)
    left = max_rows
    for title, group in (("Needs attention", worst), ("Resources", rest)):
        if group:
            lines += [f"## {title}", "", *_table([(word, status, file) for *_, word, status, file in group[:left]])]
            lines += _pointer(len(group) - left)
            left = max(0, left - len(group))
    if not told:
        lines += ["There are no resources in this commit.", ""]
    lines.append("Written by the controller; changes made here are overwritten. The files are the same facts as JSON.")
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Make text safe inside a Markdown table on any Git host: one line, no markup, no HTML, a bounded length."""
    flat = one_line(redact_text(_BLANK.sub(" ", text).strip()))
    if len(flat) > MAX_MESSAGE:
        flat = flat[: MAX_MESSAGE - 1] + "…"
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Hosts would make links of addresses that a program printed.
    return (
        _SPECIAL.sub(lambda match: "\\" + match[0], flat)
        .replace("://", ":&#47;&#47;")
        .replace("www.", "www&#46;")
        .replace("@", "&#64;")
    )


def _where(url: str, path: str) -> str:
    shown = f"`{_BLANK.sub(' ', url).replace('`', '')}`"
    inside = _BLANK.sub(" ", path).replace("`", "").strip("/.")
    return f"{shown}, directory `{inside}`," if inside else shown


def _heartbeat(branch: str, fault: str) -> list[str]:
    """This page holds no time, or every pass would be a commit: it says where the time is."""
    if not branch:
        return []
    line = f"When the controller last made a pass is on the branch `{branch}`; `controller status` says it too."
    return [line + (f" It cannot be written there: {escape(fault)}" if fault else ""), ""]


def _code(text: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", "", text)[:64]


def _tasks(statuses: Iterable[ResourceStatus]) -> Counter[str]:
    return Counter(task.state.value for status in statuses for task in status.tasks)


def _counts(resources: Counter[str], tasks: Counter[str]) -> list[str]:
    words = [word for word in ORDER if resources[word] or tasks[word]]
    if not words:
        return []
    lines = ["| State | Resources | Tasks |", "|---|---:|---:|"]
    lines += [f"| {word} | {resources[word] or ''} | {tasks[word] or ''} |" for word in words]
    return [*lines, f"| Total | {resources.total()} | {tasks.total()} |", ""]


def _problems(problems: Sequence[str]) -> list[str]:
    if not problems:
        return []
    lines = ["## Specs that cannot be read", "", *(f"- {escape(problem)}" for problem in problems[:MAX_PROBLEMS])]
    if len(problems) > MAX_PROBLEMS:
        lines.append(f"- and {len(problems) - MAX_PROBLEMS} more: `controller validate` lists them all")
    return [*lines, ""]


def _table(rows: Sequence[tuple[str, ResourceStatus, str]]) -> list[str]:
    if not rows:
        return []
    lines = ["| State | Kind | Name | Cluster | Reason | Message | Tasks |", "|---|---|---|---|---|---|---|"]
    for word, status, file in rows:
        reason, message = _why(word, status)
        cells = [
            word,
            escape(status.kind),
            f"[{escape(status.name)}]({file.replace('%', '%25')}){_labels(status)}",
            escape(status.cluster),
            escape(reason),
            escape(message),
            _task_counts(status),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _labels(status: ResourceStatus) -> str:
    labels = ", ".join(f"{name}={value}" for name, value in sorted(status.labels.items()))
    return f" ({escape(labels)})" if labels else ""


def _why(word: str, status: ResourceStatus) -> tuple[str, str]:
    """Return reason and message of whatever gave a resource its word."""
    for condition in status.conditions:
        if condition.type == word:
            return condition.reason, condition.message
    for task in status.tasks:
        if task.state.value == word:
            return task.reason, task.message
    for condition in status.conditions:
        if condition.type == READY:
            return condition.reason, condition.message
    return "", ""


def _task_counts(status: ResourceStatus) -> str:
    counts = _tasks([status])
    return ", ".join(f"{counts[word]} {word}" for word in ORDER if counts[word])


def _pointer(hidden: int) -> list[str]:
    return [f"And {hidden} more: one file each in the directories beside this file.", ""] if hidden > 0 else []
