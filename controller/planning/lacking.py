"""Runs whose command was not begun, since something was not there that it needs: what is said, and what runs again.

Files, images and submissions may be deleted on a cluster at any time (a purge of scratch). What the controller had put
there is put there again, and the next attempt begins, without counting as a failure of the job's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from controller.model.conditions import TaskState
from controller.model.images import Image, SifFile
from controller.model.observed import JobRecord
from controller.model.runs import RunRecord

PUT_AGAIN = frozenset({"FilesIncomplete", "ImageChanged", "ImageMissing", "SubmissionGone"})
"""Reasons of such ends where the controller puts it there again."""
MOST_AGAIN = 3
"""How many of a task's attempts may end so before the next needs ``retries`` like any other."""
AGAIN = (
    "It is put there again and the next attempt begins by itself, three times at most. After that, find out what "
    "deletes or changes files in the work directory (a purge of scratch?), then rerun the job"
)
LACKING = {
    "files-lost": (
        "FilesIncomplete",
        "of its staged files some were missing or others when the run started (stderr names one); the command was not "
        f"run. {AGAIN}",
    ),
    "image-missing": (
        "ImageMissing",
        "its image's SIF was not there, or could not be read, when the run started; the command was not run. "
        f"An image of ours: {AGAIN}. A SIF that the spec names by its path: put it there, then rerun the job",
    ),
    "image-changed": (
        "ImageChanged",
        "its image's SIF is not the one that was made, or that the spec gives the hash of; the command was not run. "
        f"An image of ours: {AGAIN}. A SIF that the spec names by its path: correct file or hash, then rerun the job",
    ),
    "shell-missing": (
        "ShellMissing",
        "the shell that its command is run by is not there (stderr says which, and where); nothing of the command was "
        "run. Name one that is, such as shell: sh -e, in the job, its Workflow or the cluster's defaults, or add it to "
        "the image",
    ),
}
"""What a run says that it lacked -> reason and message."""


def without_table(record: RunRecord, job: JobRecord, now: float) -> RunRecord:
    """Return a run whose job found that its submission was gone, so that it claimed nothing."""
    return replace(
        record,
        state=TaskState.FAILED,
        reason="SubmissionGone",
        message=f"what was submitted with it was gone when job {job.job_id} started; the command was not run. {AGAIN}",
        exit_code=job.exit_code,
        ended=job.ended or now,
        missing_since=None,
    )


def times_lacked(image: Image | None, records: Iterable[RunRecord]) -> int:
    """Return how many attempts found gone what is put there again. A SIF that a spec names by path is not."""
    foreign = image is not None and isinstance(image.origin, SifFile)
    again = PUT_AGAIN - {"ImageChanged", "ImageMissing"} if foreign else PUT_AGAIN
    return sum(record.state is TaskState.FAILED and record.reason in again for record in records)
