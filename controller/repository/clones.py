"""Other repositories, cloned into a directory for a program to work in.

By Git's own program, as it knows every server and writes a real work tree. Nobody's log-in goes along: no
configuration, no credential helper, no token; over SSH the account's own keys count, and host keys are checked. Does
not belong here: the repository of the specs, which has a mirror.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from controller.model.errors import TransientError

CLONE_S = 900.0
_SAID = 500
_SSH = "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=20"
_PROTOCOLS = "http:https:ssh"
"""Never ``ext``, which runs a program, nor ``file``: submodules name addresses too."""


def clone(url: str, ref: str, directory: Path) -> str:
    """Clone a branch, tag or commit ("" is the remote's HEAD) with its submodules; return the commit's id.

    ``directory`` must be there and empty.

    Raises:
        TransientError: CloneFailed, with what git said.
    """
    git = _Git(directory, url)
    git("init", "--quiet", ".")
    git("remote", "add", "--", "origin", url)
    try:
        git("fetch", "--quiet", "--depth", "1", "--no-tags", "origin", ref or "HEAD")
        wanted = "FETCH_HEAD"
    except TransientError:
        if not ref:
            raise
        # A commit by a part of its id, or one that the server does not give out alone.
        git("fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*")
        wanted = ref
    git("checkout", "--quiet", "--detach", f"{wanted}^{{commit}}")
    if (directory / ".gitmodules").is_file():
        git("submodule", "--quiet", "update", "--init", "--recursive", "--depth", "1")
    return git("rev-parse", "HEAD").strip()


class _Git:
    """Git commands in one directory."""

    def __init__(self, directory: Path, url: str) -> None:
        self._directory = directory
        self._url = url
        self._environment = _environment(os.environ)

    def __call__(self, *argv: str) -> str:
        try:
            done = subprocess.run(
                ["git", "-c", "credential.helper=", "-c", "core.askPass=true", *argv],
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=CLONE_S,
                check=False,
            )
        except FileNotFoundError as error:
            raise TransientError("CloneFailed", "there is no git on the controller's machine; install it") from error
        except subprocess.TimeoutExpired as error:
            raise self._failed(f"no end after {CLONE_S:.0f} s") from error
        if done.returncode:
            raise self._failed(" ".join(done.stderr.split())[-_SAID:] or f"exit code {done.returncode}")
        return done.stdout

    def _failed(self, why: str) -> TransientError:
        return TransientError(
            "CloneFailed",
            f"{self._url} could not be cloned: {why}. Check address and ref; over https it must be readable by all",
        )


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in ours.items() if not name.startswith(("GIT_", "CONTROLLER_"))}
    return kept | {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": _PROTOCOLS,
        "GIT_SSH_COMMAND": _SSH,
        "GIT_HTTP_LOW_SPEED_LIMIT": "1000",
        "GIT_HTTP_LOW_SPEED_TIME": "60",
        "LC_ALL": "C",
    }
