"""Staged files are what they claim: what is missing or differs is seen before a submission, and by the run itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.model.conditions import TaskState
from tests.contract.schedulers.places import Place
from tests.unit.planning.values import task
from tests.unit.reconcile.test_archives import NAMES
from tests.unit.specs.trees import Link, Program

FILES: dict[str, bytes | str] = {
    "run": Program(b"#!/bin/sh\ncat 'odd\nname.txt' deep/er/data link\n"),
    "odd\nname.txt": b"odd ",
    "na\\me \udcff": b"bytes",
    "-dash": b"dash",
    "deep/er/data": b"data ",
    "empty": b"",
    "link": Link(b"deep/er/data"),
    "dangling": Link(b"no\nwhere"),
}
DAMAGES = {
    "one file": "rm deep/er/data",
    "an empty file": "rm empty",
    "a link": "rm dangling",
    "an odd name": "rm odd*",
    "a name that is no text": "rm na*",
    "a directory": "rm -r deep",
    "every file, but for directories": "find . -type f -delete",
    "another size": "echo more >>-dash",
    "other bytes": "printf DASH >-dash",
    "another target": "ln -snf no_where dangling",
    "no program": "chmod a-x run",
    "a file for a link": "rm link && echo deep/er/data >link",
    "a directory for a file": "rm empty && mkdir empty",
    "its manifest": 'rm "$PWD.manifest"',
    "half its manifest": 'truncate -s 100 "$PWD.manifest"',
    "everything": 'rm -r "$PWD"',
}
ONLY_BYTES = {"other bytes", "another target"}
"""What only hashes tell, which are no part of a look."""


def tree_of(job: Mapping[str, Any]) -> str:
    """Return the tree that a job names."""
    return str(job["files"].tree)


def staged(place: Place, job: Mapping[str, Any]) -> bool:
    """Whether a look finds a job's files whole."""
    tree = tree_of(job)
    return tree in (place.observe(trees=(tree,)).files or ())


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_seen_and_made_good(local: Place, damage: str) -> None:
    """A look no longer counts the tree as staged; the run does not begin; staged again, the next attempt has all."""
    job = local.stage(FILES)
    place = f"{local.root}/files/{tree_of(job)}"
    assert staged(local, job)
    local.shell(f"cd {place} && {DAMAGES[damage]}")
    assert staged(local, job) == (damage in ONLY_BYTES)
    [first] = local.submit(task("one", command="echo ran; ./run"), **job)
    done = local.ends(first)
    assert (done.state, done.reason, done.exit_code) == (TaskState.FAILED, "FilesIncomplete", 74), done
    assert "the command was not run" in done.message
    assert "not whole" in done.stderr_tail
    assert not staged(local, job), "what the run has found is known to the next look"
    assert local.stage(FILES) == job
    assert staged(local, job)
    [second] = local.submit(task("one", command="echo ran; ./run"), attempt=2, **job)
    assert local.ends(second).state is TaskState.SUCCEEDED
    assert local.stdout(second) == "ran\nodd data data "
    assert local.shell(f"cd {local.root}/files; ls -A | sort").split() == [
        Path(place).name,
        f"{Path(place).name}.manifest",
    ]


def test_a_run_gets_what_the_manifest_names(place: Place) -> None:
    """Every kind of file and name arrives, and nothing that somebody else has put beside it; all have one new time."""
    job = place.stage(FILES)
    place.shell(f"cd {place.root}/files/{tree_of(job)} && echo x >stray && find . -exec touch -h -d 2001-01-01 {{}} +")
    command = "./run; find . ! -type d | wc -l; find . ! -type d -mtime -1 -printf '%t\\n' | sort -u | wc -l; ls stray"
    [mine] = place.submit(task("one", command=f"{command} 2>&1 || true"), **job)
    assert place.ends(mine).state is TaskState.SUCCEEDED
    # The name with a line break counts twice.
    assert place.stdout(mine).split()[:5] == ["odd", "data", "data", "9", "1"]
    assert "No such file" in place.stdout(mine)


