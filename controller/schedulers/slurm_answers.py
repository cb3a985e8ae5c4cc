"""What a failed sbatch has said, and what follows: a refusal, a wait, or a submit of unknown end.

The rule: what sbatch says before it contacts slurmctld is final; what slurmctld answers is final or a wait; only a
request or an answer that got lost on the way is ambiguous. sbatch reports slurmctld's answer in one line in all
versions, ``Batch job submission failed: TEXT``, where TEXT is slurm_strerror(3) of the error's number.

Sources: slurm_errno.h and slurm_errno.c, sbatch.c and slurm_opt.c of 20.11 to 26.05; the texts as libslurmfull.so of
Debian's 22.05.8, 24.11.5 and 26.05.5 has them (tests/unit/schedulers/sbatch_answers.txt is that catalogue).
"""

from __future__ import annotations

import re

from controller.schedulers.dialect import Refusal, SubmitFailure

_ANSWER = re.compile(r"(?:batch job submission failed|allocation failure): *(.*?)(?= sbatch: |$)", re.I | re.S)
_LIMIT = re.compile(r"\b(?:Assoc|QOS)[A-Z]\w+")
"""The name of a limit of slurmdbd's, as sbatch prints it on a line before the answer that "violates" one."""
_SOON_S, _LATER_S = 20.0, 300.0

LOST = re.compile(
    r"""timed\ out|time-out|unable\ to\ contact\ slurm\ controller|zero\ (bytes|length)|message\ (send|receive)\ failure
    |connection\ (failure|refused|reset|rejected|forced|abort)|broken\ pipe|unexpected\ message|communication
    |message\ length|header\ lengths|slurm_receive|send\ entire\ message|would\ block|stream\ version|shutting\ down
    |missing\ socket|socket\ peer|file\ descriptor|transport\ endpoint|no\ route\ to\ host|network\ is|host\ is\ down
    |find\ an\ address|protocol\ authentication|authentication\ (agent|credential|does|public)|unpack\ credential
    |token\ generation|memory\ management|interrupted\ system\ call|input/output\ error|operation\ now\ in\ progress
    |^(success|no\ error)$""",
    re.IGNORECASE | re.VERBOSE,
)
"""Words of an error on the way to slurmctld or back; errno 1000 to 1025, 1800 to 1803, 5000, 6000 and the C library's.

A credential that cannot be verified may be that of the answer, so that a job may exist.
"""

UNSENT = (
    ("configuration source", "SchedulerUnreachable", "sbatch found no configuration of SLURM"),
    ("process configuration file", "SchedulerUnreachable", "sbatch cannot read the configuration of SLURM"),
    ("munge encode failed", "SchedulerUnreachable", "munge does not answer on the login node"),
    ("Resource temporarily unavailable", "SchedulerBusy", "the login node or SLURM is busy right now"),
    ("Cannot allocate memory", "SchedulerBusy", "the login node has no memory left right now"),
    ("temporarily unable to accept job", "SchedulerBusy", "SLURM accepts no jobs right now"),
    ("job queue full", "SchedulerBusy", "SLURM's queue is full right now"),
)
"""Words -> reason, sentence: nothing was submitted, and it is likely to pass by itself."""

WAITS = (
    ("MaxJobCount limit reached", "SchedulerBusy", "SLURM's queue is full right now", _SOON_S),
    ("Unable to create job record, try again", "SchedulerBusy", "SLURM's queue is full right now", _SOON_S),
    ("Resource temporarily unavailable", "SchedulerBusy", "SLURM is busy right now", _SOON_S),
    ("Rate limit exceeded", "SchedulerBusy", "SLURM takes no more requests of this user right now", _SOON_S),
    ("Slurm backup controller in standby mode", "SchedulerBusy", "SLURM's controllers change over", _SOON_S),
    ("Controller is in standby mode", "SchedulerBusy", "SLURM's controllers change over", _SOON_S),
    ("Unable to connect to database", "SchedulerBusy", "SLURM cannot reach its database right now", _SOON_S),
    ("Requested nodes are busy", "SchedulerBusy", "the nodes are busy", _SOON_S),
    ("Licenses currently unavailable", "SchedulerBusy", "no license is free", _SOON_S),
    ("PrologSlurmctld is still running", "SchedulerBusy", "SLURM is preparing nodes", _SOON_S),
    ("Max powered up nodes reached", "SchedulerBusy", "no more nodes may be powered up right now", _SOON_S),
    ("I/O error writing script/environment", "SchedulerBusy", "slurmctld cannot write jobs down right now", _LATER_S),
    ("System submissions disabled", "SubmitClosed", "the administrators accept no jobs right now", _LATER_S),
    ("Required partition not available", "SubmitClosed", "the partition accepts no jobs right now", _LATER_S),
    ("Partition in DOWN state", "SubmitClosed", "the partition is down", _LATER_S),
    ("Required node not available", "SubmitClosed", "a node that it needs is down or reserved", _LATER_S),
    ("Job can not start due to maintenance", "SubmitClosed", "a maintenance is reserved", _LATER_S),
    ("Waiting for burst buffer", "SubmitClosed", "the burst buffer is not ready", _LATER_S),
    ("Usage rollup or archive in progress", "SchedulerBusy", "SLURM's database is busy", _SOON_S),
)
"""Text of an answer of slurmctld -> reason, sentence, seconds to the next try: not now, and that passes by itself."""

