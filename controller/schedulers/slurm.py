"""SLURM, by text, right on 20.11 to 26.05: sbatch(1), squeue(1), sacct(1), scancel(1).

JSON output is left alone on purpose: 40 times slower at 10,000 jobs, missing in 20.11, and of another shape in each
version since.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from controller.model.observed import JobRecord, JobState, Partition
from controller.model.resources import Resources
from controller.schedulers.dialect import GarbledOutput, SubmitFailure, SubmitRequest
from controller.schedulers.slurm_answers import explain
from controller.schedulers.slurm_words import STATES, waits_for

_QUEUE_ID = re.compile(r"^(\d+)(?:_(\d+|\[[^\]]*\]?|\S*\.\.\.))?$")
_CONFIGURATION = (
    '/^SLURM_VERSION/{print "version " $2} /^MaxArraySize/{print "max_array_size " $2} '
    '/^AccountingStorageType/{print "accounting " ($2 ~ /none/ ? 0 : 1)}'
)
_CANCEL = """cancel_tagged() {
  local listed id name targets=()
  local -A named
  listed=$(squeue --me --noheader --format='%F %j') || return
  while read -r id name; do named[$id $name]=1; done <<<"$listed"
  while [ "$#" -gt 1 ]; do
    if [ -n "${named[${1%%_*} $2]:-}" ]; then targets+=("$1"); fi
    shift 2
  done
  if [ "${#targets[@]}" -gt 0 ]; then scancel -- "${targets[@]}"; fi
}"""
# Exact: otherwise nodes of different sizes share a line that shows the smallest.
_PARTITIONS = "sinfo --noheader --exact --format='partition %P %m %l %c %D %G' 2>/dev/null"


class Slurm:
    """See ``Scheduler``."""

    name = "slurm"
    # With --parsable "id" or "id;cluster", on a line of its own between whatever a site's wrappers print.
    job_id_pattern = r"^[0-9]+(;.*)?$"
    identity = "job_id=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}\nindex=${SLURM_ARRAY_TASK_ID:-0}"
    login = True
    # srun(1) takes --export from the submission otherwise, which was none.
    exports = "export SLURM_EXPORT_ENV=ALL"
    program = None
    find_job = "squeue --me --states=all --name=NAME; sacct --starttime=now-30days --name=NAME"

    def submit_line(self, request: SubmitRequest) -> str:
        """Return an sbatch command; all options in argv, which outranks SBATCH_* and #SBATCH alike."""
        argv = [
            "sbatch",
            "--parsable",
            f"--job-name={request.tag}",
            f"--comment={request.tag}",
            "--output=job.out",
            "--open-mode=append",
            f"--export={'NIL' if _version(request.scheduler_version) >= (23, 2) else 'NONE'}",
        ]
        if request.count > 1:
            at_once = f"%{request.max_running}" if request.max_running else ""
            argv.append(f"--array=0-{request.count - 1}{at_once}")
        if request.priority < 0:
            argv.append(f"--nice={-request.priority}")
        argv += _resource_options(request.resources)
        return shlex.join([*argv, "./job.sh"]) + ' "$try"'

    def queue_command(self) -> str:
        """Ended jobs are listed too: for MinJobAge (300 s by default) that is as good as accounting."""
        return "SLURM_TIME_FORMAT=%s squeue --me --noheader --array --states=all --format='%i|%T|%S|%r|%j'"

    def accounting_command(self, since_s: int) -> str:
        """An explicit start: the default window begins at midnight."""
        return (
            f"SLURM_TIME_FORMAT=%s sacct --allocations --noheader --parsable2 --starttime=now-{since_s}seconds "
            "--format=JobID,State,ExitCode,Start,End,JobName%300"
        )

    def cancel_command(self) -> str:
        """One squeue tells which of them still are what they were; ended ones need no scancel."""
        return f"{_CANCEL}; cancel_tagged"

    def facts_command(self) -> str:
        """One call to slurmctld for its configuration and one for its partitions."""
        return f"scontrol show config | awk -F' *= *' '{_CONFIGURATION}'; {_PARTITIONS}"

    def partitions(self, text: str) -> dict[str, Partition]:
        """Read ``partition NAME MEMORY TIME CPUS NODES GRES`` lines of sinfo(1); the default partition has a star."""
        found: dict[str, Partition] = {}
        for line in text.splitlines():
            words = line.split()
            if len(words) == 7 and words[0] == "partition":
                name = words[1].rstrip("*")
                found[name] = _joined(found.get(name, Partition(gpus={})), words[2:])
                if words[1].endswith("*"):
                    found[""] = found[name]
        return found

    def target(self, job_id: str, index: int, *, array: bool) -> str:
        """``123_4`` for a task of an array, ``123`` otherwise."""
        return f"{job_id}_{index}" if array else job_id

    def parse_queue(self, text: str) -> tuple[JobRecord, ...]:
        """Read ``id|state|start|reason|name`` lines; the name last, since other people's names hold anything."""
        records = []
        for line in _lines(text):
            fields = line.split("|", 4)
            match = _QUEUE_ID.match(fields[0])
            if len(fields) != 5 or match is None or not fields[1]:
                raise GarbledOutput(f"squeue printed a line that is not id|state|start|reason|name: {line[:200]!r}")
            index = match[2]
            if index is not None and not index.isdigit():
                continue
            message, needs_person = waits_for(fields[3])
            records.append(
                JobRecord(
                    job_id=match[1],
                    index=None if index is None else int(index),
                    tag=fields[4],
                    state=_state(fields[1]),
                    word=fields[1],
                    reason="" if fields[3] == "None" else fields[3],
                    message=message,
                    needs_person=needs_person,
                    # Refused at the submit, and listed all the same: its start is the time of the refusal.
                    started=None if fields[3] == "BadConstraints" else _time(fields[2]),
                )
            )
        return tuple(records)

    def parse_accounting(self, text: str) -> tuple[JobRecord, ...]:
        """Read ``id|state|exit|start|end|name`` lines; pending parts of arrays (``12_[3-9]``) say nothing yet."""
        records = {}
        for line in _lines(text):
            fields = line.split("|", 5)
            match = _QUEUE_ID.match(fields[0])
            if len(fields) != 6 or match is None or not fields[1]:
                if len(fields) == 6 and re.match(r"^\d+\+", fields[0]):
                    continue  # a part of a heterogeneous job: never ours
                raise GarbledOutput(f"sacct printed a line that is not id|state|exit|start|end|name: {line[:200]!r}")
            index = match[2]
            if index is not None and not index.isdigit():
                continue
            word = fields[1].split()[0]
            records[fields[0]] = JobRecord(
                job_id=match[1],
                index=None if index is None else int(index),
                tag=fields[5],
                state=_state(word),
                word=fields[1],
                exit_code=_exit_code(fields[2]),
                started=_time(fields[3]),
                ended=_time(fields[4]),
            )
        return tuple(records.values())

    def explain_failure(self, exit_code: int, text: str) -> SubmitFailure:
        """See ``slurm_answers``."""
        return explain(exit_code, text)


