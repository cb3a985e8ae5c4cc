"""SLURM's text, from 20.11 to 24.11, and what can come back instead of it."""

from __future__ import annotations

import shlex

import pytest

from controller.model.observed import JobState
from controller.model.resources import Gpus, Resources
from controller.schedulers import NAMES, scheduler_named
from controller.schedulers.dialect import GarbledOutput, Refusal, SubmitRequest
from controller.schedulers.slurm_words import STATES
from tests.unit.schedulers.printed import NONCE, accounting, queue

SLURM = scheduler_named("slurm")
TAG = "inst-0123456789ab"


def test_the_queue_is_read_record_by_record() -> None:
    """Jobs, array elements, packed rests of arrays, names with anything in them, banners between them."""
    text = "Welcome!\n" + queue(
        f"17|RUNNING|1700000000|None|{TAG}",
        f"18_4|PENDING|N/A|Priority|{TAG}",
        f"18_[5-1024%4]|PENDING|N/A|JobArrayTaskLimit|{TAG}",
        f"18_[7,9,11...]|PENDING|N/A|Priority|{TAG}",
        "19|PENDING|1700000999|Resources|a|b c|d",
    )
    jobs = SLURM.parse_queue(text + "\nhave a nice day 17|RUNNING", NONCE)
    assert [(job.job_id, job.index, job.state) for job in jobs] == [
        ("17", None, JobState.RUNNING),
        ("18", 4, JobState.PENDING),
        ("19", None, JobState.PENDING),
    ]
    assert (jobs[0].started, jobs[0].reason, jobs[0].tag) == (1700000000.0, "", TAG)
    assert (jobs[1].started, jobs[1].reason) == (None, "Priority")
    assert jobs[2].tag == "a|b c|d"


def test_an_empty_queue_is_empty_not_unknown() -> None:
    """The header alone is an answer."""
    assert SLURM.parse_queue(queue(), NONCE) == ()
    assert SLURM.parse_accounting(accounting(), NONCE) == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        "17|RUNNING|1700000000|None",
        f"@{NONCE}|JOBI",
        queue(f"17|RUNNING|1700000000|None|{TAG}")[:-3],
        queue(f"17|RUNNING|1700000000|None|{TAG}").replace("short|", ""),
        queue(f"abc|RUNNING|1700000000|None|{TAG}"),
        queue(f"17||1700000000|None|{TAG}"),
        queue(f"17_x|RUNNING|1700000000|None|{TAG}"),
        queue().replace(NONCE, "fedcba9876543210"),
        '{"jobs": []}',
    ],
)
def test_a_queue_that_is_not_as_asked_for_is_no_queue(text: str) -> None:
    """No header, a record cut off, one of ours that cannot be read: half a queue would make jobs disappear."""
    with pytest.raises(GarbledOutput):
        SLURM.parse_queue(text, NONCE)


FOREIGN = (
    "two\nlines",
    f"two\n17|FAILED|1700000000|None|{TAG}",
    f"x|{'0' * 16}@\n@{'0' * 16}|17|FAILED|0|None|a|b|c|{TAG}",
    "a\fb\vc\x85d\u2028e",
    "a|b|c|",
    "\N{REPLACEMENT CHARACTER}",
    "x" * 1000,
    "",
)


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("job_id", ["90", "90+0", "91_[1-3]", "sluid", ""])
def test_other_peoples_jobs_are_as_if_they_were_not_there(name: str, job_id: str) -> None:
    """Parts of heterogeneous jobs, names that hold whole lines of ours, ids of a later version: ours is read."""
    for number, place in ((0, 0), (1, 1)):
        rows = [f"17|RUNNING|1700000000|None|{TAG}"]
        rows.insert(place, f"{job_id}|RUNNING|1700000000|None|{name}")
        jobs = [job for job in SLURM.parse_queue(queue(*rows), NONCE) if job.tag == TAG]
        assert [(job.job_id, job.state) for job in jobs] == [("17", JobState.RUNNING)], number
        rows = [f"17|COMPLETED|0:0|1700000000|1700000060|{TAG}"]
        rows.insert(place, f"{job_id}|FAILED|9:0|1700000000|1700000060|{name}")
        jobs = [job for job in SLURM.parse_accounting(accounting(*rows), NONCE) if job.tag == TAG]
        assert [(job.job_id, job.exit_code) for job in jobs] == [("17", 0)], number


