"""Trees written directory by directory: only what changes is read, hashed or written.

A commit that changes one file among 10,000 in sharded directories costs the three directories above it. Does not belong
here: commits, branches, or what the files mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pygit2
from pygit2.enums import FileMode

Changes = dict[str, "bytes | Changes | None"]
"""Name to new bytes, to the changes of a directory, or to None for a file that goes."""


def changes_of(files: Mapping[str, bytes], remove: Iterable[str] = ()) -> Changes:
    """Turn paths into nested changes. A path in both is written.

    Raises:
        ValueError: a path is absolute, has a part that is empty, ``.``, ``..`` or ``.git``, or is file and directory.
    """
    root: Changes = {}
    for path in remove:
        _put(root, path, None)
    for path, data in files.items():
        _put(root, path, data)
    return root


def write_tree(
    repo: pygit2.Repository, base: pygit2.Oid | None, changes: Changes, *, keep_modes: bool = False
) -> pygit2.Oid | None:
    """Lay changes over the tree ``base`` and return the new tree's id, None when nothing is left in it.

    Returns ``base`` itself when nothing changes. What ``changes`` does not name stays as it is. With ``keep_modes`` a
    file that is executable stays so.
    """
    tree = repo[base].peel(pygit2.Tree) if base is not None else None
    builder = repo.TreeBuilder() if tree is None else repo.TreeBuilder(tree)
    changed = False
    for name, change in changes.items():
        found = tree[name] if tree is not None and name in tree else None
        if isinstance(change, dict):
            below = found.id if isinstance(found, pygit2.Tree) else None
            made = write_tree(repo, below, change, keep_modes=keep_modes)
            if made is None and below is not None:
                builder.remove(name)
            elif made is not None and made != below:
                builder.insert(name, made, FileMode.TREE)
            else:
                continue
        elif change is None:
            if found is None or isinstance(found, pygit2.Tree):
                continue
            builder.remove(name)
        else:
            executable = keep_modes and found is not None and found.filemode == FileMode.BLOB_EXECUTABLE
            mode = FileMode.BLOB_EXECUTABLE if executable else FileMode.BLOB
            if found is not None and found.filemode == mode and found.id == pygit2.hash(change):
                continue
            builder.insert(name, repo.create_blob(change), mode)
        changed = True
    if not changed:
        return base
    return builder.write() if len(builder) else None


def _put(root: Changes, path: str, data: bytes | None) -> None:
    *parents, name = path.split("/")
    if any(part in ("", ".", "..") or part.lower() == ".git" or "\0" in part for part in (*parents, name)):
        raise ValueError(f"not a path for a status file: {path!r}")
    at = root
    for part in parents:
        below = at.get(part)
        if below is None:
            below = at[part] = {}
        if not isinstance(below, dict):
            raise ValueError(f"{path!r} needs a directory where there is a file")
        at = below
    if isinstance(at.get(name), dict):
        if data is None:
            return
        raise ValueError(f"{path!r} is a file and a directory")
    at[name] = data
