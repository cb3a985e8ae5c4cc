"""Jobs of the same account that are not ours, by names that the real sbatch takes: they never disturb."""

from __future__ import annotations

import os
import random
import uuid

import pytest

from controller.model.conditions import TaskState
from controller.model.observed import JobState
from controller.model.resources import Resources
from tests.contract.schedulers.conftest import Account
from tests.contract.schedulers.places import Place, until
from tests.unit.planning.values import task

pytestmark = pytest.mark.sandbox
PIECES = [
    b"\n",
    b"\f",
    b"\v",
    b"\r",
    b"\t",
    b"|",
    b"@",
    b"%i",
    b"\x85",
    b"\xe9",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b" ",
    b"]",
    b"'",
]
HET = "#!/bin/bash\n#SBATCH --account=lab --mem=16M\n#SBATCH hetjob\n#SBATCH --account=lab --mem=16M\ntrue\n"


def names(chance: random.Random, ours: bytes) -> list[bytes]:
    """Thirty odd names, some of which hold a whole record of ours."""
    fixed = [
        b"two\nlines",
        b"x" * 1000,
        b"-",
        ours + b"\n",
        b"\n" + ours,
        b"17|RUNNING|0|None|lab|short|normal|" + ours,
    ]
    drawn = [
        b"n" + b"".join(chance.choices([*PIECES, b"a", ours], k=chance.randint(1, 8))) for _ in range(30 - len(fixed))
    ]
    return fixed + drawn


def in_bash(name: bytes) -> str:
    return "$'" + "".join(f"\\x{byte:02x}" for byte in name) + "'"


def test_jobs_of_others_are_as_if_they_were_not_there(slurm: Place, account: Account) -> None:
    """Thirty names and a heterogeneous job in the queue: ours is found, cancelled and known to be; they live on."""
    seed = int(os.environ.get("CHAOS_SEED") or uuid.uuid4().int % 1_000_000)
    [mine] = slurm.submit(task(), resources=Resources(walltime_s=60, extra=("--hold",)))
    ours = f"{slurm.instance}-{mine.batch[:12]}".encode()
    options = "--hold --parsable --account=lab --mem=16M --output=/dev/null"
    submits = [f"sbatch {options} --job-name={in_bash(name)} --wrap true" for name in names(random.Random(seed), ours)]
    het = f"sbatch --hold --parsable --output=/dev/null <<'END'\n{HET}END"
    others = account.shell("cd /tmp; set -e\n" + "\n".join([*submits, het])).split()
    try:
        assert len(others) == 31
        seen = slurm.observe()
        [found] = [job for job in seen.queue or () if job.job_id == mine.job_id]
        assert (found.tag.encode(), found.state) == (ours, JobState.PENDING), seed
        assert {job.job_id for job in seen.queue or ()} >= {*others[:-1]}, seed
        slurm.client().cancel([mine])
        until("ours is cancelled", lambda: slurm.state(mine) is TaskState.CANCELLED)
        listed = account.shell("squeue --me --noheader --states=PENDING --format=@%i@ | grep -o '@[0-9+]*@'").split()
        assert {f"@{each}@" for each in others[:-1]} <= {*listed}, (seed, "what is not ours lives on")
        assert f"@{others[-1]}+1@" in listed
    finally:
        account.shell(f"scancel {' '.join(others)}")


def test_files_that_are_none_of_ours_are_passed_over(place: Place) -> None:
    """Names with blanks and line breaks where our files lie: all is seen, and they are not."""
    [mine] = place.submit(task(command="echo done"))
    place.ends(mine)
    base = f"{place.root}/{place.instance}"
    event = '{"run":"x/y/1","kind":"exited","owner":"1_0@x.1","at":1,"exit_code":0}'
    identity = "ab" * 32
    place.shell(
        f"cd {base}/spool; printf '%s' '{event}' | tee 'a b.json' $'two\\nlines.json' $'c\\u2028d.json' '|.json'\n"
        f"mkdir -p {place.root}/images {place.root}/files; cd {place.root}/images\n"
        f"touch '0 1.sif' $'00\\n{identity}.sif 12' 'é.sif' '0x.sif' {identity}.sif\n"
        f"mkdir '.making.a b' $'.making.a\\nb' {place.root}/files/'0 1' $'{place.root}/files/0\\n{identity}'\n"
        f"mkdir -p {base}/runs/'a b'/c/1/.controller $'{base}/runs/a\\nb/c/1/.controller' {base}/submissions/'a b'\n"
        f"mkdir -p '{place.root}/no instance/uses'; touch '{place.root}/no instance/uses/{identity}' '.a b'"
    )
    seen = place.observe(full_scan=True)
    assert seen.events is not None
    assert {event.run for event in seen.events} == {mine.id}
    assert seen.images == {identity: 0}
    assert seen.conversions == {}
    assert seen.files == frozenset()
    assert seen.scanned is not None
    assert [lock.run for lock in seen.scanned] == [mine.id]
    store = place.client().storage.look([])
    assert [sif.identity for sif in store.sifs] == [identity]
    assert store.marks == ()
