"""What every scheduler has to keep: one job a batch, one execution a run, ends that are true."""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import replace

import pytest

from controller.clusters.cluster import SubmitEnd, Submitted
from controller.model.conditions import TaskState
from controller.model.observed import EventKind
from controller.model.resources import DEFAULT_SHELL, Metric, Resources, Results
from controller.planning.absorb import absorb
from tests.contract.schedulers.places import Place, commands
from tests.unit.planning import values
from tests.unit.planning.values import task
from tests.unit.specs.trees import Link, Program

SH = ("sh", "-e")
NASTY = {
    "QUOTES": "a'b\"c`d",
    "DOLLAR": "$HOME ${X} $(id) \\$",
    "LINES": "one\ntwo\n\nthree",
    "BLANKS": "  a\tb  ",
    "GLOBS": "* ? [a-z] ~ ! # & | ; < > ( ) { }",
    "UNICODE": "\u03bb \u00e4 \u4e2d",
    "PERCENT": "%s %d %%",
    "DASH": "-n",
    "EMPTY": "",
    "EQUALS": "a=b,c=d",
}


def test_a_run_goes_from_queued_to_succeeded(place: Place) -> None:
    """A submitted command is seen in the queue, runs in its own directory, and is Succeeded with its output kept."""
    [mine] = place.submit(task(command='pwd; echo "$CONTROLLER_JOB $CONTROLLER_ATTEMPT"; echo said >&2; echo x >made'))
    assert place.state(mine) in (TaskState.QUEUED, TaskState.RUNNING, TaskState.SUCCEEDED)
    done = place.ends(mine)
    assert (done.state, done.exit_code, done.job_id) == (TaskState.SUCCEEDED, 0, mine.job_id)
    assert done.started is not None
    assert done.ended is not None
    assert done.started <= done.ended
    assert place.stdout(mine) == f"{place.run_directory(mine)}\ntrain 1\n"
    assert place.client().read_output(mine.id, "stderr", offset=0, limit=99) == b"said\n"
    assert place.shell(f"cat {place.run_directory(mine)}/made") == "x\n"
    assert place.client().has_ended(mine.id)


def test_output_is_read_in_pieces_from_either_end(place: Place) -> None:
    """A piece of a run's output, from an offset or from the end; NUL and other bytes come as they are."""
    [mine] = place.submit(task(command="printf 'abc\\000\\377defgh'"))
    place.ends(mine)
    client = place.client()
    assert client.read_output(mine.id, "stdout", offset=2, limit=3) == b"c\x00\xff"
    assert client.read_output(mine.id, "stdout", offset=-2, limit=100) == b"gh"
    assert client.read_output(mine.id, "stdout", offset=10, limit=100) == b""


def test_files_that_metrics_are_read_from_are_brought(place: Place) -> None:
    """With the end of a run as many as fit, whole; by their paths what is larger, odd, or not there."""
    metrics = {name: Metric(file=name, path="") for name in ("small", "large", "huge", "gone", "pipe", "empty", "odd")}
    make = "printf 7 >small; head -c 40000 /dev/zero | tr '\\0' 1 >large; head -c 1048577 /dev/zero >huge"
    make += "; mkfifo pipe; : >empty; printf '\\377\\0' >odd; ln -s /dev/zero gone"
    [mine] = place.submit(task(command=make), results=Results(metrics=metrics))
    place.ends(mine)
    seen = place.observe(full_scan=True)
    assert seen.events is not None
    [sent] = [event.outputs for event in seen.events if event.kind is EventKind.EXITED and event.run == mine.id][:1]
    assert sent == {"small": b"7", "empty": b"", "odd": b"\xff\0"}
    asked = tuple((mine.id, name) for name in sorted(metrics))
    found = place.observe(outputs=asked).outputs[mine.id]
    assert found.texts == {**sent, "large": b"1" * 40000}
    assert found.too_large == {"huge": 1048577}
    assert found.missing == {"gone", "pipe"}


