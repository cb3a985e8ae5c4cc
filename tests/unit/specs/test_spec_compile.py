"""A commit to its desired state."""

from __future__ import annotations

import pytest

from controller.model.resources import Connection, Gpus, Limits, OnChange, OnRemove, Resources
from controller.specs.compile import load
from controller.specs.schemas import schema_version
from tests.unit.specs.trees import GOOD, Link, MemoryTree, desired, headlines

FULL = """\
kind: Cluster
name: greene
description: the big one
labels: {site: nyu}
connection:
  host: greene.example.org
  user: ab123@example.org
  port: 2222
  proxy_jump: ab123@example.org@gw
  identity_file: ~/.ssh/id_ed25519
  known_hosts: /etc/ssh/known_hosts
  transport: openssh
scheduler: slurm
workdir: $SCRATCH/controller
containers: singularity
convert_on: login
defaults: {account: lab, partition: gpu, time: 1h, gpus: 1, extra: [--mail-type=END]}
limits: {max_queued: 10, submit_per_minute: 20}
setup: module load cuda/12.4
---
kind: Image
name: torch
build: {context: images/torch/, dockerfile: docker/Dockerfile, args: {PY: "3.11"}, target: run}
---
kind: Job
name: train
cluster: greene
image: torch
files: [src/, conf.json]
command: python src/train.py --name ${{ job.name }} --image ${{image.name}}
env: {OMP_NUM_THREADS: "8", WHERE: "${{ cluster.name }}"}
resources: {cpus: 8, memory: 32G, gpus: {count: 2, type: l40s}, nodes: 1, time: "04:00:00", qos: high}
on_change: finish
on_remove: keep
suspend: true
priority: 10
rerun: 2
"""
FILES = {
    "specs/all.yaml": FULL,
    "images/torch/docker/Dockerfile": "FROM x\n",
    "images/torch/req.txt": "torch\n",
    "src/train.py": "print(1)\n",
    "src/lib/a.py": "",
    "conf.json": "{}",
    "other.txt": "",
}


def test_every_field_arrives() -> None:
    result = desired(FILES)
    assert result.problems == ()
    assert result.files_read == 1
    cluster, image, job = result.clusters["greene"], result.images["torch"], result.jobs["train"]
    assert cluster.connection == Connection(
        host="greene.example.org",
        user="ab123@example.org",
        port=2222,
        proxy_jump="ab123@example.org@gw",
        identity_file="~/.ssh/id_ed25519",
        known_hosts="/etc/ssh/known_hosts",
        transport="openssh",
    )
    assert (cluster.scheduler, cluster.workdir, cluster.containers) == ("slurm", "$SCRATCH/controller", "singularity")
    assert cluster.limits == Limits(max_queued=10, submit_per_minute=20)
    assert cluster.setup == "module load cuda/12.4"
    assert cluster.defaults == Resources(
        account="lab", partition="gpu", walltime_s=3600, gpus=Gpus(count=1), extra=("--mail-type=END",)
    )
    assert [entry.path for entry in image.origin.context.entries] == ["docker/Dockerfile", "req.txt"]
    assert (image.origin.dockerfile, image.origin.args, image.origin.target) == (
        "docker/Dockerfile",
        {"PY": "3.11"},
        "run",
    )
    assert job.files is not None
    assert [entry.path for entry in job.files.entries] == ["conf.json", "src/lib/a.py", "src/train.py"]
    assert job.resources == Resources(
        cpus=8,
        memory_mib=32768,
        gpus=Gpus(count=2, type="l40s"),
        nodes=1,
        walltime_s=14400,
        partition="gpu",
        account="lab",
        qos="high",
        extra=("--mail-type=END",),
    )
    assert (job.on_change, job.on_remove, job.suspend, job.priority) == (OnChange.FINISH, OnRemove.KEEP, True, 10)
    (task,) = job.tasks
    assert task.id == "train"
    assert task.command == "python src/train.py --name train --image torch"
    assert task.env == {"OMP_NUM_THREADS": "8", "WHERE": "greene"}
    assert job.source.path == "specs/all.yaml"
    assert job.source.line == 25


def test_defaults_are_the_models() -> None:
    result = desired({"a.yaml": GOOD})
    assert result.problems == ()
    cluster, job = result.clusters["good"], result.jobs["good"]
    assert (cluster.connection, cluster.workdir, cluster.limits) == (None, "auto", Limits())
    assert (job.on_change, job.on_remove, job.suspend, job.priority) == (OnChange.REPLACE, OnRemove.CANCEL, False, 0)
    assert job.resources == Resources()
    assert job.files is None


