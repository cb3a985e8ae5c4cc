"""SLURM, by text, right on 20.11 to 26.05: sbatch(1), squeue(1), sacct(1), scancel(1).

JSON output is left alone on purpose: 40 times slower at 10,000 jobs, missing in 20.11, and of another shape in each
version since.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from controller.model.observed import Charged, JobRecord, JobState, Partition
from controller.model.resources import Resources
from controller.schedulers.dialect import GarbledOutput, SubmitFailure, SubmitRequest
from controller.schedulers.records import DELIMITER, FORMAT, delimited, framed, refuse_if_ours
from controller.schedulers.slurm_answers import explain
from controller.schedulers.slurm_words import STATES, waits_for

_ID = re.compile(r"([0-9]+)(?:_([0-9]+|\[[^\]]*\]?|\S*\.\.\.))?")
_PART_OF_SEVERAL = re.compile(r"\d+\+\d+")
"""Id of a part of a heterogeneous job: whatever its name, none of ours."""
"""``17``, ``18_4``, and parts of an array that wait, ``18_[5-9%4]``; not ``90+0``, a part of a heterogeneous job."""
_QUEUE = FORMAT.format(fields="%i|%T|%S|%r|%a|%P|%q|%j")
_ACCOUNTING = "JobID,State,ExitCode,Start,End,Account,Partition,QOS,JobName"
_CONFIGURATION = (
    '/^SLURM_VERSION/{print "version " $2} /^MaxArraySize/{print "max_array_size " $2} '
    '/^AccountingStorageType/{print "accounting " ($2 ~ /none/ ? 0 : 1)} /^ClusterName/{print "system " $2}'
)
_CANCEL = """cancel_tagged() {
  local listed line key targets=()
  local -A named
  listed=$(squeue --me --noheader --format="LISTED") || return
  while IFS= read -r line; do
    case $line in "@$nonce|"*) named[$line]=1 ;; esac
  done <<<"$listed"
  while [ "$#" -gt 1 ]; do
    key="WANTED"
    if [ -n "${named[$key]:-}" ]; then targets+=("$1"); fi
    shift 2
  done
  if [ "${#targets[@]}" -gt 0 ]; then scancel -- "${targets[@]}" && printf '%s\\n' "${targets[@]}"; fi
}""".replace("LISTED", FORMAT.format(fields="%F|%j")).replace("WANTED", FORMAT.format(fields="${1%%_*}|$2"))
"""Whose name holds a line break has no whole record on a line, and none of ours does."""
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
        return f'SLURM_TIME_FORMAT=%s squeue --me --array --states=all --format="{_QUEUE}"'

    def accounting_command(self, since_s: int) -> str:
        """An explicit start: the default window begins at midnight."""
        return (
            f"SLURM_TIME_FORMAT=%s sacct --allocations --parsable --starttime=now-{since_s}seconds "
            f'--delimiter="{DELIMITER}" --format={_ACCOUNTING}'
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
        for line in text.split("\n"):
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

    def parse_queue(self, text: str, nonce: str) -> tuple[JobRecord, ...]:
        """The header comes first, and only from a squeue that has reached slurmctld: without it there is no answer."""
        header, *rows = framed(text, nonce, 8) or [[""]]
        if header[0] != "JOBID":
            raise GarbledOutput(f"squeue printed no list of jobs: {text[:200]!r}")
        records = []
        for row in rows:
            job, word, start, reason, account, partition, qos, name = row
            if (known := _known(job, word, name, row)) is None:
                continue
            message, needs_person = waits_for(reason)
            records.append(
                JobRecord(
                    job_id=known[0],
                    index=known[1],
                    tag=name,
                    state=_state(word),
                    word=word,
                    reason="" if reason == "None" else reason,
                    message=message,
                    needs_person=needs_person,
                    # Refused at the submit, and listed all the same: its start is the time of the refusal.
                    started=None if reason == "BadConstraints" else _time(start),
                    charged=_charged(account, partition, qos),
                )
            )
        return tuple(records)

    def parse_accounting(self, text: str, nonce: str) -> tuple[JobRecord, ...]:
        """Pending parts of arrays (``12_[3-9]``) say nothing yet; of several records of one job the last counts."""
        header, *rows = delimited(text, nonce, 9) or [[""]]
        if header[0] != "JobID":
            raise GarbledOutput(f"sacct printed no list of jobs: {text[:200]!r}")
        records = {}
        for row in rows:
            job, word, code, start, end, account, partition, qos, name = row
            if (known := _known(job, word, name, row)) is None:
                continue
            records[job] = JobRecord(
                job_id=known[0],
                index=known[1],
                tag=name,
                state=_state(word.split()[0]),
                word=word,
                exit_code=_exit_code(code),
                started=_time(start),
                ended=_time(end),
                charged=_charged(account, partition, qos),
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


def _known(job: str, word: str, name: str, record: list[str]) -> tuple[str, int | None] | None:
    """Return id and index of a record; None for what is not ours, or for parts of an array that wait together.

    Raises:
        GarbledOutput: it may be ours, and cannot be read.
    """
    if _PART_OF_SEVERAL.fullmatch(job):
        return None
    match = _ID.fullmatch(job)
    if match is None or not word.strip():
        refuse_if_ours(name, record)
        return None
    if match[2] is None:
        return match[1], None
    return (match[1], int(match[2])) if match[2].isdecimal() else None


def _charged(account: str, partition: str, qos: str) -> Charged:
    """squeue says ``(null)`` or ``N/A`` for what a job has none of."""
    return Charged(
        **{
            field: "" if value in ("(null)", "N/A", "Unknown") else value
            for field, value in (("account", account), ("partition", partition), ("qos", qos))
        }
    )


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