@pytest.mark.parametrize(
    ("command", "code"), [("echo no such module >&2; exit 3", 3), ("kill -9 $$", 137), ("false; echo on", 1)]
)
def test_a_failure_has_its_exit_code(place: Place, command: str, code: int) -> None:
    """Exit code, kill by a signal, the first failing line of a script: Failed, with the end of stderr."""
    [mine] = place.submit(task(command=command))
    done = place.ends(mine)
    assert (done.state, done.reason, done.exit_code) == (TaskState.FAILED, "ExitCode", code)
    if code == 3:
        assert done.stderr_tail.strip() == "no such module"


def test_an_array_is_one_job_with_a_run_for_each_index(place: Place) -> None:
    """Several runs are one job; each runs its own command in its own directory and ends by itself."""
    records = place.submit(*commands("sweep", "echo first", "echo second; exit 4", "echo third"))
    assert len({record.job_id for record in records}) == 1
    done = [place.ends(record) for record in records]
    assert [record.exit_code for record in done] == [0, 4, 0]
    assert [place.stdout(record) for record in records] == ["first\n", "second\n", "third\n"]


def test_the_same_submission_again_is_the_same_job(place: Place) -> None:
    """A batch that is submitted once more, whatever the number of tries, is adopted: one job, one execution."""
    batch = place.batch(task(command="echo once"))
    first = place.send(batch)
    again = [place.send(batch, tries=tries) for tries in (0, 0, 1)]
    assert {(end.end, end.job_id) for end in again} == {(SubmitEnd.ADOPTED, first.job_id)}
    [mine] = place.records.values()
    place.ends(mine)
    assert place.jobs(batch.batch) == {first.job_id}
    assert place.stdout(mine) == "once\n"


def test_two_that_race_make_one_job(place: Place) -> None:
    """Controllers that submit the same batch at the same moment: one is told the job, the others that it is begun."""
    batch = place.batch(task(command="echo once"))
    place.known_facts()
    ends: list[Submitted] = []
    start = threading.Barrier(4)

    def race() -> None:
        start.wait()
        ends.append(place.send(batch))

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [end.end for end in ends].count(SubmitEnd.SUBMITTED) == 1
    assert {end.end for end in ends} <= {SubmitEnd.SUBMITTED, SubmitEnd.BUSY, SubmitEnd.ADOPTED}
    [mine] = place.records.values()
    done = place.ends(mine)
    assert done.state is TaskState.SUCCEEDED
    assert len(place.jobs(batch.batch)) == 1
    assert place.stdout(mine) == "once\n"


def test_a_lost_answer_is_found_again(place: Place) -> None:
    """The job's id was never written down: the job is found by its name, and is the run's."""
    batch = place.batch(task(command="echo once"))
    end = place.send(batch)
    place.shell(f"rm {place.root}/{place.instance}/submissions/{batch.batch}/job_id")
    [mine] = place.records.values()
    place.records = {mine.id: replace(mine, job_id=None, state=TaskState.SUBMITTING)}
    done = place.ends(mine)
    assert (done.state, done.job_id) == (TaskState.SUCCEEDED, end.job_id)


def test_a_running_command_is_cancelled(place: Place) -> None:
    """A cancelled run ends soon, its command with it, and is Cancelled for our reason."""
    [mine] = place.submit(task(command="echo begun; sleep 600; echo over"))
    mine = place.reaches(mine, TaskState.RUNNING)
    until_begun = place.reaches(mine, TaskState.RUNNING)
    assert until_begun.started
    asked = replace(mine, cancel_requested_at=1.0, cancel_reason="SpecRemoved")
    place.records[mine.id] = asked
    owners = place.client().cancel([asked])
    assert owners[mine.id] != "cancelled"
    done = place.ends(mine)
    assert (done.state, done.reason) == (TaskState.CANCELLED, "SpecRemoved")
    assert "over" not in place.stdout(mine)


