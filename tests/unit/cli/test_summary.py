"""A pass in numbers, as the service's loop reads it."""

from __future__ import annotations

import time

import pytest

from controller.cli.run import summary_of
from controller.model.plans import Plan
from controller.model.resources import Limits
from controller.reconcile.passes import PassResult
from tests.unit.planning.values import COMMIT, cluster, desired, history, job, observed, plan

LIMITED = cluster(limits=Limits(submit_per_minute=1))


def result_of(found: Plan) -> PassResult:
    """A pass that planned this and did nothing."""
    return PassResult(
        pass_id="0",
        desired=desired(LIMITED),
        observed=observed(),
        plan=found,
        outcomes={},
        underway=frozenset(),
        statuses=found.statuses,
        resume_at=found.resume_at,
    )


@pytest.mark.parametrize(("ago_s", "most_s"), [(5, 10.0), (58, 3.0)])
def test_the_service_comes_back_when_a_limit_lets_more_go(ago_s: float, most_s: float) -> None:
    """Soon in any case while something is in progress, and at the very time where that is sooner."""
    now = time.time()
    found = plan(desired(LIMITED, job()), past=history(submits={"hpc": (now - ago_s,)}), now=now)
    assert found.commit == COMMIT
    assert found.actions == ()
    next_s = summary_of(result_of(found), 0.0, 1.0).next_pass_in_s
    assert next_s is not None
    assert 0 <= next_s <= most_s
