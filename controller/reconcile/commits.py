"""Commits of the specs' repository, and what lies outside of them, as files and as what they ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controller.model.errors import ControllerError
from controller.model.files import FileSet
from controller.model.resources import Desired
from controller.reconcile.pins import Pins
from controller.reconcile.upkeep import older_commits
from controller.repository.committree import CommitTree
from controller.repository.mirror import Mirror
from controller.specs.compile import load
from controller.specs.templates import BUILTIN, BuiltinTree
from controller.specs.tree import Tree
from controller.store.verdicts import Verdicts


class Commits:
    """Reads commits below one path of the repository."""

    def __init__(self, mirror: Mirror, path: str, *, pins: Pins, verdicts: Verdicts) -> None:
        self._mirror = mirror
        self._path = path
        self._pins = pins
        self._verdicts = verdicts

    def tree(self, commit: str) -> CommitTree:
        """Return a commit's files.

        Raises:
            ControllerError: it is not here, or has no such path.
        """
        return self._mirror.tree(commit, self._path)

    def tree_or_none(self, commit: str) -> CommitTree | None:
        """Return a commit's files, None where they cannot be had any more."""
        try:
            return self.tree(commit)
        except ControllerError:
            return None

    def tree_of(self, files: FileSet) -> Tree:
        """Return what the files of a set are read from: this repository, another one, a built-in template."""
        if files.repository.startswith(BUILTIN):
            return BuiltinTree(files.repository.removeprefix(BUILTIN))
        if files.repository:
            return self._pins.tree(files.repository, files.commit)
        return self.tree(files.commit)

    def load(self, tree: Tree) -> Desired:
        """Return what a commit's files, or files that might become one, ask for."""
        desired = load(tree, cache=self._verdicts, resolve=self._pins.resolve)
        self._verdicts.save()
        return desired

    def asked(self, commits: Iterable[str]) -> dict[str, Desired | None]:
        """Return what some earlier commits ask for, None of one that cannot be had any more."""
        found: dict[str, Desired | None] = {}
        for commit in commits:
            tree = self.tree_or_none(commit)
            found[commit] = None if tree is None else self.load(tree)
        return found

    def before(self, newest: str, count: int) -> Iterator[Desired]:
        """Yield what the commits before the newest ask for, ``count`` of them with that one."""
        return older_commits(self._mirror, self._path, self._verdicts, newest, count)
