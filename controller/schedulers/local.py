"""The local scheduler: this machine's own processes, through ``local.sh``, which goes on when the controller stops."""

from __future__ import annotations

import re
from importlib.resources import files

from controller.model.observed import JobRecord, JobState, Partition
from controller.schedulers.dialect import Refusal, SubmitFailure, SubmitRequest
from controller.schedulers.records import framed, refuse_if_ours

_STATES = {
    "PENDING": JobState.PENDING,
    "RUNNING": JobState.RUNNING,
    "COMPLETED": JobState.COMPLETED,
    "FAILED": JobState.FAILED,
    "CANCELLED": JobState.CANCELLED,
    "TIMEOUT": JobState.TIMEOUT,
    "NODE_FAIL": JobState.NODE_FAIL,
}
_CALL = 'bash -p "$scheduler_program" "$root/local"'


class Local:
    """See ``Scheduler``."""

    name = "local"
    job_id_pattern = r"^[0-9]+$"
    find_job = ""
    identity = "job_id=$CONTROLLER_JOB_ID\nindex=$CONTROLLER_JOB_INDEX"
    exports = ":"
    # As by hand on this machine: a job has the environment that the controller was started in.
    login = False

    @property
    def program(self) -> tuple[str, str]:
        """The scheduler itself."""
        return "local-scheduler", (files("controller.schedulers") / "local.sh").read_text(encoding="utf-8")

    def submit_line(self, request: SubmitRequest) -> str:
        """Name, tasks, time limit in seconds (0: none), script, how many run at once (0: any), its argument."""
        walltime_s, at_once = request.resources.walltime_s or 0, request.max_running or 0
        return f'{_CALL} submit {request.tag} {request.count} {walltime_s} ./job.sh {at_once} "$try"'

    def partitions(self, text: str) -> dict[str, Partition]:
        """There are none."""
        return {}

    def queue_command(self) -> str:
        """Also starts the runner again where work waits and none runs."""
        return f'{_CALL} queue "$nonce"'

    def accounting_command(self, since_s: int) -> str:
        """Its record of what ended."""
        return f'{_CALL} history $(($(date +%s) - {since_s})) "$nonce"'

    def cancel_command(self) -> str:
        """Takes ``<job id>_<index>`` and the job's name, by turns."""
        return f"{_CALL} cancel"

    def facts_command(self) -> str:
        """Nothing limits an array here."""
        return "printf 'version local\\nmax_array_size 1000001\\naccounting 1\\n'"

    def target(self, job_id: str, index: int, *, array: bool) -> str:
        """Every task has an index here, the only one too."""
        return f"{job_id}_{index}"

    def parse_queue(self, text: str, nonce: str) -> tuple[JobRecord, ...]:
        """Read ``id|index|state|reason|start|name`` of each."""
        return tuple(
            JobRecord(
                job_id=job,
                index=int(index),
                tag=name,
                state=_STATES[state],
                word=state,
                reason=reason,
                message="as many jobs run as this machine has processors" if reason else "",
                started=float(start) if start else None,
            )
            for job, index, state, reason, start, name in _rows(text, nonce, 6)
        )

    def parse_accounting(self, text: str, nonce: str) -> tuple[JobRecord, ...]:
        """Read ``id|index|state|exit code|start|end|name`` of each."""
        return tuple(
            JobRecord(
                job_id=job,
                index=int(index),
                tag=name,
                state=_STATES[state],
                word=state,
                exit_code=int(code),
                started=float(start) or None,
                ended=float(end),
            )
            for job, index, state, code, start, end, name in _rows(text, nonce, 7)
        )

    def explain_failure(self, exit_code: int, text: str) -> SubmitFailure:
        """Until the job's id is printed nothing is in the queue, unless the end itself was cut off."""
        kind = Refusal.AMBIGUOUS if exit_code >= 128 or exit_code == 0 else Refusal.REFUSED
        return SubmitFailure(kind=kind, reason="SubmitRefused", message=text.strip() or f"exit code {exit_code}")


def _rows(text: str, nonce: str, count: int) -> list[list[str]]:
    rows = []
    for row in framed(text, nonce, count):
        if (
            re.fullmatch(r"[0-9]+\|[0-9]+\|[A-Z_]+\|[^|]*\|[0-9.]*(\|[0-9.]+)?", "|".join(row[:-1]))
            and row[2] in _STATES
        ):
            rows.append(row)
        else:
            refuse_if_ours(row[-1], row)
    return rows


SCHEDULER = Local()