@pytest.mark.parametrize("word", sorted(STATES))
def test_every_state_is_known_in_queue_and_accounting(word: str) -> None:
    """Each of SLURM's states, with a sign after it as squeue and sacct print it."""
    for text in (word, f"{word}+", word.lower()):
        [job] = SLURM.parse_queue(queue(f"17|{text}|N/A|None|{TAG}"), NONCE)
        assert job.state is STATES[word]
        [job] = SLURM.parse_accounting(accounting(f"17|{text}|0:0|Unknown|Unknown|{TAG}"), NONCE)
        assert job.state is STATES[word]


def test_a_word_of_a_later_version_is_unknown() -> None:
    """A state that no version so far has is Unknown, never Failed."""
    [job] = SLURM.parse_queue(queue(f"17|TELEPORTING|N/A|None|{TAG}"), NONCE)
    assert (job.state, job.word) == (JobState.UNKNOWN, "TELEPORTING")


def test_accounting_is_read_record_by_record() -> None:
    """Exit codes and signals, who cancelled, packed arrays, parts of other jobs; the newest of each counts."""
    text = accounting(
        f"17|COMPLETED|0:0|1700000000|1700000060|{TAG}",
        f"18_3|FAILED|3:0|1700000000|1700000060|{TAG}",
        f"18_[4-9]|PENDING|0:0|Unknown|Unknown|{TAG}",
        f"19|CANCELLED by 1000|0:15|1700000000|1700000060|{TAG}",
        f"20|FAILED|0:9|1700000000|1700000060|{TAG}",
        "21+0|COMPLETED|0:0|1700000000|1700000060|het",
        f"22|NODE_FAIL|1:0|1700000000|1700000060|{TAG}",
        f"22|COMPLETED|0:0|1700000100|1700000160|{TAG}",
        f"23|RUNNING|0:0|1700000000|Unknown|{TAG}",
    )
    jobs = {(job.job_id, job.index): job for job in SLURM.parse_accounting(text, NONCE)}
    assert set(jobs) == {("17", None), ("18", 3), ("19", None), ("20", None), ("22", None), ("23", None)}
    assert (jobs["17", None].state, jobs["17", None].exit_code) == (JobState.COMPLETED, 0)
    assert jobs["18", 3].exit_code == 3
    assert (jobs["19", None].state, jobs["19", None].word) == (JobState.CANCELLED, "CANCELLED by 1000")
    assert jobs["20", None].exit_code == 137
    assert jobs["22", None].state is JobState.COMPLETED
    assert jobs["23", None].ended is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sacct: error: slurmdbd: Connection refused",
        accounting(f"17|COMPLETED|0:0|1|2|{TAG}")[: -len(NONCE)],
        accounting(f"17||0:0|1|2|{TAG}"),
    ],
)
def test_accounting_that_is_not_as_asked_for_is_none(text: str) -> None:
    """An error message on standard output is not a list of jobs."""
    with pytest.raises(GarbledOutput):
        SLURM.parse_accounting(text, NONCE)


