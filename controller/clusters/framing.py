"""The frame around a script: how script, payload and ending travel over one stdin, stdout and stderr.

Every transport starts the same three shells. The outer one only reports how the others ended, so that a
script killed by a signal and an exit code of 255 differ from a lost connection. The second one runs
the site's profile with an empty standard input, and replaces itself by a third that nothing of the profile but its
environment, umask and limits reaches: no option, trap, alias, function or redirection (see decisions/0060). That one
reads exactly the script's bytes (``head -c``: coreutils never reads further) and evaluates them; what is left on
standard input is the payload.

Nothing that arrives on standard input is executed unless it begins and ends with the nonce that came in argv.
So a start-up file that eats input, or a connection that breaks in the middle of the script, leads to no
execution, never to half of one. Marks with the nonce on both streams cut off what profiles and banners print.

The outer shell reads its input to the end before it goes, so that the end of the session overtakes nobody who sends.

Text in, text out: no process and no socket is touched here.
"""

from __future__ import annotations

import math
import re
import secrets
from dataclasses import dataclass

from controller.clusters.transport import Completed

NOT_FRAMED = 125
"""Exit code of the inner shell when standard input did not hold the whole frame."""

_PLAIN = re.compile(r"[\w-]+")
_OUTER = (
    "exec 68>&1 69>&2 2>/dev/null; {limit}$limit bash {login}-c "
    '"$@" 67<&0 </dev/null 2>&69; set -- $?; printf "%s:exit:%s;" {nonce} $1 >&69; '
    "type -P cat >/dev/null || PATH=$PATH:/usr/bin:/bin; cat >/dev/null; exit $1"
)
_LIMIT = 'limit=; type -P timeout >/dev/null && limit="timeout -k 5 {seconds}"; '
LINGERS_S = 10
"""Seconds for which a script may outlive the time that it has: it may be just about to end."""
_PROFILE = (
    # By the quotes it is no alias, and in this mode a special builtin goes before a function of the same name: bash(1).
    'POSIXLY_CORRECT=y; "export" -n POSIXLY_CORRECT; "exec" "$BASH" --noprofile --norc -p -c "$1" bash "$2" "$3" '
    "<&67 >&68 2>&69 67<&- 68>&- 69>&-"
)
_INNER = (
    "type -P head >/dev/null || PATH=$PATH:/usr/bin:/bin; "
    'set -- "$1" "$(head -c "$2")"; case "$2" in ": $1; "*"# $1") '
    'printf "%s:start;" "$1"; printf "%s:start;" "$1" >&2; eval "set --; $2";; *) exit 125;; esac'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What the marks in the output say. ``exit_code`` None: the script was not seen to end."""

    started: bool
    exit_code: int | None
    stdout: bytes
    stderr: bytes

    def completed(self) -> Completed | None:
        """Return the script's own result, or None when it was not seen to start and to end."""
        if not self.started or self.exit_code is None:
            return None
        return Completed(exit_code=self.exit_code, stdout=self.stdout, stderr=self.stderr)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One framed script: what to start, and what to send before the payload."""

    nonce: str
    argv: tuple[str, ...]
    head: bytes

    @property
    def command_line(self) -> str:
        """The argv for a login shell of any family.

        sh, csh and fish agree on single quotes as long as the text holds no single quote, backslash,
        exclamation mark or newline.
        """
        return "exec " + " ".join(word if _PLAIN.fullmatch(word) else f"'{word}'" for word in self.argv)

    def ended(self, stderr: bytes | bytearray, start: int) -> bool:
        """Return whether the mark of the end stands in ``stderr`` at ``start`` or after it."""
        return self._exit_mark().search(stderr, start) is not None

    @property
    def exit_mark_length(self) -> int:
        """Bytes of the longest possible mark of the end."""
        return len(self.nonce) + len(":exit:255;")

    def read(self, stdout: bytes, stderr: bytes) -> Ending:
        """Find the marks and cut them, and what came before the script's start, out of the output."""
        start_mark = f"{self.nonce}:start;".encode()
        exit_code = None
        if ending := self._exit_mark().search(stderr):
            exit_code = int(ending[1])
            stderr = stderr[: ending.start()] + stderr[ending.end() :]
        _, mark_out, own_out = stdout.partition(start_mark)
        _, mark_err, own_err = stderr.partition(start_mark)
        return Ending(
            started=bool(mark_out or mark_err),
            exit_code=exit_code,
            stdout=own_out if mark_out else stdout,
            stderr=own_err if mark_err else stderr,
        )

    def _exit_mark(self) -> re.Pattern[bytes]:
        return re.compile(rb"%b:exit:(\d{1,3});" % self.nonce.encode())


def frame(script: str, *, login: bool, limit_s: float | None = None) -> Frame:
    """Frame a script for a bash that is, or is not, a login shell.

    After ``limit_s``, and a little more, it is ended on the far side with all that it has started, if there is a
    ``timeout`` there: whoever waited for it has given up by then, and nothing of ours may stay on a login node.

    Raises:
        ValueError: the script holds a NUL, which no shell can hold.
    """
    if "\0" in script:
        raise ValueError("a script cannot hold a NUL character")
    nonce = secrets.token_hex(16)
    # A comment as the last line leaves the exit code of the script's last command as it is.
    text = f": {nonce}; {script}\n# {nonce}".encode("utf-8", "surrogateescape")
    limit = "limit=; " if limit_s is None else _LIMIT.format(seconds=math.ceil(limit_s) + LINGERS_S)
    outer = _OUTER.format(login="-l " if login else "--norc -p ", nonce=nonce, limit=limit)
    # --norc and -p: an outer shell under sshd would read ~/.bashrc or $BASH_ENV with the frame on its stdin.
    argv = ("bash", "--norc", "-p", "-c", outer, "bash", _PROFILE, "bash", _INNER, nonce, str(len(text)))
    return Frame(nonce=nonce, argv=argv, head=text)