def test_a_waiting_job_is_cancelled_and_never_starts(place: Place) -> None:
    """A run cancelled before it started is Cancelled, leaves the queue, and its command never runs."""
    resources = Resources(walltime_s=600)
    if place.scheduler == "local":
        place.one_at_a_time()
        place.submit(task("blocker", command="sleep 20"))
    else:
        resources = replace(resources, extra=("--begin=now+1hour",))
    [mine] = place.submit(task(command="echo ran"), resources=resources)
    assert place.reaches(mine, TaskState.QUEUED).reason
    assert place.client().cancel([mine]) == {mine.id: "cancelled"}
    assert place.state(mine) is TaskState.CANCELLED
    seen = place.observe()
    assert not [job for job in seen.queue or () if job.job_id == mine.job_id and job.state == "Pending"]
    assert sorted(place.shell(f"ls -A {place.control_directory(mine)}").split()) == ["cancelling.json", "claim"]


def test_a_run_cancelled_before_its_job_is_known_never_executes(place: Place) -> None:
    """The claim is taken first: a submission that goes through afterwards starts nothing."""
    batch = place.batch(task(command="echo ran"))
    place.known_facts()
    record = values.record(batch.runs[0].run, batch=batch.batch, job_id=None, state=TaskState.SUBMITTING)
    place.records[record.id] = record
    assert place.client().cancel([record]) == {record.id: "cancelled"}
    end = place.send(batch)
    place.until_ended(str(end.job_id))
    assert place.state(record) is TaskState.CANCELLED
    assert place.shell(f"ls -A {place.run_directory(record)}").split() == [".controller"], (
        "an older job would look there"
    )


def test_a_second_job_of_the_same_run_does_not_execute_it(place: Place) -> None:
    """Submitted by hand once more, and in another batch too: the command runs once, and the run is Succeeded."""
    one, two = commands("sweep", "echo once", "echo other")
    [first] = place.submit(one)
    by_hand = place.submit_by_hand(first.batch)
    batch = place.batch(one, two)
    end = place.send(batch)
    assert end.end is SubmitEnd.SUBMITTED
    second = place.records[batch.runs[1].run.id]
    assert place.ends(first).state is TaskState.SUCCEEDED
    assert place.ends(second).state is TaskState.SUCCEEDED
    for job_id in (by_hand, str(end.job_id)):
        place.until_ended(job_id)
    assert place.stdout(first) == "once\n"
    assert place.stdout(second) == "other\n"
    ours = [job for job in place.observe().accounting or () if job.tag.startswith(f"{place.instance}-")]
    lost = [job for job in ours if job.exit_code == 75]
    assert len(lost) == 2
    assert place.state(first) is TaskState.SUCCEEDED


def test_values_reach_the_command_as_they_are(place: Place) -> None:
    """Quotes, blanks, newlines, shell signs, other scripts: environment and command arrive byte for byte."""
    command = "env -0 | base64 -w 0\nprintf '%s' \"${QUOTES}\" 'it'\\''s' >said"
    [mine] = place.submit(replace(task(command=command), env=NASTY))
    assert place.ends(mine).state is TaskState.SUCCEEDED
    raw = place.shell(f"base64 -d {place.control_directory(mine)}/stdout | base64 -w 0")
    env = dict(pair.split("=", 1) for pair in base64.b64decode(raw).decode().split("\0") if pair)
    assert {name: env.get(name) for name in NASTY} == NASTY
    assert place.shell(f"cat {place.run_directory(mine)}/said") == NASTY["QUOTES"] + "it's"
    lock = json.loads(place.shell(f"cat {place.control_directory(mine)}/run.lock.json"))
    assert (lock["env"], lock["command"]) == (NASTY, command)


