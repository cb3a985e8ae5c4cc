"""What SLURM alone can do to a run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.clusters.cluster import Look, SubmitEnd
from controller.clusters.images import Material
from controller.model.conditions import TaskState
from controller.model.errors import AmbiguousError, StalledError, WaitingError
from controller.model.resources import Gpus, Resources
from controller.planning.stuck import beyond_any_node
from tests.contract.schedulers.places import Place, commands, until
from tests.unit.planning.values import task

pytestmark = pytest.mark.sandbox
TWICE = "echo begun; if [ -e first ]; then exit 0; fi; echo >first; sleep 600"


def requeue(place: Place, job_id: str | None) -> None:
    """Requeue a job as an administrator would, and let it start soon: SLURM waits two minutes otherwise.

    Not at once: for two seconds the credential of its first start is revoked, and it would fail for that.
    """
    place.shell(f"scontrol requeue {job_id}; scontrol update JobId={job_id} StartTime=now+3seconds")


def test_a_requeued_run_goes_on_as_the_same_attempt(slurm: Place) -> None:
    """scontrol requeue stops the command and starts the script again: the same run, once Succeeded."""
    [mine] = slurm.submit(task(command=TWICE))
    until("the command runs", lambda: slurm.shell(f"cat {slurm.run_directory(mine)}/first || true") != "")
    requeue(slurm, mine.job_id)
    done = slurm.ends(mine, deadline_s=180)
    assert (done.state, done.job_id, done.run.attempt) == (TaskState.SUCCEEDED, mine.job_id, 1), done
    assert slurm.stdout(mine) == "begun\nbegun\n"


def test_requeued_after_its_end_it_does_not_run_again(slurm: Place) -> None:
    """A job that is requeued although the run has ended executes nothing, and keeps the run's exit code."""
    [mine] = slurm.submit(task(command="echo ran; exit 5"))
    assert slurm.ends(mine).exit_code == 5
    requeue(slurm, mine.job_id)
    # sacct's rows of a job that was requeued differ from version to version; what slurmctld shows does not.
    again = {"JobState=FAILED", "ExitCode=5:0", "Restarts=1"}
    shown = f"scontrol show job {mine.job_id}"
    until("it has ended again", lambda: again <= set(slurm.shell(shown).split()), deadline_s=180)
    assert slurm.stdout(mine) == "ran\n"


@pytest.mark.parametrize(
    ("resources", "reason"),
    [
        (Resources(account="nobody"), "AccountRejected"),
        (Resources(partition="nosuch"), "PartitionRejected"),
        (Resources(qos="nosuch"), "QosRejected"),
        (Resources(memory_mib=64, extra=("--mem-per-cpu=100M",)), "OptionsRejected"),
        (Resources(extra=("--exclusive", "--oversubscribe")), "OptionsRejected"),
        (Resources(cpus=2, gpus=Gpus(count=1), extra=("--cpus-per-gpu=2",)), "OptionsRejected"),
        (Resources(extra=("--gpus-per-task=1", "--ntasks-per-gpu=2")), "OptionsRejected"),
        (Resources(extra=("--constraint=nosuch",)), "ConstraintRejected"),
        (Resources(extra=("--licenses=nosuch:1",)), "LicenseRejected"),
        (Resources(extra=("--reservation=nosuch",)), "ReservationRejected"),
        (Resources(extra=("--dependency=afterok:99999999",)), "DependencyRejected"),
        (Resources(extra=("--deadline=now-1hour",)), "TimeRejected"),
        (Resources(extra=("--nodelist=c99",)), "SubmitRefused"),
        (Resources(extra=("--begin=never",)), "SubmitRefused"),
        (Resources(extra=("--nice=99999999999",)), "SubmitRefused"),
        (Resources(extra=("--signal=B:NOSUCH@5",)), "SubmitRefused"),
        (Resources(extra=("--mail-type=NOPE",)), "SubmitRefused"),
        (Resources(extra=("--hint=nope",)), "SubmitRefused"),
        (Resources(extra=("--no-such-option",)), "SubmitRefused"),
    ],
    ids=str,
)
def test_a_refusal_is_told_by_its_reason(slurm: Place, resources: Resources, reason: str) -> None:
    """What SLURM refuses is Stalled with a reason, submits nothing, and the mended batch goes through."""
    batch = slurm.batch(task(command="echo once"), resources=resources)
    end = slurm.send(batch)
    assert end.end is SubmitEnd.FAILED
    assert isinstance(end.error, StalledError)
    assert end.error.reason == reason
    [mine] = slurm.records.values()
    assert slurm.state(mine) is TaskState.SUBMITTING, "what SLURM keeps of a refusal is no job"
    mended = slurm.send(replace(batch, resources=Resources(walltime_s=60)), tries=1)
    assert mended.end is SubmitEnd.SUBMITTED, mended