def test_no_gpus_takes_back_the_clusters_default() -> None:
    spec = FULL.replace("gpus: {count: 2, type: l40s}", "gpus: 0")
    assert desired({**FILES, "specs/all.yaml": spec}).jobs["train"].resources.gpus is None


def digest(**changes: str) -> str:
    files = {**FILES, **{k: v for k, v in changes.items() if "/" in k or "." in k}}
    result = desired(files)
    assert result.problems == (), headlines(result)
    return result.jobs["train"].tasks[0].digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("python src", "python -u src"),
        ('"8"', '"9"'),
        ("files: [src/, conf.json]", "files: [src/]"),
        ("rerun: 2", "rerun: 3"),
        ("rerun: 2", 'rerun: "2"'),
        ("target: run", "target: test"),
        ('"3.11"', '"3.12"'),
        ("name: train", "name: other"),
    ],
)
def test_what_the_digest_depends_on(old: str, new: str) -> None:
    changed = desired({**FILES, "specs/all.yaml": FULL.replace(old, new)})
    assert changed.problems == ()
    (job,) = changed.jobs.values()
    assert job.tasks[0].digest != digest()


@pytest.mark.parametrize("path", ["src/train.py", "images/torch/req.txt", "images/torch/new"])
def test_files_are_part_of_the_digest(path: str) -> None:
    assert digest(**{path: "changed"}) != digest()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cpus: 8", "cpus: 16"),
        ("priority: 10", "priority: 11 # higher"),
        ("setup: module load cuda/12.4", "setup: module load cuda/12.6"),
        ("on_change: finish", "on_change: replace"),
        ("suspend: true", "suspend: false"),
        ("site: nyu", "site: nyu, more: x"),
        ("the big one", "the biggest"),
        ("src/, conf.json", "./conf.json, src"),
    ],
)
def test_what_the_digest_does_not_depend_on(old: str, new: str) -> None:
    assert digest(**{"specs/all.yaml": FULL.replace(old, new)}) == digest()


def test_other_files_are_not_part_of_the_digest() -> None:
    assert digest(**{"other.txt": "changed", "more.txt": "x"}) == digest()


def test_a_mode_is_part_of_an_images_identity() -> None:
    context = {"img/Dockerfile": "FROM x", "img/run": b"x"}
    spec = {"a.yaml": "kind: Image\nname: i\nbuild: {context: img}\n"}
    plain = desired({**spec, **context}).images["i"].identity
    assert desired({**spec, **context, "img/run": Link(b"Dockerfile")}).images["i"].identity != plain
    moved = {f"elsewhere/{path}": content for path, content in context.items()}
    again = desired({"a.yaml": spec["a.yaml"].replace("img", "elsewhere/img"), **moved})
    assert again.images["i"].identity == plain


def test_a_link_inside_the_tree_is_fine() -> None:
    files = {"a.yaml": GOOD + "files: [d]\n", "d/x": "1", "d/l": Link(b"../e/../d/x"), "d/dead": Link(b"nowhere")}
    result = desired(files)
    assert result.problems == ()
    loop = desired({**files, "d/l": Link(b"m"), "d/m": Link(b"l")})
    assert loop.problems == ()


def test_the_same_name_twice_stops_both_and_what_needs_them() -> None:
    cluster = "kind: Cluster\nname: c\nscheduler: local\n"
    result = desired(
        {"a.yaml": cluster, "b.yaml": cluster, "j.yaml": "kind: Job\nname: j\ncluster: c\ncommand: x\n", "g.yaml": GOOD}
    )
    assert headlines(result) == [
        "a.yaml:1:1: Cluster/c is defined twice; the other is b.yaml:1",
        "b.yaml:1:1: Cluster/c is defined twice; the other is a.yaml:1",
        "j.yaml:3:10: needs Cluster/c, which is not valid",
    ]
    assert result.broken == {"Cluster/c", "Job/j"}
    assert set(result.jobs) == {"good"}


def test_a_broken_copy_still_counts_as_one_of_two() -> None:
    result = desired({"a.yaml": GOOD, "b.yaml": "kind: Job\nname: good\ncomand: x\n"})
    assert "Job/good" in result.broken
    assert "good" not in result.jobs


def test_the_same_name_in_two_kinds_is_fine() -> None:
    assert desired({"a.yaml": GOOD}).problems == ()


@pytest.mark.parametrize(
    "content",
    [
        "name: x\nchannels: [a]\n",
        "services: {web: {image: nginx}}\nx: &a 1\ny: *a\nz: !Ref q\n",
        "apiVersion: v1\nkind: Job\nmetadata: {name: x}\n",
        "apiVersion: v1\nkind: Job\nmetadata: {{ .Values.x }}\n",
        "- a\n- b\n",
        "just text\n",
        "wind: 3\nfind: this\n",
        "",
        "---\n---\n# nothing\n",
    ],
)
def test_what_is_not_a_spec_is_passed_over(content: str) -> None:
    result = desired({"a.yaml": GOOD, "other.yml": content})
    assert result.problems == ()
    assert result.files_read == 1
    assert result.broken_paths == frozenset()


