"""SLURM, its log-in node and the way to it, broken one by one under a controller that is at work."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from controller.schedulers import scheduler_named
from tests.chaos.sites import There
from tests.chaos.test_failpoints import wait_for_file
from tests.chaos.trial import Trial
from tests.e2e.harness import wait_for

pytestmark = pytest.mark.sandbox

TIMED_OUT = """
"$real" "$@" >/dev/null 2>&1
echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2
exit 1
"""
"""An sbatch that submits the job, and whose answer is lost."""
NO_ACCOUNTING = "echo 'Slurm accounting storage is disabled' >&2; exit 1"
QUEUES = {
    "failing": "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1",
    "empty": '"$real" "$@" | head -n 1',
    "silent": "exit 0",
    "garbled": 'echo \'motd: welcome to the cluster\'; "$real" "$@" | cut -c1-7',
    "cut short": '"$real" "$@" | head -c 9; kill -KILL $$',
}
"""What may become of squeue."""


@pytest.fixture
def there(slurm: Trial) -> There:
    """The sandbox as the trial's site."""
    assert isinstance(slurm.site, There)
    return slurm.site


@pytest.fixture
def services(there: There) -> Iterator[Callable[[str, str], None]]:
    """Break services: ``services("stop", "slurmdbd")``. They run again when the test ends."""
    yield there.service
    there.root("sandbox-service start munge mariadb slurmdbd slurmctld slurmd sshd")
    wait_for(
        "every node is there", lambda: there.root("sinfo -h -N -p short -o %T | grep -cE 'idle|mixed|alloc'") == "4\n"
    )


def running(trial: Trial, name: str = "runs", **fields: Any) -> tuple[dict[str, Any], Callable[[], str]]:
    """Have a job run that ends when it is let go; return its spec and what lets it go."""
    go = f"{trial.site.workdir}.go"
    spec = trial.counted(name, wait_for_file(go), **fields)
    trial.commit(spec)
    trial.passes_until("it runs", lambda: trial.executions().total() == 1 and trial.states()[name] == "Running")
    return spec, lambda: trial.site.shell(f"touch {go}")


def one_pass(trial: Trial) -> None:
    """Run a pass that may say that something is wrong."""
    assert trial.project.controller("reconcile", "--once").code in (0, 1, 3)


def assert_jobs(trial: Trial, count: int) -> None:
    """SLURM has had just so many jobs of this trial."""
    jobs = trial.site.jobs(trial.project.instance)
    assert len(jobs) == count, f"{jobs}\n{trial.said()}"


def test_sbatch_that_loses_its_answer(slurm: Trial, there: There) -> None:
    """A time-out after the job was accepted: the job is found and adopted, not submitted again."""
    names = [f"job-{number}" for number in range(4)]
    with there.wrapped("sbatch", TIMED_OUT):
        slurm.commit(*[slurm.counted(name) for name in names])
        slurm.converge()
    slurm.assert_once(names)
    assert_jobs(slurm, len(names))


def test_sbatch_that_loses_its_answer_with_nobody_to_ask(slurm: Trial, there: There) -> None:
    """The same while the queue looks empty and no accounting is kept: it may be submitted twice, it runs once."""
    with (
        there.wrapped("sbatch", TIMED_OUT),
        there.wrapped("squeue", QUEUES["empty"]),
        there.wrapped("sacct", NO_ACCOUNTING),
    ):
        slurm.commit(slurm.counted("one", "sleep 3"))
        wait_for("it was executed", lambda: one_pass(slurm) or slurm.executions())
    slurm.converge()
    slurm.assert_once(["one"])


@pytest.mark.parametrize("when", ["before", "after"])
def test_ssh_cut_in_the_middle_of_a_submit(slurm: Trial, there: There, when: str) -> None:
    """Every session is killed while sbatch is at work: what it did is found out, and nothing runs twice."""
    mark = f"{there.workdir}.sbatch"
    wait = f"touch {mark}.reached; {wait_for_file(f'{mark}.go')}\n"
    script = f'{wait}exec "$real" "$@"' if when == "before" else f'"$real" "$@"; code=$?; {wait}exit $code'
    with there.wrapped("sbatch", script):
        slurm.commit(slurm.counted("one"))
        process = slurm.start("reconcile", "--once")
        wait_for("sbatch is at work", lambda: "yes" in there.shell(f"[ -e {mark}.reached ] && echo yes", check=False))
        # "sshd: NAME" before OpenSSH 9.8, "sshd-session: NAME" since; the listener's title goes on with a path.
        there.root("pkill -KILL -f '^sshd(-session)?: [a-z]'")
        assert process.wait(60) in (0, 1, 3)
        assert slurm.states() == {"one": "Submitting"}
        there.shell(f"touch {mark}.go")
        slurm.converge()
    slurm.assert_once(["one"])
    assert_jobs(slurm, 1)