_ASSOCIATIONS = "List what you may use with: sacctmgr show assoc user=$USER format=account,partition,qos"
_PARTITIONS = "List what there is with: sinfo -o '%P %l %D %c %m %G'"
REFUSALS = (
    ("Invalid account", "AccountRejected", _ASSOCIATIONS),
    ("Invalid or unknown association", "AccountRejected", _ASSOCIATIONS),
    ("Invalid qos", "QosRejected", _ASSOCIATIONS),
    ("breached requested QOS", "QosRejected", _ASSOCIATIONS),
    ("Invalid wckey", "AccountRejected", "List your own with: sacctmgr show user $USER withassoc format=wckey"),
    ("invalid partition", "PartitionRejected", "List them with: sinfo -s"),
    ("No partition specified", "PartitionRejected", "Set resources.partition; list them with: sinfo -s"),
    ("not permitted to use this partition", "PartitionRejected", "List who may with: scontrol show partition"),
    ("Requested partition configuration", "ResourcesRejected", _PARTITIONS),
    ("nodes not in this partition", "ResourcesRejected", _PARTITIONS),
    ("time limit", "TimeRejected", "Set resources.time; list the limits with: sinfo -o '%P %l'"),
    ("time-min", "TimeRejected", "List the limits with: sinfo -o '%P %l'"),
    ("Requested node configuration", "ResourcesRejected", "No node can give what is asked: sinfo -Nel"),
    ("topology configuration", "ResourcesRejected", "No nodes together can give what is asked: sinfo -Nel"),
    ("Node count specification", "ResourcesRejected", _PARTITIONS),
    ("CPU count specification", "ResourcesRejected", _PARTITIONS),
    ("More processors requested", "ResourcesRejected", "Ask for fewer cpus."),
    ("more tasks than available", "ResourcesRejected", "Ask for fewer tasks."),
    ("Memory specification can not be satisfied", "ResourcesRejected", "Ask for less memory: sinfo -o '%P %m'"),
    ("Memory required by task", "ResourcesRejected", "Ask for less memory: sinfo -o '%P %m'"),
    ("generic resource", "GpusRejected", "List what nodes have with: sinfo -o '%P %G'"),
    ("Invalid GRES", "GpusRejected", "List what nodes have with: sinfo -o '%P %G'"),
    ("GRES option", "GpusRejected", "List what nodes have with: sinfo -o '%P %G'"),
    ("Insufficient GRES", "GpusRejected", "List what nodes have with: sinfo -o '%P %G'"),
    ("reservation", "ReservationRejected", "List them with: scontrol show reservation"),
    ("Invalid feature", "ConstraintRejected", "List what nodes have with: sinfo -o '%P %f'"),
    ("preferred feature", "ConstraintRejected", "List what nodes have with: sinfo -o '%P %f'"),
    ("--batch option", "ConstraintRejected", "List what nodes have with: sinfo -o '%P %f'"),
    ("license specification", "LicenseRejected", "List them with: scontrol show licenses"),
    ("dependency", "DependencyRejected", "Say what comes first with 'needs', not by an option in extra."),
    ("Access/permission denied", "SubmitDenied", "The account may not do that here: ask the administrators."),
    ("Incompatible versions", "SubmitRefused", "sbatch on the login node is not of slurmctld's version: ask there."),
)
"""Words -> reason, remedy: the first that fits. What else slurmctld answers is refused as well."""

