"""What a scheduler has to offer: shell text that asks and acts, and parsers for what comes back.

Commands are shell text for the far side, made of fixed words and quoted values. They may use ``$root``, the work
directory on the cluster. Parsers never guess: text that is not as expected raises ``GarbledOutput``, which makes that
part of the observation Unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from controller.model.observed import JobRecord, Partition
from controller.model.resources import Resources


class GarbledOutput(Exception):
    """The scheduler's answer is not in the form that it was asked for."""


class Refusal(StrEnum):
    """What a submit command's failure means for the job."""

    REFUSED = "refused"
    """It was not submitted, and the same request will not be."""
    WAIT = "wait"
    """It was not submitted; a limit has to free up first."""
    AMBIGUOUS = "ambiguous"
    """It may have been submitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitFailure:
    """A failed submit command, understood."""

    kind: Refusal
    reason: str
    message: str
    retry_after_s: float = 20.0
    """For ``WAIT``: how long to leave it alone. Jobs that end make room at any time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitRequest:
    """One batch: ``count`` runs that ask for the same resources, started as indices 0 to count-1."""

    tag: str
    count: int
    resources: Resources
    priority: int = 0
    max_running: int | None = None
    scheduler_version: str = ""


class Scheduler(Protocol):
    """The dialect of one scheduler."""

    @property
    def name(self) -> str:
        """Name used in specs."""

    @property
    def job_id_pattern(self) -> str:
        """POSIX extended expression of the line of a submit command's output that holds the job's id."""

    @property
    def identity(self) -> str:
        """Shell lines that set ``job_id`` and ``index`` inside a job; the same again after a requeue."""

    @property
    def login(self) -> bool:
        """Whether a job's command is to have the environment of a login shell; its scheduler gives it next to none."""

    @property
    def exports(self) -> str:
        """Shell lines that export what the environment of a job's command needs besides; they set nothing else."""

    @property
    def program(self) -> tuple[str, str] | None:
        """Name and text of a program of ours that has to be on the cluster; None when the scheduler is there."""

    def submit_line(self, request: SubmitRequest) -> str:
        """Return the command that submits ``./job.sh "$try"`` in the current directory and prints the job's id."""

    def queue_command(self) -> str:
        """Return the command that lists this user's jobs, each record between nonces; see ``records``."""

    def accounting_command(self, since_s: int) -> str:
        """Return the command that lists jobs of the last ``since_s`` seconds; "" when there is no such thing."""

    def cancel_command(self) -> str:
        """Return the command that cancels the ``TARGET TAG`` pairs appended to it, where TARGET's job has that TAG.

        Job ids are used again in time: another's job may have the number now.
        """

    def facts_command(self) -> str:
        """Return the command that prints ``key value`` lines: version, max_array_size, accounting."""

    @property
    def find_job(self) -> str:
        """The command by which a person finds a job; NAME stands for the job's name."""

    def partitions(self, text: str) -> dict[str, Partition]:
        """Return what there is in each partition from the facts; "" is the default."""

    def target(self, job_id: str, index: int, *, array: bool) -> str:
        """Return the name under which one run can be cancelled; ``array``: its batch was submitted as an array."""

    def parse_queue(self, text: str, nonce: str) -> tuple[JobRecord, ...]:
        """Return the jobs of the queue; ``nonce`` is the one of the script that asked. Other people's are skipped.

        Raises:
            GarbledOutput: it is no list of jobs, it is cut off, or a record that may be ours is not as expected.
        """

    def parse_accounting(self, text: str, nonce: str) -> tuple[JobRecord, ...]:
        """Return the jobs of the accounting, the newest record of each.

        Raises:
            GarbledOutput: as with ``parse_queue``.
        """

    def explain_failure(self, exit_code: int, text: str) -> SubmitFailure:
        """Say what a failed submit command means, from its exit code and everything it printed."""
