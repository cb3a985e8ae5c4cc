"""Git trees as they may be on a server: names are any bytes, which neither Git's commands nor pygit2 would write."""

from __future__ import annotations

from collections.abc import Mapping

import pygit2
from pygit2.enums import ObjectType

Raw = Mapping[bytes, "bytes | Raw"]
"""Name to content, or to what is below a directory."""


def write_raw(repo: pygit2.Repository, files: Raw, *, more: bytes = b"") -> pygit2.Oid:
    """Write a tree and all below it; ``more`` are rows (mode, name, id) that go behind its own as they are."""
    rows = []
    for name, content in files.items():
        if isinstance(content, bytes):
            rows.append((name, b"100644 " + name + b"\0" + bytes.fromhex(str(repo.create_blob(content)))))
        else:
            rows.append((name + b"/", b"40000 " + name + b"\0" + bytes.fromhex(str(write_raw(repo, content)))))
    return repo.write(ObjectType.TREE, b"".join(row for _, row in sorted(rows)) + more)


def commit_raw(repo: pygit2.Repository, branch: str, files: Raw) -> str:
    """Commit a tree on top of a branch, or as its first commit; return the commit's id."""
    ref = f"refs/heads/{branch}"
    parents = [repo.references[ref].target] if ref in repo.references else []
    author = pygit2.Signature("Ada", "ada@example.org", 1_700_000_000, 0)
    return str(repo.create_commit(ref, author, author, "Any bytes", write_raw(repo, files), parents))