def test_foreign_documents_beside_a_spec_are_passed_over() -> None:
    result = desired({"a.yaml": GOOD + "---\napiVersion: v1\nkind: Pod\n"})
    assert result.problems == ()


def test_hidden_and_ignored_files_are_not_read() -> None:
    bad = "kind: Job\n"
    files = {
        "a.yaml": GOOD,
        ".github/b.yaml": bad,
        ".hidden.yaml": bad,
        "charts/x/c.yaml": bad,
        "d.yaml": bad,
        "keep/d.yaml": GOOD.replace("good", "kept"),
        "e.json": bad,
        "link.yaml": Link(b"a.yaml"),
        ".controllerignore": "charts/\n*.yaml\n!/a.yaml\n!keep/*.yaml\n",
    }
    result = desired(files)
    assert result.problems == ()
    assert set(result.jobs) == {"good", "kept"}


def test_a_bad_ignore_pattern_is_told_and_passed_over() -> None:
    result = desired({"a.yaml": GOOD, ".controllerignore": "x\n!\n"})
    assert headlines(result) == [".controllerignore:2:1: not a pattern in gitignore syntax; the line is passed over"]
    assert "good" in result.jobs


def test_names_in_what_is_not_yaml_are_broken_not_gone() -> None:
    result = desired({"a.yaml": GOOD + "---\nkind: Job\nname: lost\ncommand: [\n---\nkind: Image\nname: 'i'\n\tx: 1\n"})
    assert {"Job/lost", "Image/i"} <= result.broken
    assert "good" in result.jobs
    assert result.broken_paths == {"a.yaml"}


def test_a_name_in_what_is_not_yaml_does_not_break_a_valid_spec_elsewhere() -> None:
    result = desired({"a.yaml": GOOD, "b.yaml": "kind: Job\nname: good\ncommand: [\n"})
    assert "good" in result.jobs
    assert "Job/good" not in result.broken


class MemoryCache(dict[tuple[str, str], bytes]):
    """Verdicts in a dict."""

    def put(self, oid: str, version: str, verdict: bytes) -> None:
        self[oid, version] = verdict

    def get(self, oid: str, version: str) -> bytes | None:  # type: ignore[override]
        return super().get((oid, version))


def test_a_known_blob_is_not_read_again_and_means_the_same() -> None:
    files = {**FILES, "bad.yaml": "kind: Job\nname: x\ncomand: é ${{ x }}\n---\nkind: Job\n\tx", "b.yaml": "a: b"}
    cache = MemoryCache()
    first = load(MemoryTree(files), cache=cache)
    assert {version for _, version in cache} == {schema_version()}
    moved = MemoryTree({"moved/" + path if path == "bad.yaml" else path: content for path, content in files.items()})
    second = load(moved, cache=cache)
    assert moved.reads == []
    assert [p.headline() for p in second.problems] == ["moved/" + p.headline() for p in first.problems]
    assert (second.jobs, second.images, second.clusters) == (first.jobs, first.images, first.clusters)
    assert second.broken == first.broken


def test_a_spoilt_cache_costs_time_only() -> None:
    cache = MemoryCache()
    load(MemoryTree(FILES), cache=cache)
    for key in cache:
        cache[key] = b'{"specs": 3}'
    assert load(MemoryTree(FILES), cache=cache) == desired(FILES)


def test_many_problems_of_one_file_are_counted() -> None:
    result = desired({"a.yaml": "kind: Job\nname: x\n" + "".join(f"zz{n}: 1\n" for n in range(500))})
    assert len(result.problems) == 101
    assert result.problems[0].message == "and 402 more problems in this file"


def test_files_of_many_jobs_are_looked_through_once() -> None:
    """A thousand jobs with the same files: each file that might be a pointer is read once, whoever names it."""
    jobs = "---\n".join(f"kind: Job\nname: j-{n}\ncluster: good\ncommand: x\nfiles: [src]\n" for n in range(50))
    tree = MemoryTree(
        {"good.yaml": GOOD, "jobs.yaml": jobs, "src/a": "x" * 200, "src/b": "y" * 300, "src/c": "z" * 3000}
    )
    result = load(tree)
    assert len(result.jobs) == 51
    ids = {entry.path: entry.oid for entry in tree.entries()}
    assert [tree.reads.count(ids[path]) for path in ("src/a", "src/b", "src/c")] == [1, 1, 0]
