"""Scripts for the far side: the shell files of ``remote/`` with variables set before them, and reading their answers.

Values reach a script as quoted assignments or as payload, never as part of its text.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from importlib.resources import files

from controller.containers.paths import path_expression
from controller.model.digests import short
from controller.model.errors import AmbiguousError, StalledError, TransientError
from controller.model.resources import Cluster
from controller.model.sites import is_former
from controller.schedulers.dialect import Scheduler

_PASSES = frozenset({"UploadFailed", "DiskFull"})
LAST_MEMBER = ".last-member"
"""Empty file at the end of every tar that is sent, so that a cut-off one is known from a whole one."""


@cache
def remote_file(name: str) -> str:
    """Return the text of a file of ``remote/``."""
    return (files("controller.clusters") / "remote" / name).read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Script:
    """A script ready to be sent, and the nonce that marks its answers."""

    text: str
    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of an answer: a command's output, its exit code, what it said on standard error."""

    text: str
    exit_code: int
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Everything a script said.

    ``words`` are its one-line messages split once at blanks: ``["submitted", "<batch>", "17"]``.
    """

    parts: Mapping[str, Part] = field(default_factory=dict)
    words: tuple[tuple[str, ...], ...] = ()
    complete: bool = False
    nonce: str = ""


UNTOUCHED_SHELL = """\
#!/bin/bash -l
case $- in *p*) ;; *)
  \\shopt -q login_shell && \\export login_option=-l
  POSIXLY_CORRECT=y; \\export -n POSIXLY_CORRECT; \\exec "$BASH" --noprofile --norc -p "$0" "$@" ;;
esac"""
"""First lines of a job's script: a login shell, since sites set up modules and PATH there, that replaces itself by one
that gets environment, umask and limits of it, and nothing else (decisions/0060)."""


def compose(
    name: str,
    scheduler: Scheduler,
    *,
    cluster: Cluster,
    instance: str,
    variables: Mapping[str, str],
    parts: Sequence[str] = (),
) -> Script:
    """Return the script ``remote/<name>.sh`` with the prelude and the scheduler's own program before it.

    ``parts`` are further files of ``remote/`` that it builds upon.
    """
    nonce = secrets.token_hex(8)
    head = {"nonce": nonce, "instance": instance, "root_expression": root_expression(cluster.workdir)}
    head["last_member"] = LAST_MEMBER
    head["former"] = "1" if is_former(cluster.name) else ""
    head["login_option"] = "" if cluster.connection is None else "-l"
    lines = [f"{key}={shlex.quote(value)}" for key, value in head.items()]
    lines.append(remote_file("prelude.sh"))
    lines.append(_install(scheduler))
    lines += [f"{key}={shlex.quote(value)}" for key, value in variables.items()]
    lines += [remote_file(f"{part}.sh") for part in (*parts, name)]
    return Script("\n".join(lines), nonce)


def root_expression(workdir: str) -> str:
    """Return shell text for the work directory: ``auto``, or a path whose ``~`` and ``$NAME`` the cluster knows."""
    if workdir == "auto":
        return '"${SCRATCH:-${WORK:-$HOME}}/controller"'
    return path_expression(workdir)


def _install(scheduler: Scheduler) -> str:
    """Shell text that sets ``scheduler_program`` and puts the program in place once."""
    if scheduler.program is None:
        return ""
    name, text = scheduler.program
    digest = short(sha256(text.encode()).hexdigest())
    return (
        f'scheduler_program="$root/bin/{name}-{digest}.sh"\n'
        'if [ ! -s "$scheduler_program" ]; then\n'
        '  mkdir -p "$root/bin" || die WorkdirUnwritable "cannot write below $root"\n'
        f"  put \"$scheduler_program\" <<'END_{digest}'\n{text}\nEND_{digest}\n"
        "fi"
    )


def read_answer(stdout: bytes, nonce: str) -> Answer:
    """Read what a script said, past whatever else stands in its output.

    Raises:
        StalledError, TransientError: the script gave up for a reason of its own (``fatal``).
    """
    parts: dict[str, Part] = {}
    words: list[tuple[str, ...]] = []
    mark = f"@@{nonce} "
    name, lines, complete = "", list[str](), False
    for line in stdout.decode("utf-8", "replace").split("\n"):
        if not line.startswith(mark):
            if name:
                lines.append(line)
            continue
        said = line[len(mark) :]
        match said.split(" ", 3):
            case ["begin", part]:
                name, lines = part, []
            case ["end", part, code, *fault] if part == name and code.isdecimal():
                parts[part] = Part(text="\n".join(lines), exit_code=int(code), fault=" ".join(fault))
                name = ""
            case ["fatal", reason, *rest]:
                # A disk is emptied, a connection mended: that needs nobody's word.
                raise (TransientError if reason in _PASSES else StalledError)(reason, " ".join(rest))
            case ["complete"]:
                complete = True
            case _:
                words.append(tuple(said.split(" ", 2)))
    return Answer(parts=parts, words=tuple(words), complete=complete, nonce=nonce)


def require_complete(answer: Answer, cluster: str, stderr: bytes) -> Answer:
    """Return the answer if the script reached its end.

    Raises:
        AmbiguousError: it did not, so nobody knows how far it came.
    """
    if answer.complete:
        return answer
    said = stderr.decode("utf-8", "replace").strip()[-500:]
    raise AmbiguousError("AnswerCutOff", f"cluster {cluster}: the answer broke off{': ' + said if said else ''}")
