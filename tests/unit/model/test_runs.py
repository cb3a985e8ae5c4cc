"""Names of runs, batches and owners: each can be read back from what is written on a cluster."""

from __future__ import annotations

import pytest

from controller.model.runs import Owner, Run, batch_prefix, owner_from, place_of, tag_of


def run(job: str, key: str = "") -> Run:
    return Run(job=job, key=key, digest="d" * 64, attempt=3, cluster="here", commit="c" * 40)


@pytest.mark.parametrize("job", ["train", "runs", "bands.relax"])
@pytest.mark.parametrize("key", ["", "lr=0.1,seed=3", "a/b c", "x" * 300])
def test_a_run_is_known_from_its_directory(job: str, key: str) -> None:
    """Also for a job called runs, and for task ids that are no file names."""
    made = run(job, key)
    assert made.id.count("/") == 2
    assert place_of(f"/scratch/me/runs/controller/lab-1234/runs/{made.id}") == ("lab-1234", made.id)


def test_tasks_whose_names_are_cut_alike_keep_apart() -> None:
    """The whole key is hashed into the directory of a task whose id does not fit."""
    assert run("train", "x" * 300).id != run("train", "x" * 301).id


def test_a_tag_is_known_again_in_any_case_and_only_by_its_instance() -> None:
    """Accounting databases may keep lower-case text; another instance's jobs are strangers."""
    tag = tag_of("lab-1234", "ab" * 32)
    assert batch_prefix("lab-1234", tag.upper()) == "ab" * 6
    assert batch_prefix("lab", tag) is None
    assert batch_prefix("lab-1234", "lab-1234-train") is None


def test_an_owner_is_read_back_and_nothing_else_is() -> None:
    """The claim taken by a cancellation is no job."""
    assert owner_from("17_4@abcdef012345.2") == Owner(job_id="17", index=4, batch12="abcdef012345")
    assert owner_from("cancelled") is None
    assert owner_from("17_4") is None