@pytest.mark.parametrize(
    ("code", "text", "kind", "reason"),
    [
        (1, "Invalid account or account/partition combination specified", "refused", "AccountRejected"),
        (1, "sbatch: error: invalid partition specified: nosuch", "refused", "PartitionRejected"),
        (1, "Batch job submission failed: Invalid qos specification", "refused", "QosRejected"),
        (1, "Batch job submission failed: Requested time limit is invalid", "refused", "TimeRejected"),
        (1, "sbatch: error: Requested node configuration is not available", "refused", "ResourcesRejected"),
        (255, "sbatch: unrecognized option '--nope'\nTry --help", "refused", "SubmitRefused"),
        (1, "sbatch: error: Unable to open file ./job.sh", "refused", "SubmitRefused"),
        (127, "bash: sbatch: command not found", "refused", "SubmitRefused"),
        (1, "sbatch: error: QOSMaxSubmitJobPerUserLimit", "wait", "SubmitLimit"),
        (1, "sbatch: error: AssocMaxSubmitJobLimit", "wait", "SubmitLimit"),
        (1, "Batch job submission failed: Job violates accounting/QOS policy", "wait", "SubmitLimit"),
        (1, "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying", "wait", "SchedulerBusy"),
        (1, "Batch job submission failed: Socket timed out on send/recv operation", "ambiguous", "SubmitUnanswered"),
        (1, "Batch job submission failed: Zero Bytes were transmitted or received", "ambiguous", "SubmitUnanswered"),
        (1, "Unable to contact slurm controller (connect failure)", "ambiguous", "SubmitUnanswered"),
        (1, "something nobody has seen before", "ambiguous", "SubmitUnanswered"),
        (1, "", "ambiguous", "SubmitUnanswered"),
        (137, "Batch job submission failed: Invalid qos", "ambiguous", "SubmitUnanswered"),
        (0, "Welcome!", "ambiguous", "SubmitUnanswered"),
    ],
)  # fmt: skip
def test_a_failed_submit_is_refused_only_when_it_says_so(code: int, text: str, kind: str, reason: str) -> None:
    """Only an explicit refusal is one; limits are waits; anything else may have gone through."""
    failure = SLURM.explain_failure(code, text)
    assert (failure.kind, failure.reason) == (Refusal(kind), reason)
    assert failure.message


def test_a_refused_submits_entry_has_no_start() -> None:
    """squeue lists what was refused as FAILED with the time of the refusal as its start."""
    [job] = SLURM.parse_queue(queue(f"35|FAILED|1700000000|BadConstraints|{TAG}"), NONCE)
    assert (job.state, job.started) == (JobState.FAILED, None)


def request(**changes: object) -> list[str]:
    fields: dict[str, object] = {"tag": TAG, "count": 1, "resources": Resources(), "scheduler_version": "24.11.5"}
    return shlex.split(SLURM.submit_line(SubmitRequest(**(fields | changes))))  # type: ignore[arg-type]


def test_everything_asked_for_is_on_the_command_line() -> None:
    """Resources, array with its limit, name and comment are options, where nothing can override them."""
    asked = Resources(
        cpus=8,
        memory_mib=32768,
        gpus=Gpus(count=2, type="l40s"),
        nodes=1,
        walltime_s=3725,
        partition="gpu",
        account="lab",
        qos="high",
        extra=("--mail-type=END", "--comment=it's mine"),
    )
    words = request(count=24, resources=asked, max_running=4, priority=-5)
    for word in (
        "--parsable", f"--job-name={TAG}", "--array=0-23%4", "--cpus-per-task=8", "--mem=32768M", "--gres=gpu:l40s:2",
        "--nodes=1", "--time=62:05", "--partition=gpu", "--account=lab", "--qos=high", "--nice=5", "--mail-type=END",
        "--comment=it's mine",
    ):  # fmt: skip
        assert word in words
    assert words.index(f"--job-name={TAG}") < words.index("./job.sh")


@pytest.mark.parametrize(
    ("version", "export"),
    [("20.11.9", "NONE"), ("22.05.8", "NONE"), ("23.02.0", "NIL"), ("24.11.5", "NIL"), ("", "NONE")],
)
def test_the_environment_is_cut_off_as_the_version_can(version: str, export: str) -> None:
    """--export=NIL from 23.02, NONE before and where the version is not known."""
    assert f"--export={export}" in request(scheduler_version=version)


def test_one_run_is_no_array() -> None:
    """A single run is a plain job."""
    assert not [word for word in request() if word.startswith("--array")]


@pytest.mark.parametrize("name", NAMES)
def test_a_dialect_cancels_what_its_queue_shows(name: str) -> None:
    """The name under which a run is cancelled is made of job and index."""
    dialect = scheduler_named(name)
    assert dialect.target("17", 4, array=True) == "17_4"
    assert dialect.target("17", 0, array=False) in ("17", "17_0")


def test_an_unknown_scheduler_is_an_error() -> None:
    """Names are checked: no module of that name is looked for."""
    with pytest.raises(KeyError):
        scheduler_named("os")