def _resource_options(resources: Resources) -> list[str]:
    options = []
    if resources.nodes is not None:
        options.append(f"--nodes={resources.nodes}")
    if resources.cpus is not None:
        options.append(f"--cpus-per-task={resources.cpus}")
    if resources.memory_mib is not None:
        options.append(f"--mem={resources.memory_mib}M")
    if resources.gpus is not None and resources.gpus.count:
        kind = f":{resources.gpus.type}" if resources.gpus.type else ""
        options.append(f"--gres=gpu{kind}:{resources.gpus.count}")
    if resources.walltime_s is not None:
        minutes, seconds = divmod(resources.walltime_s, 60)
        options.append(f"--time={minutes}:{seconds:02d}")
    for option, value in (("partition", resources.partition), ("account", resources.account), ("qos", resources.qos)):
        if value is not None:
            options.append(f"--{option}={value}")
    return [*options, *resources.extra]


def _joined(known: Partition, words: list[str]) -> Partition:
    """Add the nodes of one line of sinfo to a partition. A memory of 1 MiB is that of nodes nobody configured."""
    memory, walltime, cpus, nodes, gres = words
    memory_mib = _number(memory)
    return Partition(
        memory_mib=max(known.memory_mib, memory_mib if memory_mib > 1 else 0),
        walltime_s=max(known.walltime_s, _seconds(walltime)),
        cpus=max(known.cpus, _number(cpus)),
        nodes=known.nodes + _number(nodes),
        gpus=_most(known.gpus or {}, _gpus(gres)),
    )


def _gpus(gres: str) -> dict[str, int]:
    """Read the GPUs in ``gpu:a100:4(S:0-1),gpu:2,license:1``, by type, and under "" of all types together."""
    found: dict[str, int] = {}
    for kind, count in re.findall(r"(?:^|,)gpu(?::([^:,(]+))??:(\d+)", gres):
        for name in {kind, ""}:
            found[name] = found.get(name, 0) + int(count)
    return found


def _most(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {*one, *other}}


def _number(text: str) -> int:
    return int(text.rstrip("+")) if text.rstrip("+").isdigit() else 0


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _state(word: str) -> JobState:
    """A word that is not known is Unknown, never Failed."""
    return STATES.get(word.rstrip("+").upper(), JobState.UNKNOWN)


def _time(text: str) -> float | None:
    return float(text) if text.isdigit() and text != "0" else None


def _seconds(text: str) -> int:
    """Read SLURM's ``[days-]hours:minutes:seconds``; 0 for infinite and for anything else."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if match is None:
        return 0
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _exit_code(text: str) -> int | None:
    """Read sacct's ``code:signal``; a signal becomes 128 + its number, as a shell says it."""
    code, _, signal = text.partition(":")
    if not code.isdigit():
        return None
    return 128 + int(signal) if signal.isdigit() and int(signal) else int(code)


def _version(text: str) -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


SCHEDULER = Slurm()