def test_the_submitters_environment_does_not_leak(place: Place) -> None:
    """SLURM_* and SBATCH_* of whoever submits do not reach the command; which ones count is in ``test_site.py``."""
    client = place.client(
        "export SBATCH_CONSTRAINT=nosuch SBATCH_TIMELIMIT=1 SBATCH_QOS=normal SLURM_CPUS_PER_TASK=7 SLURM_LEAK=yes"
    )
    batch = place.batch(task(command="env"))
    end = place.send(batch, client=client)
    assert end.end is SubmitEnd.SUBMITTED
    [mine] = place.records.values()
    assert place.ends(mine).state is TaskState.SUCCEEDED
    lines = place.stdout(mine).splitlines()
    assert "SLURM_LEAK=yes" not in lines
    assert "SLURM_CPUS_PER_TASK=7" not in lines
    assert not [line for line in lines if line.startswith("SBATCH_")]


def test_what_a_login_prints_is_not_taken_for_an_answer(place: Place) -> None:
    """Banners before and between, numbers in them too: the job's id is the scheduler's."""
    client = place.client("echo; echo 4711; echo 'Welcome, @@you'; printf 'no newline'")
    end = place.send(place.batch(task(command="echo once")), client=client)
    [mine] = place.records.values()
    assert place.ends(mine).job_id == end.job_id != "4711"


def test_a_lost_journal_is_rebuilt_by_a_full_scan(place: Place) -> None:
    """Nothing remembered: one look gives back every run with its job, attempt, digest, commit and end."""
    ok, bad = place.submit(*commands("sweep", "echo ok", "exit 3"))
    [again] = place.submit(commands("sweep", "echo ok", "exit 3")[1], attempt=2)
    for record in (ok, bad, again):
        place.ends(record)
    seen = place.observe(full_scan=True, runs=(), batches=())
    rebuilt = absorb((), seen, instance=place.instance, now=1.0)
    assert set(rebuilt) == set(place.records)
    for key, record in place.records.items():
        found = rebuilt[key]
        assert (found.run, found.job_id, found.batch, found.index) == (
            record.run,
            record.job_id,
            record.batch,
            record.index,
        )
        assert (found.state, found.exit_code, found.ended) == (record.state, record.exit_code, record.ended)
        assert found.run_dir == place.run_directory(record)


def test_files_are_staged_once_and_copied_into_each_run(place: Place) -> None:
    """A job's files are in the run directory, with modes and links, and a run cannot change them for another."""
    script = b"#!/bin/sh\necho hi"
    for _ in range(2):
        job = place.stage({"src/run": Program(script), "src/data": script, "link": Link(b"src/run")})
    assert {job["files"].tree} == place.observe().files  # type: ignore[attr-defined]
    command = "./link; stat -c '%a %F' src/run src/data link; echo gone >src/data; rm src/run"
    [one] = place.submit(task("one", command=command), **job)
    assert place.ends(one).state is TaskState.SUCCEEDED
    [two] = place.submit(task("two", command=command), **job)
    assert place.ends(two).state is TaskState.SUCCEEDED
    said = "hi\n755 regular file\n644 regular file\n777 symbolic link\n"
    assert place.stdout(one) == place.stdout(two) == said


def test_setup_runs_before_the_command_and_its_failure_is_named(place: Place) -> None:
    """The cluster's setup lines act on the command's environment; where they fail the run says so."""
    place.cluster = replace(place.cluster, setup="export MODULE=loaded\ntest -z ''")
    [mine] = place.submit(task(command='echo "$MODULE"'))
    assert place.ends(mine).state is TaskState.SUCCEEDED
    assert place.stdout(mine) == "loaded\n"
    place.cluster = replace(place.cluster, setup="echo no such module >&2\nexit 9")
    [bad] = place.submit(task("bad", command="echo ran"))
    done = place.ends(bad)
    assert (done.reason, done.exit_code, done.stderr_tail.strip()) == ("SetupFailed", 9, "no such module")


