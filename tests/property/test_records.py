"""Whatever other jobs are called, and whatever is printed around them, our job is read as it is."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from controller.model.observed import JobState
from controller.schedulers import NAMES, scheduler_named
from controller.schedulers.dialect import GarbledOutput
from controller.schedulers.records import delimited, framed
from tests.unit.schedulers.printed import NONCE

TAG = "inst-0123456789ab"
SLURM = scheduler_named("slurm")
PIECES = (
    "|",
    "@",
    "\n",
    "\r",
    "\f",
    "\v",
    "\x85",
    "\u2028",
    NONCE[:-1],
    f"|{NONCE[1:]}@\n@{NONCE[1:]}|",
    TAG,
    "17",
    "90+0",
)
NAMES_OF_OTHERS = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=8).map("".join)
IDS = st.sampled_from(["18", "18_4", "90+0", "90+1", "18_[1-4%2]", "new-kind"])
OTHERS = st.lists(
    # A record of a new kind whose name may be of a job of ours is an error, and held elsewhere.
    st.tuples(IDS, NAMES_OF_OTHERS).filter(lambda other: other[0] != "new-kind" or not other[1].endswith(TAG)),
    max_size=5,
)
BANNER = st.text(max_size=20)


def raw(text: str) -> str:
    """What of a name reaches us: bytes that are no UTF-8 come as replacement characters."""
    return text.encode("utf-8", "replace").decode("utf-8", "replace")


@given(before=OTHERS, after=OTHERS, banner=BANNER)
def test_our_job_is_read_out_of_any_queue(
    before: list[tuple[str, str]], after: list[tuple[str, str]], banner: str
) -> None:
    rows = [("JOBID", "NAME"), *before, ("17", TAG), *after]
    middle = "RUNNING|1700000000|None|lab|short|normal"
    text = "".join(f"{raw(banner)}@{NONCE}|{job}|{middle}|{raw(name)}|{NONCE}@\n" for job, name in rows)
    mine = [job for job in SLURM.parse_queue(text, NONCE) if job.job_id == "17"]
    assert [(job.tag, job.state, job.started) for job in mine] == [(TAG, JobState.RUNNING, 1700000000.0)]


@given(before=OTHERS, after=OTHERS)
def test_our_job_is_read_out_of_any_accounting(before: list[tuple[str, str]], after: list[tuple[str, str]]) -> None:
    rows = [("JobID", "JobName"), *before, ("17", TAG), *after]
    end = f"@{NONCE}|"
    middle = end.join(["COMPLETED", "0:0", "1", "2", "lab", "short", "normal"])
    text = "".join(f"{end.join((job, middle, raw(name)))}{end}\n" for job, name in rows)
    mine = [job for job in SLURM.parse_accounting(text, NONCE) if job.job_id == "17"]
    assert [(job.tag, job.state, job.exit_code) for job in mine] == [(TAG, JobState.COMPLETED, 0)]


@given(name=NAMES_OF_OTHERS, count=st.integers(1, 4))
def test_a_record_comes_back_as_it_went(name: str, count: int) -> None:
    """Both ways to frame records keep the last field to the character."""
    fields = [*(["x"] * count), raw(name)]
    assert framed(f"@{NONCE}|{'|'.join(fields)}|{NONCE}@", NONCE, count + 1) == [fields]
    assert delimited("".join(f"{field}@{NONCE}|" for field in fields) + "\n", NONCE, count + 1) == [fields]


@given(data=st.data())
def test_any_text_is_a_list_or_garbled(data: st.DataObject) -> None:
    """No text makes a parser fail otherwise."""
    scheduler = scheduler_named(data.draw(st.sampled_from(NAMES)))
    marks = st.sampled_from([f"@{NONCE}|", f"|{NONCE}@\n", "JOBID|a|b|c|d|e|f|g", "JobID", "1|2|RUNNING|a|3|", *PIECES])
    text = "".join(data.draw(st.lists(marks | st.text(max_size=10), max_size=30)))
    for parse in (scheduler.parse_queue, scheduler.parse_accounting):
        with suppress(GarbledOutput):
            parse(text, NONCE)
