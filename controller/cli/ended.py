"""How a pass that ran has ended, for people and for exit codes: read once, said in several places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.cli.exits import ATTENTION, DONE, NOT_REACHED
from controller.planning.attention import Notice, unseen_in, wrong_in
from controller.reconcile.applying import failures_in
from controller.reconcile.passes import PassResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A pass that ran, and what it leaves to be looked after."""

    result: PassResult
    unseen: Sequence[Notice]
    """Places that could not be seen."""
    wrong: Sequence[Notice]
    """What has failed or is Stalled."""

    @classmethod
    def of(cls, result: PassResult) -> Ended:
        """Look through a pass."""
        unseen = unseen_in(result.desired, result.observed)
        return cls(result=result, unseen=unseen, wrong=wrong_in(result.statuses))

    def exit_code(self, *, waited: bool) -> int:
        """Return the exit code; a single pass answers for its own work, one that waited for what was asked for."""
        result = self.result
        if self.unseen:
            return NOT_REACHED
        if result.desired.problems or result.report_error or any(failures_in(result.outcomes)):
            return ATTENTION
        return ATTENTION if waited and (result.in_progress or self.wrong) else DONE

    @property
    def lines(self) -> list[str]:
        """What there is to say, most urgent first, in lines that stay the same while nothing changes."""
        result = self.result
        lines = [f"error: {notice.reason}: {notice.message}" for notice in self.unseen]
        if result.report_error is not None:
            lines.append(f"the status could not be pushed: {result.report_error.reason}: {result.report_error.message}")
        lines += [problem.headline() for problem in result.desired.problems]
        lines += [f"held back: {hold.reason}: {hold.message}" for hold in result.plan.holds]
        said = {notice.reason for notice in self.wrong}
        covered = {"SpecInvalid", *(hold.reason for hold in result.plan.holds)}
        failed = (error for _, error in failures_in(result.outcomes) if error.reason not in said)
        return [
            *lines,
            *(f"failed: {error.reason}: {error.message}" for error in failed),
            *(str(notice) for notice in self.wrong if notice.reason not in covered),
        ]
