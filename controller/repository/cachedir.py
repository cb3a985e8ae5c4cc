"""The directory of a mirror: made, checked, unlocked after a crash, set aside when it is of no use.

Belongs here: the life of a directory that can be lost at any time. Does not belong here: remotes and refs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pygit2
from filelock import FileLock, Timeout

from controller.model.errors import TransientError

LOCK_WAIT_S = 120.0
MAX_PACKS = 50
MAX_LOOSE = 5000
GC_S = 600.0
URL_KEY = "remote.origin.url"
_LEFTOVERS = (
    "*.lock",
    "refs/**/*.lock",
    "objects/pack/*.lock",
    "objects/pack/pack_git2_*",
    "objects/tmp_*",
)
"""What a killed fetch leaves behind: libgit2 would refuse to write past a lock, and never removes a partial pack."""


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold the directory against other writers, in this process and in others. A killed holder holds nothing.

    Raises:
        TransientError: another writer did not let go in time (``MirrorBusy``).
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory.with_name(directory.name + ".lock"), timeout=LOCK_WAIT_S)
    try:
        lock.acquire()
    except Timeout as error:
        raise TransientError(
            "MirrorBusy",
            f"{directory}: another controller has been writing the mirror for {LOCK_WAIT_S:.0f} s",
        ) from error
    try:
        yield
    finally:
        lock.release()


def prepare(directory: Path, url: str) -> bool:
    """Make sure that there is a usable mirror of ``url``; return whether it was made anew. Call while it is held."""
    if directory.exists():
        if _is_mirror_of(directory, url):
            for pattern in _LEFTOVERS:
                for leftover in directory.glob(pattern):
                    leftover.unlink(missing_ok=True)
            return False
        set_aside(directory)
    fresh = directory.with_name(directory.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    repo = pygit2.init_repository(str(fresh), bare=True)
    repo.config[URL_KEY] = url
    fresh.rename(directory)
    return True


def compact(directory: Path) -> bool:
    """Let git pack what many passes have left loose; return whether it did. Call while it is held.

    It does no harm to leave it undone. Handles opened before it hold the packs that it took away: open new ones.
    """
    objects = directory / "objects"
    packs = _count(objects / "pack") // 2
    loose = _count(objects / "17") * 256  # As git estimates it (git-gc(1), gc.auto): names are hashes.
    if packs <= MAX_PACKS and loose <= MAX_LOOSE:
        return False
    _gc(directory, "--prune=now", GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL=os.devnull)
    return True


def tidy(directory: Path) -> None:
    """Let git pack a repository that is not ours as a server does after a push: when many objects are loose."""
    if _count(directory / "objects" / "17") * 256 > MAX_LOOSE:
        _gc(directory, "--auto")


def _gc(directory: Path, *options: str, **environment: str) -> None:
    argv = ["git", f"--git-dir={directory}", "-c", "gc.autoDetach=false", "gc", "--quiet", *options]
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            argv,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GC_S,
            check=False,
        )


def set_aside(directory: Path) -> Path:
    """Move a directory out of the way, replacing what was moved before, and return where it is now."""
    aside = directory.with_name(directory.name + ".aside")
    if directory.exists():
        if aside.is_dir() and not aside.is_symlink():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.unlink(missing_ok=True)
        directory.rename(aside)
    return aside


def _count(directory: Path) -> int:
    try:
        return sum(1 for _ in directory.iterdir())
    except FileNotFoundError:
        return 0


def _is_mirror_of(directory: Path, url: str) -> bool:
    try:
        # A config left locked by a crash still reads; objects/ gone does not open.
        config = pygit2.Repository(str(directory), pygit2.enums.RepositoryOpenFlag.NO_SEARCH).config
        return URL_KEY in config and config[URL_KEY] == url
    except (pygit2.GitError, KeyError, ValueError, OSError):
        return False
