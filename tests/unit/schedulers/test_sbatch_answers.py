"""sbatch's whole catalogue of failures, of three versions, each with what it means for the job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.schedulers import scheduler_named
from controller.schedulers.dialect import Refusal

SLURM = scheduler_named("slurm")


@dataclass(frozen=True)
class Row:
    kind: Refusal
    reason: str
    number: str
    versions: str
    text: str


def catalogue() -> list[Row]:
    lines = Path(__file__).with_name("sbatch_answers.txt").read_text().splitlines()
    rows = [line.split("|", 4) for line in lines if not line.startswith("#")]
    return [Row(Refusal(kind), *rest) for kind, *rest in rows]


ROWS = catalogue()
ANSWERS = [row for row in ROWS if row.number != "-"]
EARLY = [row for row in ROWS if row.number == "-"]


def test_the_catalogue_is_whole() -> None:
    """Every version's answers are in it, and words from before the contact as well."""
    for version in ("22.05", "24.11", "26.05"):
        assert sum(version in row.versions for row in ANSWERS) > 180
        assert sum(version in row.versions for row in EARLY) > 80


@pytest.mark.parametrize("row", ANSWERS, ids=lambda row: row.text[:60])
def test_an_answer_of_slurmctld_means_one_thing(row: Row) -> None:
    """Refused, or a wait; ambiguous only where the request or the answer got lost. SLURM's words are in the message."""
    for before in ("", "sbatch: error: lua: this plugin times out, connection refused, try again\n"):
        for level in ("error", "fatal"):
            text = f"{before}sbatch: {level}: Batch job submission failed: {row.text}"
            failure = SLURM.explain_failure(1, text)
            assert (failure.kind, failure.reason) == (row.kind, row.reason)
            assert row.text in failure.message


@pytest.mark.parametrize("row", EARLY, ids=lambda row: row.text[:60])
@pytest.mark.parametrize("code", [1, 255])
def test_what_sbatch_says_before_the_contact_is_final(row: Row, code: int) -> None:
    """Nothing was submitted: a refusal with a remedy, or a wait where only the configuration cannot be had now."""
    for level in ("error", "fatal"):
        failure = SLURM.explain_failure(code, f"sbatch: {level}: {row.text}")
        assert (failure.kind, failure.reason) == (row.kind, row.reason)
        assert row.text in failure.message


def test_a_refusal_names_a_remedy() -> None:
    """There is more in the message than SLURM's words."""
    for row in ROWS:
        failure = SLURM.explain_failure(1, f"sbatch: error: Batch job submission failed: {row.text}")
        if failure.kind is Refusal.REFUSED:
            assert len(failure.message) > len(f"sbatch: error: Batch job submission failed: {row.text}. ") + 10


@pytest.mark.parametrize(
    "words",
    [
        "Connection refused", "Connection reset by peer", "Connection timed out", "Broken pipe", "No route to host",
        "Network is unreachable", "Network is down", "Host is down", "Interrupted system call", "Success", "No error",
        "Transport endpoint is not connected", "Input/output error", "Operation now in progress",
    ],
)  # fmt: skip
def test_a_connection_that_broke_is_ambiguous(words: str) -> None:
    """Texts of the C library's errors stand where an answer would."""
    failure = SLURM.explain_failure(1, f"sbatch: error: Batch job submission failed: {words}")
    assert failure.kind is Refusal.AMBIGUOUS


@pytest.mark.parametrize("words", ["Unspecified error", "Unknown error 2199", "Job rejected by site policy", ""])
def test_an_answer_of_a_later_version_or_a_plugin_is_a_refusal(words: str) -> None:
    """Slurmctld has answered, and it was no; what a plugin says before that is told."""
    text = f"sbatch: error: Name a project: the old one timed out\nsbatch: error: Batch job submission failed: {words}"
    failure = SLURM.explain_failure(1, text)
    assert (failure.kind, failure.reason) == (Refusal.REFUSED, "SubmitRefused")
    assert "Name a project" in failure.message


@pytest.mark.parametrize(
    ("limit", "kind", "reason"),
    [
        ("QOSMaxSubmitJobPerUserLimit", Refusal.WAIT, "SubmitLimit"),
        ("QOSMaxSubmitJobPerAccountLimit", Refusal.WAIT, "SubmitLimit"),
        ("QOSGrpSubmitJobsLimit", Refusal.WAIT, "SubmitLimit"),
        ("AssocMaxSubmitJobLimit", Refusal.WAIT, "SubmitLimit"),
        ("AssocGrpSubmitJobsLimit", Refusal.WAIT, "SubmitLimit"),
        ("QOSMaxCpuPerJobLimit", Refusal.REFUSED, "LimitRejected"),
        ("QOSMaxWallDurationPerJobLimit", Refusal.REFUSED, "LimitRejected"),
        ("QOSMinGRES", Refusal.REFUSED, "LimitRejected"),
        ("AssocMaxNodePerJobLimit", Refusal.REFUSED, "LimitRejected"),
    ],
)
def test_how_many_jobs_is_a_wait_and_how_large_a_refusal(limit: str, kind: Refusal, reason: str) -> None:
    """slurmdbd's limits come under one answer; the line before it says which limit it was."""
    answer = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
    text = f"sbatch: error: {limit}\nsbatch: error: Batch job submission failed: {answer}"
    failure = SLURM.explain_failure(1, text)
    assert (failure.kind, failure.reason) == (kind, reason)
    assert limit in failure.message


@pytest.mark.parametrize("code", [0, 130, 137, 143])
def test_an_end_without_an_answer_is_ambiguous(code: int) -> None:
    """Killed, or ended well without a job's number: the job may exist whatever was said before."""
    assert SLURM.explain_failure(code, "sbatch: error: Invalid --mem specification").kind is Refusal.AMBIGUOUS


@pytest.mark.parametrize(
    "text",
    [
        "sbatch: error: Munge encode failed: Failed to access socket\n"
        "sbatch: error: Batch job submission failed: Invalid authentication credential",
        "sbatch: fatal: Unable to process configuration file",
        "sbatch: fatal: Could not establish a configuration source",
    ],
)
def test_what_was_never_sent_is_a_wait(text: str) -> None:
    """A login node without munge or without SLURM's configuration: nothing was submitted, and it will come back."""
    failure = SLURM.explain_failure(1, text)
    assert (failure.kind, failure.reason) == (Refusal.WAIT, "SchedulerUnreachable")
