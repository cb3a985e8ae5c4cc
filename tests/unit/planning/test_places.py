"""Runs that are elsewhere than their cluster's spec says: planned for where they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.conditions import TaskState
from controller.model.plans import CancelRun
from controller.model.resources import Cluster, Connection, OnRemove
from controller.model.sites import (
    Site,
    Whereabouts,
    cluster_in,
    instance_in,
    is_former,
    read_whereabouts,
    root_of,
    whereabouts_document,
)
from controller.planning.wanted import MOVED
from tests.unit.planning.values import (
    cluster,
    desired,
    facts,
    history,
    job,
    observed,
    plan,
    record,
    seen,
    submits,
    unreachable,
)

OLD = "hpc@login:/old"


def there(name: str = OLD) -> Cluster:
    """An earlier place as a cluster."""
    return replace(cluster(), name=name, workdir="/old")


def cancels(found: object) -> list[tuple[str, str]]:
    """Return where each cancellation of a plan goes, and why."""
    actions = getattr(found, "actions", ())
    return [(action.cluster.name, action.reason) for action in actions if isinstance(action, CancelRun)]


def test_a_cancellation_goes_where_the_run_is() -> None:
    """Not to the directory where new work goes."""
    known = record(site=OLD, on_remove=OnRemove.CANCEL)
    world = observed(seen(), seen(OLD, facts=facts(root="/old")))
    assert cancels(plan(desired(retired={OLD: there()}), world, history(known))) == [(OLD, "SpecRemoved")]


def test_a_cancellation_that_waits_is_said() -> None:
    """With the reason why the cluster cannot be seen."""
    known = record(on_remove=OnRemove.CANCEL, state=TaskState.UNKNOWN)
    found = plan(desired(), observed(unreachable()), history(known))
    (status,) = (each for each in found.statuses if each.kind == "Job")
    assert "once cluster hpc can be seen: Unreachable" in status.details["cancel_waits"]
    assert cancels(found) == []


def test_a_run_that_was_given_away_is_not_cancelled() -> None:
    """Another instance follows it since the repository was split."""
    known = record(on_remove=OnRemove.CANCEL, given="half-1")
    assert cancels(plan(desired(), observed(), history(known))) == []


@pytest.mark.parametrize(("site", "name"), [(OLD, "hpc"), ("", "other")])
def test_a_submit_that_may_have_gone_through_elsewhere_is_taken_back_first(site: str, name: str) -> None:
    """Its claim is there: sent again in another place, it could execute twice."""
    lapsed = record(state=TaskState.WAITING, lapsed=True, job_id=None, site=site)
    other = cluster(name="other")
    wanted = desired(job(cluster=name), other, retired={OLD: there()})
    world = observed(seen(), seen("other"), seen(OLD, facts=facts(root="/old")))
    first = plan(wanted, world, history(lapsed))
    assert (cancels(first), submits(first)) == ([(lapsed.where, MOVED)], [])
    taken = replace(lapsed, state=TaskState.CANCELLED, lapsed=False, reason=MOVED)
    after = plan(wanted, world, history(taken))
    assert [batch.cluster.name for batch in submits(after)] == [name]


names = st.text("abc-1", min_size=1, max_size=5)
roots = st.from_regex(r"/[a-z@#:/. ]{0,20}[a-z]", fullmatch=True)
connections = st.none() | st.builds(Connection, host=names, port=st.none() | st.integers(1, 9), user=st.none() | names)
sites = st.builds(
    Site,
    cluster=names,
    root=roots,
    connection=connections,
    scheduler=names,
    account=names,
    instance=st.just("") | names,
)


@given(sites)
def test_a_site_is_known_by_its_name_and_written_down(site: Site) -> None:
    """Its name tells the cluster, and the instance where that is another; the text can be read back."""
    assert is_former(site.key)
    assert cluster_in(site.key) == site.cluster
    assert instance_in(site.key) == site.instance
    assert root_of(f"{site.root}/inst/runs/job/task/1") == site.root
    found = Whereabouts(in_force=(site,))
    assert read_whereabouts(whereabouts_document(found)) == found


@pytest.mark.parametrize(
    "damaged", [None, [], {"in_force": 3}, {"former": [{"root": "/x"}, "x", None, {"cluster": 1}]}]
)
def test_what_is_damaged_is_passed_over(damaged: object) -> None:
    """A look finds it out anew."""
    assert read_whereabouts(damaged) == Whereabouts()