OPTIONS = (
    (
        "--mem, --mem-per-cpu",
        "OptionsRejected",
        "resources.memory becomes --mem, also when it comes from the cluster's defaults: keep that, or the option in "
        "extra",
    ),
    (
        "mutually exclusive",
        "OptionsRejected",
        "Keep one of them: cpus, memory, gpus and nodes become options too, also from the cluster's defaults.",
    ),
    ("command not found", "SubmitRefused", "sbatch is not in PATH of a login shell there: load it in your profile."),
)
_OPTION_REMEDY = "Correct resources or extra of the spec, or the cluster's defaults; see sbatch --help on the cluster"
_ANSWER_REMEDY = f"Correct resources or extra of the spec, or the cluster's defaults. {_PARTITIONS}"

_SBATCH_SAYS = re.compile(r"\bsbatch\S*: (?:error|fatal|option|unrecognized|invalid|unknown|ambiguous)", re.IGNORECASE)
_FINAL = re.compile(r"invalid|unrecognized option|unknown option|unable to open|no such file", re.IGNORECASE)


def explain(exit_code: int, text: str) -> SubmitFailure:
    """Return what a failed sbatch means for the job."""
    said = " ".join(text.split()) or f"exit code {exit_code}"
    # 255 is sbatch's own code for options that it does not take; signals end below it. 0 came without a job's id.
    if 128 <= exit_code < 255 or exit_code == 0:
        return _unanswered(said)
    answers = _ANSWER.findall(said)
    if answers:
        return _answered(answers[-1].strip(), said)
    return _before_contact(exit_code, said)


def _answered(answer: str, said: str) -> SubmitFailure:
    """Slurmctld has answered, or the way to it is broken."""
    limits = _LIMIT.findall(said)
    if limits or _has(answer, "violates accounting/QOS policy"):
        return _limited(limits, said)
    for words, reason, sentence in UNSENT:
        if _has(said, words):
            return _wait(reason, sentence, said)
    for words, reason, sentence, retry_s in WAITS:
        if _has(answer, words):
            return _wait(reason, sentence, said, retry_s)
    if LOST.search(answer):
        return _unanswered(said)
    return _refused(answer, said, _ANSWER_REMEDY)


def _limited(limits: list[str], said: str) -> SubmitFailure:
    """How many jobs are submitted changes by itself; what one job may ask for does not."""
    if limits and not any("Submit" in limit for limit in limits):
        remedy = "One job may not ask for so much here: ask for less, or name another qos; sacctmgr show qos"
        return SubmitFailure(kind=Refusal.REFUSED, reason="LimitRejected", message=f"{said.rstrip('.')}. {remedy}")
    whose = f"the limit {limits[-1]} of the account or QOS" if limits else "a limit of the account or QOS"
    return _wait("SubmitLimit", f"{whose} allows no more submitted jobs right now", said)


def _before_contact(exit_code: int, said: str) -> SubmitFailure:
    limits = _LIMIT.findall(said)
    if limits or _has(said, "violates accounting/QOS policy"):
        return _limited(limits, said)
    for words, reason, sentence in UNSENT:
        if _has(said, words):
            return _wait(reason, sentence, said)
    if LOST.search(said):
        return _unanswered(said)
    if _SBATCH_SAYS.search(said) or _FINAL.search(said) or exit_code in (126, 127):
        return _refused(said, said, _OPTION_REMEDY)
    return _unanswered(said)


def _refused(words_of: str, said: str, otherwise: str) -> SubmitFailure:
    for words, reason, remedy in (*OPTIONS, *REFUSALS):
        if _has(words_of, words):
            return SubmitFailure(kind=Refusal.REFUSED, reason=reason, message=f"{said.rstrip('.')}. {remedy}")
    return SubmitFailure(kind=Refusal.REFUSED, reason="SubmitRefused", message=f"{said.rstrip('.')}. {otherwise}")


def _wait(reason: str, sentence: str, said: str, retry_s: float = _SOON_S) -> SubmitFailure:
    return SubmitFailure(kind=Refusal.WAIT, reason=reason, message=f"{sentence} ({said})", retry_after_s=retry_s)


def _unanswered(said: str) -> SubmitFailure:
    return SubmitFailure(kind=Refusal.AMBIGUOUS, reason="SubmitUnanswered", message=f"sbatch: {said}")


def _has(text: str, words: str) -> bool:
    return words.lower() in text.lower()