def test_a_cluster_that_hangs_for_a_while(slurm: Trial, there: There) -> None:
    """The whole machine stands still in the middle of a look, then goes on: nothing was done meanwhile."""
    spec, go = running(slurm)
    mark = f"{there.workdir}.squeue"
    container = there.sandbox.container
    script = (
        f'if [ ! -e {mark}.reached ]; then touch {mark}.reached; {wait_for_file(f"{mark}.go")}; fi; exec "$real" "$@"'
    )
    with there.wrapped("squeue", script):
        slurm.commit(spec, slurm.counted("new"))
        process = slurm.start("reconcile", "--once")
        wait_for("squeue is asked", lambda: "yes" in there.shell(f"[ -e {mark}.reached ] && echo yes", check=False))
        subprocess.run(["docker", "pause", container], check=True, capture_output=True)
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(5)
        finally:
            subprocess.run(["docker", "unpause", container], check=True, capture_output=True)
        there.shell(f"touch {mark}.go")
        assert process.wait(60) == 0
    go()
    slurm.converge()
    slurm.assert_once(["runs", "new"])
    slurm.assert_nothing_cancelled()


@pytest.mark.parametrize("kind", sorted(QUEUES))
def test_a_squeue_that_cannot_be_believed(slurm: Trial, there: There, kind: str) -> None:
    """A queue that fails, is empty or is not readable ends no job and starts none."""
    spec, go = running(slurm)
    with there.wrapped("squeue", QUEUES[kind]):
        slurm.commit(spec, slurm.counted("new"))
        for _ in range(3):
            one_pass(slurm)
            assert slurm.states()["runs"] in ("Running", "Unknown")
        if kind != "empty":
            assert slurm.states()["new"] == "Waiting"
        go()
        wait_for("its end is known by its own word", lambda: one_pass(slurm) or slurm.states()["runs"] == "Succeeded")
    slurm.converge()
    slurm.assert_once(["runs", "new"])
    assert_jobs(slurm, 2)
    slurm.assert_nothing_cancelled()


@pytest.mark.parametrize("kind", ["down", "off"])
def test_without_accounting(slurm: Trial, there: There, services: Callable[[str, str], None], kind: str) -> None:
    """With slurmdbd down, or no accounting at all, jobs are run and known to have succeeded, and stay so."""
    if kind == "down":
        services("stop", "slurmdbd")
    with there.wrapped("sacct", NO_ACCOUNTING if kind == "off" else 'exec "$real" "$@"'):
        slurm.commit(slurm.counted("one"), slurm.counted("two"))
        slurm.converge()
        slurm.assert_once(["one", "two"])
        slurm.project.one_pass()
        assert set(slurm.states().values()) == {"Succeeded"}


def test_slurmctld_stopped_and_restarted(slurm: Trial, services: Callable[[str, str], None]) -> None:
    """While slurmctld is away nothing is concluded and nothing submitted; after it is back all goes on."""
    spec, go = running(slurm)
    services("stop", "slurmctld")
    slurm.commit(spec, slurm.counted("new"))
    one_pass(slurm)
    assert slurm.states() == {"runs": "Unknown", "new": "Waiting"}
    services("start", "slurmctld")
    slurm.passes_until("it is found again", lambda: slurm.states()["runs"] == "Running")
    services("restart", "slurmctld")
    go()
    slurm.converge()
    slurm.assert_once(["runs", "new"])
    assert_jobs(slurm, 2)


def test_slurmctld_stopped_before_sbatch(slurm: Trial, there: There, services: Callable[[str, str], None]) -> None:
    """slurmctld goes away between the look and sbatch: the job is submitted once it is back, once."""
    mark = f"{there.workdir}.sbatch"
    script = f'touch {mark}.reached; {wait_for_file(f"{mark}.go")}; exec "$real" "$@"'
    with there.wrapped("sbatch", script):
        slurm.commit(slurm.counted("one"))
        process = slurm.start("reconcile", "--once")
        wait_for("sbatch is at work", lambda: "yes" in there.shell(f"[ -e {mark}.reached ] && echo yes", check=False))
        services("stop", "slurmctld")
        there.shell(f"touch {mark}.go")
        assert process.wait(120) in (0, 1, 3)
        services("start", "slurmctld")
        slurm.converge()
    slurm.assert_once(["one"])
    assert_jobs(slurm, 1)


def test_a_node_that_dies(slurm: Trial, there: There, services: Callable[[str, str], None]) -> None:
    """A job that SLURM does not start again is Failed, NodeFail, and the controller does not start it again either."""
    running(slurm, resources={"extra": ["--nodelist=c4", "--no-requeue"]})
    services("kill", "c4")
    slurm.passes_until("it has failed", lambda: slurm.states()["runs"] == "Failed", deadline_s=150)
    assert slurm.tasks()["runs"]["reason"] == "NodeFail"
    assert list(slurm.executions().values()) == [1]
    assert_jobs(slurm, 1)


