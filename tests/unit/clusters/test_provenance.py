"""What a cluster still knows of a run, by the very script that asks it, on this machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from controller.clusters.cluster import ClusterClient
from controller.clusters.local import LocalTransport
from controller.clusters.provenance import Provenance, read_provenance
from controller.clusters.scripts import compose, read_answer
from controller.containers import sif
from controller.model.errors import StalledError
from controller.model.files import Source
from controller.model.resources import Cluster
from controller.schedulers import scheduler_named

SOURCE = Source(path="c.yaml", line=1, commit="c")
IMAGE, BATCH, TREE, OTHER = "1" * 64, "2" * 64, "3" * 64, "4" * 64
RUN = "train/lr=0.1-abc/1"


class Place:
    """A work directory with one run in it, whose control files are in the directory ``control``."""

    def __init__(self, root: Path, control: str) -> None:
        self.root = root
        self.control = control
        self.lock: dict[str, Any] = {"run": RUN, "batch": BATCH, "image": IMAGE, "files": TREE, "command": "x"}
        self.put(f"inst/submissions/{BATCH}/job.sh", "script")
        self.put(f"inst/submissions/{BATCH}/job_id", "17\n")
        self.put(f"images/{IMAGE}.sif", "sif")
        self.put(f"images/{IMAGE}.sha256", "5" * 64 + "\n")
        self.put(f"files/{TREE}/a", "a")
        self.put(f"files/{TREE}.manifest", f"manifest 1 1 1\0f 1 {'6' * 64} a\0end {'0' * 64}\0")
        self.put(f"inst/runs/{RUN}/out/a b.csv", "1,2\n")
        self.put(f"{self.control}/exit.json", '{"exit_code":3,"host":"n1"}\n')
        self.put(f"{self.control}/claim", "17_0@2.1\n")

    def put(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def seen(self) -> Provenance:
        self.put(f"{self.control}/run.lock.json", json.dumps(self.lock, sort_keys=True) + "\n")
        cluster = Cluster(name="here", source=SOURCE, scheduler="local", workdir=str(self.root))
        client = ClusterClient(cluster, LocalTransport(), scheduler_named("local"), instance="inst")
        return read_provenance(client.trace(RUN))


NOW, BEFORE = f"inst/control/{RUN}", f"inst/runs/{RUN}/.controller"


@pytest.fixture(params=[NOW, BEFORE], ids=["now", "before"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """In the layout of this version, and in that of the one before, whose runs are still there."""
    return Place(tmp_path, request.param)


def test_all_that_there_is(place: Place) -> None:
    seen = place.seen()
    assert seen.lock == place.lock
    assert (seen.owner, seen.job_id) == ("17_0@2.1", "17")
    assert seen.exit == {"exit_code": 3, "host": "n1"}
    assert seen.script_sha256 == hashlib.sha256(b"script").hexdigest()
    assert (seen.sif_bytes, seen.sif_sha256) == (3, "5" * 64)
    assert seen.tree_present
    assert seen.outputs == {"out/a b.csv": 4}
    assert seen.faults == {}


def test_what_only_looks_like_a_lock_is_not_taken_for_one(place: Place) -> None:
    """A command and variables may hold any text, the lock's own keys too."""
    place.lock |= {"command": f'echo \'"image": "{OTHER}"\'', "env": {"image": OTHER, "batch": OTHER, "files": OTHER}}
    place.put(f"images/{OTHER}.sif", "another")
    seen = place.seen()
    assert (seen.sif_bytes, seen.script_sha256) == (3, hashlib.sha256(b"script").hexdigest())


def test_what_is_missing_says_why(place: Place) -> None:
    (place.root / f"images/{IMAGE}.sha256").unlink()
    (place.root / f"inst/submissions/{BATCH}/job.sh").unlink()
    (place.root / place.control / "exit.json").unlink()
    seen = place.seen()
    assert seen.sif_bytes == 3
    assert seen.sif_sha256 is None
    assert "no hash was recorded" in seen.faults["sif"]
    assert "no longer on the cluster" in seen.faults["script"]
    assert "exit.json" in seen.faults["exit"]
    (place.root / f"images/{IMAGE}.sif").unlink()
    assert place.seen().faults["sif"] == "the SIF is no longer on the cluster"


