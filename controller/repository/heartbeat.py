"""The heartbeat branch: when the controller last made a pass, in one commit that is replaced and has no parent.

It stands beside the status branch, which holds no time of a pass, so that a pass that changes nothing is no commit.
The only branch that is ever pushed with force. Does not belong here: when it is due (reconcile/heartbeats.py), and what
is shown of it (cli/freshness.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import pygit2

from controller.model.errors import StalledError
from controller.model.failpoints import failpoint
from controller.repository.mirror import Mirror
from controller.repository.publish import Pushed, publish
from controller.repository.statusbranch import AUTHOR
from controller.repository.treewriter import changes_of, write_tree

FILE = "heartbeat.json"
_README = """# Heartbeat

| | |
|---|---|
| Last pass that wrote the status | {passed} |
| Last pass | {at}, {result}{reason} |
| Controller | `{host}`, instance `{instance}`, version {version} |
| A pass every | {interval_s:g} s |
| Specs applied | commit `{spec_commit}` |

Written at most every five minutes while nothing changes; this one commit is replaced each time.
If `Last pass` is more than ten minutes and an interval ago, the controller may have stopped.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """One pass, as it ended. Times are ISO 8601 in UTC."""

    at: str
    """When the last pass ended."""
    passed: str
    """When the last pass ended that wrote the status, "" before the first."""
    result: str
    """``completed``, ``incomplete`` (a spec is wrong, or an action failed) or ``failed``."""
    reason: str
    """Reason and message of a pass that failed."""
    spec_commit: str
    """The commit that ``passed`` speaks of."""
    host: str
    instance: str
    version: str
    interval_s: float


def branch_of(status_branch: str) -> str:
    """Return the branch beside a status branch. No directory of its name: Git could not hold both."""
    return f"{status_branch}-heartbeat"


def write_heartbeat(mirror: Mirror, branch: str, heartbeat: Heartbeat, *, now: float) -> None:
    """Replace what the branch says; nothing is done where another controller has just done so.

    Raises:
        StalledError: PushRefused, AuthenticationFailed, …; HeartbeatBranchTaken: the branch holds anything else.
        TransientError: Unreachable, MirrorBusy.
    """
    mirror.fetch(branch)
    tip = mirror.tip(branch)
    if tip is not None and read_heartbeat(mirror, branch) is None:
        raise StalledError(
            "HeartbeatBranchTaken",
            f"branch {branch} holds {tip[:12]}, which is no heartbeat, and is left alone; rename or delete that "
            "branch, or set another status_branch in the configuration file",
        )
    failpoint("heartbeat.before")
    with mirror.writing() as repo:
        tree = write_tree(repo, None, changes_of(_files(heartbeat)))
        assert tree is not None, "there are files in it"
        signature = pygit2.Signature(*AUTHOR, int(now), 0)
        commit = str(repo.create_commit(None, signature, signature, f"Pass at {heartbeat.at}\n", tree, []))
        outcome = publish(repo, mirror.url, mirror.auth, commit=commit, branch=branch, expected=None, replace=True)
        if outcome is Pushed.ACCEPTED:
            repo.references.create(f"refs/heads/{branch}", commit, force=True)
    failpoint("heartbeat.after")


def read_heartbeat(mirror: Mirror, branch: str) -> Heartbeat | None:
    """Return what the branch said at the mirror's last fetch; None where it is not there or not readable."""
    tip = mirror.tip(branch)
    if tip is None:
        return None
    tree = mirror.tree(tip)
    oid = next((entry.oid for entry in tree.entries() if entry.path == FILE), None)
    return None if oid is None else heartbeat_from(tree.read(oid))


def heartbeat_from(text: bytes | str) -> Heartbeat | None:
    """Return the heartbeat in a JSON text; None where it is none. Keys that are not known are passed over."""
    try:
        document = json.loads(text)
        values: dict[str, Any] = {each.name: document[each.name] for each in fields(Heartbeat)}
        values["interval_s"] = float(values["interval_s"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    texts = (value for name, value in values.items() if name != "interval_s")
    return Heartbeat(**values) if all(isinstance(value, str) for value in texts) else None


def heartbeat_text(heartbeat: Heartbeat) -> str:
    """Return the inverse of ``heartbeat_from``."""
    return json.dumps(asdict(heartbeat), indent=2) + "\n"


def _files(heartbeat: Heartbeat) -> Mapping[str, bytes]:
    shown = asdict(heartbeat) | {
        "passed": heartbeat.passed or "none yet",
        "reason": f": {' '.join(heartbeat.reason.split())}" if heartbeat.reason else "",
    }
    plain = str.maketrans({"|": "/", "`": "'"})
    cells = {name: value.translate(plain) if isinstance(value, str) else value for name, value in shown.items()}
    return {FILE: heartbeat_text(heartbeat).encode(), "README.md": _README.format(**cells).encode("utf-8", "replace")}