def test_files_of_the_version_before_are_kept(local: Place) -> None:
    """A tree without a manifest is not counted; staged again it stays where it is, once it is seen to be whole."""
    job = local.stage(FILES)
    place = Path(local.root, "files", tree_of(job))
    inode = place.stat().st_ino
    place.with_name(f"{place.name}.manifest").unlink()
    assert not staged(local, job)
    local.stage(FILES)
    assert staged(local, job)
    assert place.stat().st_ino == inode


@pytest.mark.parametrize("age", [0, 40])
def test_a_submission_renews_old_time_stamps(local: Place, age: int) -> None:
    """Of trees that have not been used for a day, all at one time; those of yesterday are left alone."""
    job = local.stage(FILES)
    place = f"{local.root}/files/{tree_of(job)}"
    assert local.shell(f"find {place} {place}.manifest -mtime +0") == "", "as old as their commit"
    times = f"find {place} -printf '%T@ %p\\0' | md5sum"
    before = local.shell(f"find {place}* -exec touch -h -d '{age} days ago' {{}} + ; {times}")
    [mine] = local.submit(task("one", command="true"), **job)
    assert local.ends(mine).state is TaskState.SUCCEEDED
    assert local.shell(f"find {place} {place}.manifest -mtime +1 -o -atime +1") == ""
    assert (local.shell(times) == before) == (age == 0)


@pytest.mark.parametrize("known", ["known", "half-way", "unknown", "changed"])
def test_a_submission_renews_an_image_without_a_new_hash(local: Place, known: str) -> None:
    """The record follows the file; one that looks changed is left to the run's own check."""
    sif, record = Path(local.root, "images", "ab.sif"), Path(local.root, "images", "ab.sha256")
    sif.parent.mkdir(parents=True)
    sif.write_text("image")
    os.utime(sif, (1e9, 1e9))
    look = f"5 1000000000 {sif.stat().st_ino}"
    texts = {"known": f"sum\n{look}\n", "half-way": f"sum\n{look}\n5 7 7\n", "changed": "sum\n5 1 1\n"}
    if known in texts:
        record.write_text(texts[known])
        os.utime(record, (1e9, 1e9))
    local.shell(
        f"root={local.root} nonce=x; put() {{ cat >$1.new && mv $1.new $1; }}; "
        f"{Path('controller/clusters/remote/fresh.sh').read_text()}\nfresh_image ab"
    )
    touched = int(sif.stat().st_mtime) != 10**9
    assert touched == (known != "changed")
    if known in ("known", "half-way"):
        assert record.read_text() == f"sum\n5 {int(sif.stat().st_mtime)} {sif.stat().st_ino}\n"
    elif known == "changed":
        assert record.read_text() == texts[known]


PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: b"/".join(names).decode("utf-8", "surrogateescape"))
CONTENTS = st.one_of(st.binary(max_size=9), st.binary(max_size=9).map(Program), NAMES.map(Link))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(PATHS, CONTENTS, min_size=1, max_size=6), data=st.data())
def test_any_file_of_any_tree(local: Place, files: dict[str, bytes | str], data: st.DataObject) -> None:
    """Whatever its name and kind: with it the tree is whole, without it it is not, staged again it is."""
    names = sorted(files)
    for name in names:
        # No file is a directory as well.
        if any(other.startswith(f"{name}/") for other in names) or any(
            len(os.fsencode(n)) > 200 for n in name.split("/")
        ):
            return
    job = local.stage(files)
    assert staged(local, job)
    tree = Path(local.root, "files", tree_of(job))
    lost = data.draw(st.sampled_from(names))
    (tree / lost).unlink()
    assert not staged(local, job)
    local.stage(files)
    assert staged(local, job)
    shutil.rmtree(tree)
