"""Tars of a commit's files: the same bytes for the same content, names and all."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from controller.reconcile.archives import write_tar
from tests.unit.specs.trees import Link, MemoryTree

NAMES = st.binary(min_size=1, max_size=255).filter(lambda name: not {0, 47} & set(name) and name not in (b".", b".."))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)


def tar_of(files: Mapping[str, bytes | str]) -> bytes:
    tree = MemoryTree(files)
    target = io.BytesIO()
    write_tar(target, [("tree", tree, tree.entries())], last="last")
    return target.getvalue()


@given(st.dictionaries(PATHS, st.binary(max_size=20), max_size=4))
def test_any_name_is_written_byte_for_byte(files: dict[bytes, bytes]) -> None:
    """Latin-1, newlines, 255 bytes: what is read back has the bytes that the commit has."""
    named = {path.decode("utf-8", "surrogateescape"): data for path, data in files.items()}
    with tarfile.open(fileobj=io.BytesIO(tar_of(named)), encoding="latin-1") as tar:
        found = {member.name.encode("latin-1"): member for member in tar if member.isfile()}
        assert {name: tar.extractfile(member).read() for name, member in found.items()} == {  # type: ignore[union-attr]
            **{b"tree/" + path: data for path, data in files.items()},
            b"last": b"",
        }


def test_one_time_for_all_and_the_same_bytes() -> None:
    """After 1980, which ZIP asks for, and no clock's: the same files are the same bytes."""
    files: dict[str, bytes | str] = {"a/b": b"x", "link": Link(b"a/b")}
    with tarfile.open(fileobj=io.BytesIO(tar_of(files))) as tar:
        assert {member.mtime for member in tar} == {946684800}
        assert [member.name for member in tar] == ["tree", "tree/a", "tree/a/b", "tree/link", "last"]
    assert tar_of(files) == tar_of(dict(files))
