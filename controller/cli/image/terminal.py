"""The terminal of a session: questions, an editor, a shell in a container. Nothing here ends the session."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from controller.cli.output import say
from controller.containers.trials import ContainerRun, shell_argv

EDITORS = ("sensible-editor", "nano", "vim", "vi", "emacs", "ed")
_DOCKER_FAILED = 125


def ask(question: str) -> str | None:
    """Return what was typed; "" for Ctrl+C and for what is no text; None when the terminal has nothing more to say."""
    try:
        return input(question).strip()
    except EOFError:
        return None
    except (KeyboardInterrupt, UnicodeDecodeError):
        say()
        return ""


def edit(path: Path) -> None:
    """Open a file in the person's editor and wait for it; say what went wrong, if anything."""
    given = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    try:
        argv = shlex.split(given) if given else []
    except ValueError as error:
        say(f"EDITOR cannot be read ({error}): {given}")
        return
    argv = argv or [name for name in EDITORS if shutil.which(name)][:1]
    if not argv:
        say(f"there is no editor ({', '.join(EDITORS)}); set EDITOR, or edit {path} in another terminal")
        return
    code = _run([*argv, str(path)])
    if code:
        say(f"{argv[0]} ended with exit code {code}; {path} is as it left it")


def shell(run: ContainerRun) -> None:
    """Open a shell in a container and wait for its end."""
    if shutil.which("docker") is None:
        say("a shell needs the docker command, which is not there; install docker-cli")
        return
    say("exit, or Ctrl+D, comes back here.")
    if _run(shell_argv(run)) == _DOCKER_FAILED:
        say("docker could not start the container; its message is above")


def _run(argv: Sequence[str]) -> int:
    try:
        return subprocess.run(argv, check=False).returncode
    except KeyboardInterrupt:
        say()
        return 0
    except OSError as error:
        say(f"{argv[0]}: {error.strerror}")
        return 0
