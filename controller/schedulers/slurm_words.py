"""SLURM's words and what they mean: states, reasons for waiting. Tables only; sbatch's are in ``slurm_answers``.

Sources: squeue(1) "JOB STATE CODES" and sacct(1) of 24.11; https://slurm.schedmd.com/job_reason_codes.html.
"""

from __future__ import annotations

import re

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

PENDING_REASONS = {
    "Priority": "jobs with a higher priority go first",
    "Resources": "no node is free for it yet",
    "Dependency": "waits for a job that it depends on",
    "BeginTime": "its begin time has not come",
    "QOSMaxJobsPerUserLimit": "you run as many jobs as the QOS allows",
    "QOSMaxCpuPerUserLimit": "you use as many CPUs as the QOS allows",
    "QOSMaxGRESPerUser": "you use as many GPUs as the QOS allows",
    "QOSGrpCpuLimit": "the group uses as many CPUs as the QOS allows",
    "AssocGrpCpuLimit": "the account uses as many CPUs as it may",
    "AssocGrpGRES": "the account uses as many GPUs as it may",
    "AssocMaxJobsLimit": "you run as many jobs as the account allows",
    "AssocGrpBillingMinutes": "the account's budget is used up",
    "AssocGrpCPUMinutesLimit": "the account's CPU minutes are used up",
    "PartitionDown": "the partition is down",
    "ReqNodeNotAvail": "a node that it needs is down, drained or reserved",
    "NodeDown": "a node that it needs is down",
    "Reservation": "waits for its reservation",
    "JobArrayTaskLimit": "the array runs as many tasks at once as it may",
    "Licenses": "waits for a license",
    "Cleaning": "is being requeued",
}
"""Reasons that pass by themselves, at the latest when a node comes back or a limit is counted anew."""

_AGAIN = "then run it again: controller rerun TASK"
_SEE = "sinfo -o '%P %l %D %c %m %G'"
_NEVER = {
    "PartitionTimeLimit": f"it asks for more time than the partition allows. Lower resources.time ({_SEE}), {_AGAIN}",
    "PartitionNodeLimit": f"it asks for other numbers of nodes than it gives. Change nodes ({_SEE}), {_AGAIN}",
    "PartitionConfig": f"its partition has nothing like what it asks for. Change resources ({_SEE}), {_AGAIN}",
    "BadConstraints": f"no node meets all that it asks for. Change resources or extra ({_SEE}), {_AGAIN}",
    "DependencyNeverSatisfied": f"a job that an option in extra names did not end as it has to. Take it out, {_AGAIN}",
    "ReservationDeleted": f"its reservation is gone. Name another, or none, {_AGAIN}",
    "InvalidAccount": f"its account is not valid any more. Change resources.account, {_AGAIN}",
    "InvalidQOS": f"its QOS is not valid any more. Change resources.qos, {_AGAIN}",
    "AccountNotAllowed": f"its account may not use the partition. Change one of them, {_AGAIN}",
    "QOSNotAllowed": f"its QOS may not be used in the partition. Change one of them, {_AGAIN}",
}
"""Reasons of a job that can never start as it was asked for -> why, and what to change. A node that comes back, a job
that ends and an hour that passes change none of them; an administrator who changes the partition may.

The same goes for limits of one job, whose names are in ``_LIMIT_OF_ONE``: QOSMaxMemoryPerJob, AssocMaxNodePerJobLimit,
QOSMinGRES and so on (job_reason_codes.html, "...PerJob" and "QOSMin..."). Those of a user's or a group's jobs
together ("...PerUser", "Grp...") pass when other jobs end, or when their usage decays.
"""
_LIMIT_OF_ONE = re.compile(r"(QOS|Assoc)(Max\w*PerJob\w*|Min\w+)")
_HELD = {
    "JobHeldUser": "held by a user; release it with: scontrol release JOBID",
    "JobHeldAdmin": "held by an administrator: ask them",
    "JobHoldMaxRequeue": "was started too often and is on hold; release it with: scontrol release JOBID",
    "launch failed requeued held": "could not be started and was put on hold; release it with: scontrol release JOBID",
}
"""Reasons that wait for somebody's word."""


def waits_for(reason: str) -> tuple[str, bool]:
    """Return a pending job's reason as a sentence, "" for one not known, and whether it waits for a person.

    The sentence may hold JOBID and TASK, which stand for this job's own.
    """
    # With the nodes behind a comma where some are down.
    reason = reason.partition(",")[0]
    if reason in _NEVER:
        return f"it can never start as asked: {_NEVER[reason]}", True
    if _LIMIT_OF_ONE.fullmatch(reason):
        return f"it can never start as asked: one job may not ask for so much ({reason}). Ask for less, {_AGAIN}", True
    if reason in _HELD:
        return _HELD[reason], True
    return PENDING_REASONS.get(reason, ""), False