@pytest.mark.parametrize(
    ("words", "command", "code", "said"),
    [
        (DEFAULT_SHELL, "cat missing 2>/dev/null | tee out; echo never", 1, ""),
        (DEFAULT_SHELL, "yes | head -1; echo never", 141, "y\n"),
        (DEFAULT_SHELL, "{ yes || true; } | head -1; a=(1 2); [[ ${a[1]} == 2 ]] && echo {a,b}", 0, "y\na b\n"),
        (SH, "cat missing 2>/dev/null | tee out; echo '{a,b}' {a,b} | tr -d x", 0, "{a,b} {a,b}\n"),
        (("bash",), "false; echo on; exit 7", 7, "on\n"),
        (("bash", "-l"), 'shopt -q login_shell && echo "$0" | grep -o "[^/]*$"', 0, "command.sh\n"),
    ],
)
def test_a_command_is_run_by_its_shell(
    place: Place, words: tuple[str, ...], command: str, code: int, said: str
) -> None:
    """A failing pipeline is a failure, also one that ends by SIGPIPE; another shell has its own ways."""
    [mine] = place.submit(task(command=command), shell=words)
    done = place.ends(mine)
    assert (done.exit_code, done.reason) == (code, "ExitCode" if code else "Completed")
    assert place.stdout(mine) == said


def test_a_node_without_the_shell_says_so(place: Place) -> None:
    """Nothing of the command has run, and what a command itself ends with is never taken for that."""
    words = ("/opt/none/mksh", "-e")
    [missing] = place.submit(task(command="echo ran"), shell=words)
    done = place.ends(missing)
    assert (done.state, done.reason, done.exit_code) == (TaskState.FAILED, "ShellMissing", 127)
    assert done.stderr_tail.strip() == "controller: there is no /opt/none/mksh on this node"
    assert "such as shell: sh -e" in done.message
    assert place.stdout(missing) == ""
    for number, (command, code) in enumerate([("nosuchprogram", 127), ("echo bash: not found >&2; exit 127", 127)]):
        [mine] = place.submit(task(f"own-{number}", command=command))
        done = place.ends(mine)
        assert (done.reason, done.exit_code, "not found" in done.stderr_tail) == ("ExitCode", code, True)


def test_a_shell_that_ends_before_the_command_has_not_succeeded(place: Place) -> None:
    """bash reads the file that BASH_ENV names, if a site sets it: one that says "exit" ends it with 0."""
    place.cluster = replace(place.cluster, setup="echo exit 0 >noise.sh; export BASH_ENV=$PWD/noise.sh")
    [mine] = place.submit(task(command="echo ran"))
    done = place.ends(mine)
    assert (done.state, done.reason) == (TaskState.FAILED, "ExitCode")
    assert "has not begun the command: a file that it reads first ends it (BASH_ENV" in done.stderr_tail
    place.cluster = replace(place.cluster, setup="echo 'say() { echo said; }' >noise.sh; export BASH_ENV=$PWD/noise.sh")
    [fine] = place.submit(task("fine", command="say"))
    assert place.ends(fine).state is TaskState.SUCCEEDED
    assert place.stdout(fine) == "said\n"


def test_spool_files_go_once_they_are_acknowledged(place: Place) -> None:
    """News is told at every look until it is acknowledged, and not any more afterwards."""
    [mine] = place.submit(task())
    place.ends(mine)
    names = tuple(sorted(event.spool_file for event in place.observe(runs=()).events or ()))
    assert len(names) == 2
    assert len(place.observe(runs=()).events or ()) == 2
    assert place.observe(runs=(), acknowledged=names).events == ()
    assert place.records[mine.id].state is TaskState.SUCCEEDED


def test_a_command_that_is_signalled_before_its_script_has_not_exited(place: Place) -> None:
    """The command dies of the scheduler's signal a moment before the script hears of it: stopped, not an exit code."""
    [mine] = place.submit(task(command="(trap '' TERM; sleep 0.3; kill -TERM $PPID) & kill -TERM $$"))
    place.until_ended(str(mine.job_id))
    said = place.shell(f"ls {place.control_directory(mine)}").split()
    assert "stopped.json" in said
    assert "exit.json" not in said