def test_requeue_of_a_running_job_is_the_same_attempt(slurm: Trial, there: There) -> None:
    """SLURM's own second start is the same job and attempt; the controller submits nothing."""
    _, go = running(slurm)
    number = slurm.tasks()["runs"]["job_id"]
    there.shell(f"scontrol requeue {number}")
    slurm.passes_until("it runs again", lambda: slurm.executions().total() == 2)
    go()
    slurm.converge()
    task = slurm.tasks()["runs"]
    assert (task["state"], task["attempt"], task["job_id"]) == ("Succeeded", 1, number)
    assert slurm.executions() == Counter({next(iter(slurm.executions())): 2})
    assert_jobs(slurm, 1)


def test_requeue_after_the_end_executes_nothing(slurm: Trial, there: There) -> None:
    """A job that has ended and is started again by hand finds its own end and leaves; the task stays Succeeded."""
    slurm.commit(slurm.counted("one"))
    slurm.converge()
    number = slurm.tasks()["one"]["job_id"]
    wait_for("it has left its node", lambda: slurm_state(there, number) == "COMPLETED")
    there.shell(f"scontrol requeue {number}")
    wait_for(
        "it has ended once more",
        lambda: "Restarts=1" in shown(there, number) and slurm_state(there, number) == "COMPLETED",
    )
    slurm.converge()
    slurm.assert_once(["one"])


def test_preemption_is_the_same_attempt(slurm: Trial, there: There) -> None:
    """A job that has to give way to an urgent one goes back into the queue and is started again by SLURM."""
    _, go = running(slurm, resources={"extra": ["--nodelist=c4"]})
    urgent = there.shell(
        "cd /tmp && sbatch --parsable -p urgent -w c4 --exclusive -A lab --mem=100M -o /dev/null --wrap 'sleep 300'"
    ).strip()
    wait_for("the urgent one runs", lambda: slurm_state(there, urgent) == "RUNNING")
    one_pass(slurm)
    assert slurm.states()["runs"] not in ("Failed", "Cancelled", "Succeeded")
    there.shell(f"scancel {urgent}")
    slurm.passes_until("it runs again", lambda: slurm.executions().total() == 2)
    go()
    slurm.converge()
    assert (slurm.states(), slurm.tasks()["runs"]["attempt"]) == ({"runs": "Succeeded"}, 1)
    assert_jobs(slurm, 1)


def test_a_full_disk(slurm: Trial, there: There) -> None:
    """While the work directory is full nothing is submitted; a job that ends meanwhile is not lost; then it goes on."""
    there.root(
        f"mkdir -p {there.workdir} && mount -t tmpfs -o size=2m,mode=755,uid=$(id -u researcher) tmpfs {there.workdir}"
    )
    try:
        spec, go = running(slurm)
        there.shell(f"head -c 4M /dev/zero >{there.workdir}/fill", check=False)
        slurm.commit(spec, slurm.counted("new", files=["src/"]), src__data="data\n" * 2000)
        one_pass(slurm)
        assert slurm.states()["new"] == "Waiting"
        go()
        one_pass(slurm)
        assert slurm.states()["runs"] not in ("Failed", "Cancelled")
        there.shell(f"rm {there.workdir}/fill")
        ended = {"runs": "Succeeded", "new": "Succeeded"}
        wait_for("the upload is tried again", lambda: one_pass(slurm) or slurm.states() == ended, deadline_s=120)
        slurm.assert_once(["runs", "new"])
    finally:
        there.root(f"umount -l {there.workdir}", check=False)


def test_a_cancellation_spares_a_job_with_another_name(slurm: Trial, there: There, stranger: str) -> None:
    """Of two numbers cancelled under this trial's name, only the one whose job has that name is."""
    running(slurm)
    (mine,) = there.jobs(slurm.project.instance)
    there.shell(f"{scheduler_named('slurm').cancel_command()} {stranger} {mine.name} {mine.job_id} {mine.name}")
    wait_for("its own is cancelled", lambda: slurm_state(there, mine.job_id) == "CANCELLED")
    assert slurm_state(there, stranger) == "RUNNING"


def shown(there: There, number: str) -> str:
    """Return what scontrol says of a job."""
    return there.shell(f"scontrol show job -o {number}", check=False)


def slurm_state(there: There, number: str) -> str:
    """Return SLURM's own word for a job's state."""
    words = shown(there, number).split()
    return next((word.removeprefix("JobState=") for word in words if word.startswith("JobState=")), "")