@pytest.mark.parametrize(
    "resources",
    [
        Resources(cpus=10_000),
        Resources(memory_mib=10_000_000),
        Resources(nodes=99),
        Resources(gpus=Gpus(count=9)),
        Resources(gpus=Gpus(count=1, type="nosuch")),
    ],
    ids=str,
)
def test_more_than_any_node_has_is_refused_or_said_to_never_start(slurm: Place, resources: Resources) -> None:
    """Some versions refuse it, others (22.05 and 26.05) leave the job pending: the partitions tell then."""
    batch = slurm.batch(task(command="echo once"), resources=resources)
    end = slurm.send(batch)
    if end.end is SubmitEnd.FAILED:
        assert isinstance(end.error, StalledError)
        assert end.error.reason in ("ResourcesRejected", "GpusRejected")
    # Whatever sbatch does, it is known beforehand.
    assert beyond_any_node(resources, slurm.known_facts().partitions)


def test_a_conversion_is_refused_in_the_same_words(slurm: Place) -> None:
    """A job that is to convert an image is Stalled at once as well, and leaves nothing that would be waited for."""
    extra = ("--mem-per-cpu=100M",)
    cluster = replace(slurm.cluster, convert_on="job", defaults=Resources(walltime_s=600, extra=extra))
    images = replace(slurm, cluster=cluster).client().images
    with pytest.raises(StalledError) as caught:
        images.submit_conversion("ab" * 32, Material(upload="c" * 64))
    assert caught.value.reason == "OptionsRejected"
    assert "mutually exclusive" in caught.value.message
    assert "resources.memory" in caught.value.message
    assert slurm.client().observe(Look()).conversions == {}


def test_a_number_beside_an_error_is_ambiguous(slurm: Place) -> None:
    """sbatch prints a job's id and fails all the same: there is a job, and it is found."""
    both = 'sbatch() { command sbatch "$@"; echo "sbatch: error: Invalid --mail-type specification" >&2; return 1; }'
    batch = slurm.batch(task(command="echo once"))
    assert isinstance(slurm.send(batch, client=slurm.client(both)).error, AmbiguousError)
    [mine] = slurm.records.values()
    assert slurm.ends(mine).state is TaskState.SUCCEEDED
    assert slurm.stdout(mine) == "once\n"


def test_a_submit_limit_is_a_wait(slurm: Place) -> None:
    """More tasks than the QOS allows to be submitted: told to wait, not refused for good."""
    batch = slurm.batch(*commands("sweep", *["true"] * 6), resources=Resources(qos="capped", walltime_s=60))
    end = slurm.send(batch)
    assert isinstance(end.error, WaitingError), end
    assert end.error.reason == "SubmitLimit"


def test_an_sbatch_that_lost_its_answer_is_ambiguous_and_adopted(slurm: Place) -> None:
    """sbatch accepts the job and says 'Socket timed out': not submitted again, and found by its name."""
    swallow = (
        'sbatch() { command sbatch "$@" >/dev/null;'
        " echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; return 1; }"
    )
    batch = slurm.batch(task(command="echo once"))
    end = slurm.send(batch, client=slurm.client(swallow))
    assert isinstance(end.error, AmbiguousError)
    assert slurm.send(batch).end is SubmitEnd.BUSY
    [mine] = slurm.records.values()
    done = slurm.ends(mine)
    assert done.state is TaskState.SUCCEEDED
    assert slurm.jobs(batch.batch) == {done.job_id}
    assert slurm.stdout(mine) == "once\n"


def test_a_queue_that_does_not_answer_is_unknown(slurm: Place) -> None:
    """squeue failing, or printing nonsense, makes the queue Unknown and says why; the rest is seen."""
    for squeue in ("echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; return 1", "echo oops"):
        client = slurm.client(f"squeue() {{ {squeue}; }}")
        seen = client.observe(Look(accounting_s=60))
        assert seen.reachable
        assert seen.queue is None
        assert seen.faults["queue"]
        assert seen.accounting is not None
        assert seen.events is not None


@pytest.mark.long
def test_a_time_limit_ends_a_run(slurm: Place) -> None:
    """A run over its time limit is Failed with Timeout."""
    [mine] = slurm.submit(task(command="sleep 600"), resources=Resources(walltime_s=60))
    assert slurm.ends(mine, deadline_s=240).reason == "Timeout"
