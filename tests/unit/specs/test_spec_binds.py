"""Directories for containers and registries for images, as specs may write them."""

from __future__ import annotations

import pytest

from controller.specs.checks import Checker
from tests.unit.specs.test_spec_work import digests, job, load
from tests.unit.specs.trees import GOOD, desired

JOB = {"kind": "Job", "name": "a", "cluster": "b", "command": "x"}
BOX = f"""\
kind: Cluster
name: box
scheduler: local
---
kind: Image
name: i
from: r.example.org/i@sha256:{"0" * 64}
"""
IMAGE = {"kind": "Image", "name": "a", "build": {"context": "."}}


@pytest.mark.parametrize("bind", ["/data", "/data:/data", "~/x:/x:ro", "$DATA/x:/x:rw", "${DATA}/a.b-c_d", "/a@1+2=3"])
def test_binds(bind: str) -> None:
    assert Checker().errors("Job", {**JOB, "binds": [bind]}) == []


@pytest.mark.parametrize(
    "bind",
    ["", "data", "/a:b", "/a:/b:x", "/a,/b", "/a b", "/a/../b", "/a:/b/../c", '/a"', "/a;x", "$(id)", "/a`id`", "/a\n"],
)
def test_what_is_no_bind(bind: str) -> None:
    """Nothing that a shell or Apptainer would read as more than a path."""
    assert Checker().errors("Job", {**JOB, "binds": [bind]}) != []


@pytest.mark.parametrize("registry", ["r.example.org/lab/x", "localhost:5000/x", "127.0.0.1:1/a/b-c", "host:5/x"])
def test_registries(registry: str) -> None:
    assert Checker().errors("Image", {**IMAGE, "registry": registry}) == []


@pytest.mark.parametrize(
    "registry", ["x", "lab/x", "r.example.org", "r.example.org/x:tag", "https://r.org/x", "r.org/X"]
)
def test_what_is_no_registry(registry: str) -> None:
    assert Checker().errors("Image", {**IMAGE, "registry": registry}) != []


def test_what_a_job_binds_is_part_of_its_digest() -> None:
    """With a matrix and without; a job that binds nothing has the digest that it always had."""
    for fields in ("", "matrix: {k: [1]}"):
        plain, none, one, other = (
            load(BOX, job("a", f"{fields}\n{binds}\nimage: i").replace("cluster: good", "cluster: box")).jobs["a"]
            for binds in ("", "binds: []", "binds: [/a]", "binds: ['/a:/b']")
        )
        assert digests(plain) == digests(none)
        assert len({*digests(plain), *digests(one), *digests(other)}) == 3
        assert one.binds == ("/a",)


def test_binds_without_an_image_are_refused() -> None:
    """The command runs outside of any container, where nothing is bound: to pass over the field would be a surprise."""
    [problem] = desired({"a.yaml": GOOD + job("a", "binds: [/data]")}).problems
    assert problem.message.startswith('"binds" is of no use without an image')
