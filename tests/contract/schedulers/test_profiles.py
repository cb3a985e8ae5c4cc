"""A look, a submit and a cancellation on the real cluster, whatever the account's login profile does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.clusters.cluster import Look, SubmitEnd
from controller.model.observed import JobState
from controller.model.resources import Resources
from tests.contract.schedulers.conftest import Account
from tests.contract.schedulers.places import Place, until
from tests.profiles import PROFILES
from tests.unit.planning.values import task

pytestmark = pytest.mark.sandbox
MODULE = "module() { export LOADED=$2 PATH=$HOME/.programs:$PATH; }"
PROGRAM = "#!/bin/sh\necho version $LOADED\n"


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_a_profile_changes_nothing(slurm: Place, account: Account, profile: str) -> None:
    """All is as without it: what is seen, what is submitted, what is cancelled; and no file is left in its home."""
    plain = slurm.known_facts()
    slurm.cluster = replace(slurm.cluster, containers="apptainer", setup="module load containers")
    account.shell(
        f"mkdir ~/.programs; printf '{PROGRAM}' >~/.programs/apptainer; chmod 755 ~/.programs/*; touch ~/.noise"
    )
    account.write_profile(f"{MODULE}\n{profile}")
    home = account.shell("ls -A ~")

    seen = slurm.client().observe(Look(facts=True, accounting_s=60, full_scan=True))
    assert seen.reachable, seen.error
    assert not seen.faults
    # "module" is there where the setup is evaluated, and what it exports where the program is asked.
    assert seen.facts == replace(plain, container_version="version containers")

    batch = slurm.batch(task(command="echo done"), resources=Resources(walltime_s=60, extra=("--hold",)))
    end = slurm.send(batch)
    assert end.end is SubmitEnd.SUBMITTED, end
    [mine] = [job for job in slurm.observe().queue or () if job.job_id == end.job_id]
    assert mine.state is JobState.PENDING
    [record] = slurm.records.values()
    assert slurm.client().cancel([record]) == {record.id: "cancelled"}
    until("it is cancelled", lambda: "JobState=CANCELLED" in account.shell(f"scontrol show job -o {end.job_id}"))
    assert account.shell("ls -A ~") == home
