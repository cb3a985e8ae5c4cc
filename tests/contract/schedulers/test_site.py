"""What an account sets for SLURM in its profile counts here as it does for sbatch by hand, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from controller.clusters.cluster import Look, SubmitEnd
from controller.model.observed import Charged, JobState
from controller.model.resources import Resources
from tests.contract.schedulers.conftest import Account
from tests.contract.schedulers.places import Place
from tests.unit.planning.values import task

pytestmark = pytest.mark.sandbox
HELD = {"walltime_s": 60, "extra": ("--hold",)}


def charged(place: Place, **resources: object) -> Charged:
    """Submit a run that is held, and return under what the queue says that it goes; accounting says the same."""
    end = place.send(place.batch(task(), resources=Resources(**(HELD | resources))))  # type: ignore[arg-type]
    assert end.end is SubmitEnd.SUBMITTED, end
    seen = place.observe()
    [queued] = [job for job in seen.queue or () if job.job_id == end.job_id]
    assert (queued.index, queued.state) == (None, JobState.PENDING)
    assert {job.charged for job in seen.accounting or () if job.job_id == end.job_id} <= {queued.charged}
    place.look()
    [record] = place.records.values()
    assert record.charged == queued.charged
    return queued.charged


@pytest.fixture
def elsewhere(account: Account) -> Iterator[str]:
    """SLURM's configuration at another place, and none at the usual one."""
    account.shell(
        "cp -a /etc/slurm /opt/slurm && sed -i 's|/etc/slurm|/opt/slurm|' /opt/slurm/*.conf && "
        "mv /etc/slurm /etc/slurm.away",
        root=True,
    )
    yield "/opt/slurm/slurm.conf"
    account.shell("mv /etc/slurm.away /etc/slurm; rm -rf /opt/slurm", root=True)


def test_a_configuration_elsewhere(slurm: Place, account: Account, elsewhere: str) -> None:
    """With SLURM_CONF in the profile all of it works, as ``bash -lc squeue`` does; without it nothing could."""
    blind = slurm.client().observe(Look(accounting_s=60, facts=True))
    assert {"queue", "accounting"} <= {*blind.faults}
    account.write_profile(f"export SLURM_CONF={elsewhere}")
    account.shell("bash -lc squeue")
    seen = slurm.client().observe(Look(accounting_s=60, facts=True))
    assert not seen.faults
    assert seen.facts is not None
    assert seen.facts.scheduler_version
    assert charged(slurm).account == "lab"
    [record] = slurm.records.values()
    assert slurm.client().cancel([record]) == {record.id: "cancelled"}
    assert slurm.state(record) in ("Cancelled", "Queued")


def test_a_token_is_used_and_never_said(slurm: Place, account: Account) -> None:
    """The sandbox knows no tokens: what squeue says of that shows that it was given one, and not which."""
    slurm.known_facts()
    account.write_profile("export SLURM_JWT=very-secret")
    seen = slurm.client().observe(Look(accounting_s=60, facts=True, full_scan=True))
    assert "auth/jwt" in seen.faults["queue"]
    assert "very-secret" not in repr(seen)


OWN = "export SBATCH_ACCOUNT=other SBATCH_PARTITION=urgent SBATCH_QOS=capped"


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, Charged(account="other", partition="urgent", qos="capped")),
        ({"account": "lab"}, Charged(account="lab", partition="urgent", qos="capped")),
        ({"partition": "short", "qos": "normal"}, Charged(account="other", partition="short", qos="normal")),
        (
            {"account": "lab", "partition": "short", "qos": "normal"},
            Charged(account="lab", partition="short", qos="normal"),
        ),
    ],
)
def test_the_accounts_own_choice_counts_where_nothing_else_is_said(
    slurm: Place, account: Account, resources: dict[str, str], expected: Charged
) -> None:
    """By hand the job would go to other/urgent; so it does here, unless spec or cluster say otherwise."""
    slurm.known_facts()
    account.write_profile(OWN)
    assert charged(slurm, **resources) == expected


def test_a_reservation_of_the_account(slurm: Place, account: Account) -> None:
    """One that is not there is refused by name, so that it was asked for."""
    slurm.known_facts()
    account.write_profile("export SBATCH_RESERVATION=nosuch")
    end = slurm.send(slurm.batch(task(), resources=Resources(walltime_s=60)))
    assert "reservation" in str(end.error), end


OTHERS = {
    "clusters": "SLURM_CLUSTERS=nosuch SBATCH_CLUSTERS=nosuch",
    "formats": "SQUEUE_FORMAT=%i SQUEUE_FORMAT2=jobid SACCT_FORMAT=jobid SINFO_FORMAT=%n SQUEUE_SORT=-i SQUEUE_ALL=1",
    "filters": "SQUEUE_STATES=CD SQUEUE_USERS=root SQUEUE_ACCOUNT=other SQUEUE_PARTITION=urgent SQUEUE_NAMES=nosuch",
    "cancelling": "SCANCEL_STATE=SUSPENDED SCANCEL_ACCOUNT=nosuch SCANCEL_NAME=nosuch SCANCEL_INTERACTIVE=true",
    "times": "SLURM_TIME_FORMAT=relative SLURM_BITSTR_LEN=4",
    "array": "SBATCH_ARRAY_INX=1-5",
    "waiting": "SBATCH_WAIT=1",
    "environment": "SBATCH_EXPORT=ALL SBATCH_GET_USER_ENV=1 SLURM_EXPORT_ENV=NONE",
    "names": "SBATCH_JOB_NAME=mine SBATCH_COMMENT=mine SBATCH_OUTPUT=/nowhere/x SBATCH_ERROR=/nowhere/x",
    "requeue": "SBATCH_REQUEUE=0 SBATCH_NO_REQUEUE=1",
    "shape": "SBATCH_TIMELIMIT=1 SBATCH_MEM_PER_NODE=1 SBATCH_GRES=gpu:9 SBATCH_CONSTRAINT=nosuch SBATCH_EXCLUSIVE=1",
    "chatter": "SBATCH_DEBUG=9 SLURM_DEBUG_FLAGS=Backfill SBATCH_TEST_ONLY=1 SLURM_JOB_ID=1 SLURM_STEP_ID=0",
}


@pytest.mark.parametrize("variables", OTHERS.values(), ids=OTHERS.keys())
def test_other_variables_of_an_account_change_nothing(slurm: Place, account: Account, variables: str) -> None:
    """What would send jobs elsewhere, or change what SLURM's programs print, is not passed on."""
    plain = slurm.known_facts()
    account.write_profile(f"export {variables}")
    seen = slurm.client().observe(Look(accounting_s=60, facts=True))
    assert seen.facts == plain
    assert charged(slurm) == Charged(account="lab", partition="short", qos="normal")
    [record] = slurm.records.values()
    shown = account.shell(f"scontrol show job -o {record.job_id}")
    assert "Requeue=1" in shown
    assert "TimeLimit=00:01:00" in shown
    slurm.client().cancel([record])
    assert "JobState=CANCELLED" in account.shell(f"scontrol show job -o {record.job_id}")