def test_staged_files_that_are_not_whole_are_not_there(place: Place) -> None:
    """A directory without its files is no tree."""
    (place.root / f"files/{TREE}/a").unlink()
    assert not place.seen().tree_present


def test_files_of_a_user_are_never_taken_for_control_files(tmp_path: Path) -> None:
    """A repository may hold ``.controller/``: it says nothing of the run, and is listed as what the run has left."""
    place = Place(tmp_path, NOW)
    for name in ("exit.json", "claim", "run.lock.json"):
        place.put(f"{BEFORE}/{name}", '{"exit_code":0}')
    seen = place.seen()
    assert (seen.owner, seen.exit) == ("17_0@2.1", {"exit_code": 3, "host": "n1"})
    assert seen.lock == place.lock
    assert seen.outputs == {
        "out/a b.csv": 4,
        **{f".controller/{n}": 15 for n in ("exit.json", "claim", "run.lock.json")},
    }


def test_a_cluster_that_says_nothing() -> None:
    seen = read_provenance({})
    assert seen.lock is None
    assert seen.faults["lock"] == seen.faults["sif"] == seen.faults["script"] == "the cluster did not say"


def converted(root: Path, archive: bytes, build: str, **changes: str) -> tuple[bool, str]:
    """Run ``convert.sh`` with another program in Apptainer's place; return whether it ended well and what it said."""
    images = root / "images"
    images.mkdir(exist_ok=True)
    (images / ".upload.a1").write_bytes(archive)
    variables = {"identity": IMAGE, "upload": "a1", "squash": "x", "build_command": build, "check_command": "true"}
    script = compose(
        "convert",
        scheduler_named("local"),
        cluster=Cluster(name="here", source=SOURCE, workdir=str(root)),
        instance="inst",
        variables=variables | changes,
        parts=("images",),
    )
    done = LocalTransport().run(script.text, timeout_s=60)
    try:
        return read_answer(done.stdout, script.nonce).complete, ""
    except StalledError as error:
        return False, str(error)


@pytest.mark.parametrize(
    ("build", "check"),
    [
        ('[ "$way" = default ] || { echo "mksquashfs: zstd is not known"; false; } && cp "$archive" "$sif"', "true"),
        ('cp "$archive" "$sif"', '[ "$way" = default ]'),
    ],
)
def test_a_cluster_that_cannot_have_zstd_gets_its_own_compression(tmp_path: Path, build: str, check: str) -> None:
    """Whether it cannot be made there or does not run there; then it is done again in the program's own way."""
    marked = f'echo "$way" >>{tmp_path}/ways; {build}'
    assert converted(tmp_path, b"archive", marked, squash=sif.WAYS, check_command=check)[0]
    assert (tmp_path / "ways").read_text().split() == ["zstd", "default"]
    assert (tmp_path / f"images/{IMAGE}.sif").read_bytes() == b"archive"


def test_what_another_compression_cannot_mend_is_tried_once(tmp_path: Path) -> None:
    marked = f'echo "$way" >>{tmp_path}/ways; echo "FATAL: no such layer"; false'
    assert not converted(tmp_path, b"archive", marked, squash=sif.WAYS)[0]
    assert (tmp_path / "ways").read_text().split() == ["zstd"]


def test_a_sif_has_its_hash_beside_it(tmp_path: Path) -> None:
    """Every SIF that is there was hashed when it was made; one that was not made leaves nothing."""
    assert converted(tmp_path, b"archive", "false") == (False, "the conversion to SIF failed: ")
    assert not list((tmp_path / "images").glob("*.s*"))
    assert converted(tmp_path, b"archive", 'cp "$archive" "$sif"')[0]
    assert (tmp_path / f"images/{IMAGE}.sif").read_bytes() == b"archive"
    recorded = (tmp_path / f"images/{IMAGE}.sha256").read_text().splitlines()
    looks = (tmp_path / f"images/{IMAGE}.sif").stat()
    assert recorded == [
        hashlib.sha256(b"archive").hexdigest(),
        f"{looks.st_size} {int(looks.st_mtime)} {looks.st_ino}",
    ]
