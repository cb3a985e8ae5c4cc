"""SLURM's words and what they mean: states, reasons for waiting, reasons for refusing. Tables only.

Sources: squeue(1) "JOB STATE CODES" and sacct(1) of 24.11; https://slurm.schedmd.com/job_reason_codes.html;
slurm_errno.c for the messages of sbatch.
"""

from __future__ import annotations

from controller.model.observed import JobState

STATES = {
    "PENDING": JobState.PENDING,
    "CONFIGURING": JobState.PENDING,
    "REQUEUED": JobState.PENDING,
    "REQUEUE_FED": JobState.PENDING,
    "REQUEUE_HOLD": JobState.PENDING,
    "RESV_DEL_HOLD": JobState.PENDING,
    "SPECIAL_EXIT": JobState.PENDING,
    "POWER_UP_NODE": JobState.PENDING,
    "RUNNING": JobState.RUNNING,
    "SUSPENDED": JobState.RUNNING,
    "STOPPED": JobState.RUNNING,
    "RESIZING": JobState.RUNNING,
    "SIGNALING": JobState.RUNNING,
    "EXPEDITING": JobState.RUNNING,
    "COMPLETING": JobState.ENDING,
    "STAGE_OUT": JobState.ENDING,
    "COMPLETED": JobState.COMPLETED,
    "FAILED": JobState.FAILED,
    "LAUNCH_FAILED": JobState.FAILED,
    "RECONFIG_FAIL": JobState.FAILED,
    "CANCELLED": JobState.CANCELLED,
    "REVOKED": JobState.CANCELLED,
    "TIMEOUT": JobState.TIMEOUT,
    "OUT_OF_MEMORY": JobState.OUT_OF_MEMORY,
    "NODE_FAIL": JobState.NODE_FAIL,
    "PREEMPTED": JobState.PREEMPTED,
    "DEADLINE": JobState.DEADLINE,
    "BOOT_FAIL": JobState.BOOT_FAIL,
}

WAITS = (
    ("QOSMaxSubmitJobPerUserLimit", "SubmitLimit", "the QOS allows no more submitted jobs for this user right now"),
    (
        "QOSMaxSubmitJobPerAccountLimit",
        "SubmitLimit",
        "the QOS allows no more submitted jobs for this account right now",
    ),
    ("QOSMaxSubmitJobLimit", "SubmitLimit", "the QOS allows no more submitted jobs right now"),
    ("QOSGrpSubmitJobsLimit", "SubmitLimit", "the QOS allows no more submitted jobs for its group right now"),
    ("AssocMaxSubmitJobLimit", "SubmitLimit", "the account allows no more submitted jobs for this user right now"),
    ("AssocGrpSubmitJobsLimit", "SubmitLimit", "the account allows no more submitted jobs right now"),
    ("Job violates accounting/QOS policy", "SubmitLimit", "a limit of the account or QOS is reached"),
    ("Slurm temporarily unable to accept job", "SchedulerBusy", "SLURM accepts no jobs right now"),
    ("Resource temporarily unavailable", "SchedulerBusy", "SLURM is busy right now"),
)

REFUSALS = (
    (
        "Invalid account",
        "AccountRejected",
        "List your own with: sacctmgr show assoc user=$USER format=account,partition",
    ),
    ("Invalid qos", "QosRejected", "List your own with: sacctmgr show assoc user=$USER format=account,qos"),
    ("invalid partition", "PartitionRejected", "List them with: sinfo -s"),
    ("Requested time limit is invalid", "TimeRejected", "List the limits with: sinfo -o '%P %l'"),
    (
        "Requested node configuration is not available",
        "ResourcesRejected",
        "No node can give what is asked: sinfo -Nel",
    ),
    ("Invalid generic resource", "GpusRejected", "List what nodes have with: sinfo -o '%P %G'"),
    ("More processors requested than permitted", "ResourcesRejected", "Ask for fewer cpus."),
    ("Memory specification can not be satisfied", "ResourcesRejected", "Ask for less memory: sinfo -o '%P %m'"),
)

PENDING_REASONS = {
    "Priority": "jobs with a higher priority go first",
    "Resources": "no node is free for it yet",
    "Dependency": "waits for a job that it depends on",
    "BeginTime": "its begin time has not come",
    "JobHeldUser": "held by a user; release it with: scontrol release JOBID",
    "JobHeldAdmin": "held by an administrator: ask them",
    "QOSMaxJobsPerUserLimit": "you run as many jobs as the QOS allows",
    "QOSMaxCpuPerUserLimit": "you use as many CPUs as the QOS allows",
    "QOSMaxGRESPerUser": "you use as many GPUs as the QOS allows",
    "QOSGrpCpuLimit": "the group uses as many CPUs as the QOS allows",
    "AssocGrpCpuLimit": "the account uses as many CPUs as it may",
    "AssocGrpGRES": "the account uses as many GPUs as it may",
    "AssocMaxJobsLimit": "you run as many jobs as the account allows",
    "AssocGrpBillingMinutes": "the account's budget is used up",
    "AssocGrpCPUMinutesLimit": "the account's CPU minutes are used up",
    "PartitionTimeLimit": "asks for more time than the partition allows",
    "PartitionNodeLimit": "asks for more nodes than the partition has",
    "PartitionDown": "the partition is down",
    "ReqNodeNotAvail": "a node that it needs is down, drained or reserved",
    "NodeDown": "a node that it needs is down",
    "Reservation": "waits for its reservation",
    "JobArrayTaskLimit": "the array runs as many tasks at once as it may",
    "launch failed requeued held": "could not be started and was put on hold; release it with: scontrol release JOBID",
    "Licenses": "waits for a license",
    "Cleaning": "is being requeued",
}
