"""Which instance is in force, by every combination of what is asked for and what is recorded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.leases import Choice, Lease, Ownership, Spot
from controller.planning.leases import Asked, Known, decide, judge

HOME = Spot(address="git.example.org/lab", branch="main")
AWAY = replace(HOME, address="git.example.com/lab")
FEATURE = replace(HOME, branch="feature")
INSIDE = replace(HOME, path="hpc")
ASKED = Asked(instance="lab-1", configured=False, second="lab-2", spot=HOME)
LEASE = Lease(instance="lab-1", spot=HOME, accounts={"hpc": "ada"})
OTHER = Lease(instance="other-9", spot=AWAY)


def known(lease: Lease = LEASE, **fields: tuple[str, ...]) -> Known:
    """Return a journal that knows a lease."""
    assert lease.spot is not None
    return Known(lease=lease, spots=(lease.spot,), **fields)


def same(one: str, other: str) -> bool:
    """Compare addresses as they are."""
    return one == other


def ask(spot: Spot = HOME, choice: Choice = Choice.NONE, *, instance: str = "lab-1", configured: bool = False) -> Asked:
    """Return what is asked for."""
    return replace(ASKED, spot=spot, choice=choice, instance=instance, configured=configured)


CASES = {
    "nothing is known": (ask(), None, None, "lab-1", ""),
    "the record is ours": (ask(), None, LEASE, "lab-1", ""),
    "a record without address, ours by its runs": (ask(), None, replace(LEASE, spot=None), "lab-1", ""),
    "a record without address, another's": (ask(), None, Lease(instance="x-1", spot=None), "x-1", "RepositoryMoved"),
    "moved or forked": (ask(AWAY), None, LEASE, "lab-1", "RepositoryMoved"),
    "moved": (ask(AWAY, Choice.ADOPT), None, LEASE, "lab-1", ""),
    "forked": (ask(AWAY, Choice.NEW, instance="lab-7"), None, LEASE, "lab-7", ""),
    "another path": (ask(INSIDE), None, LEASE, "lab-1", "RepositoryMoved"),
    "another branch": (ask(FEATURE), None, LEASE, "lab-1", "BranchLeased"),
    "another branch, taken over": (ask(FEATURE, Choice.ADOPT), None, LEASE, "lab-1", ""),
    "another branch, one of its own": (ask(FEATURE, Choice.NEW), None, None, "lab-2", ""),
    "its own, on the same status branch": (ask(FEATURE, Choice.NEW), None, LEASE, "lab-2", "StatusBranchTaken"),
    "a configured name that contradicts": (
        ask(instance="mine", configured=True),
        None,
        LEASE,
        "lab-1",
        "InstanceChanged",
    ),
    "a configured name that is taken": (
        ask(AWAY, Choice.NEW, configured=True),
        None,
        LEASE,
        "lab-1",
        "InstanceTaken",
    ),
    "journal and branch agree": (ask(), known(), LEASE, "lab-1", ""),
    "the journal alone": (ask(), known(), None, "lab-1", ""),
    "moved, with the journal": (ask(AWAY), known(), LEASE, "lab-1", ""),
    "moved, with the journal, branch written already": (ask(AWAY), known(), replace(LEASE, spot=AWAY), "lab-1", ""),
    "another path, with the journal": (ask(INSIDE), known(), LEASE, "lab-1", ""),
    "another path, taken by somebody": (ask(), known(), replace(LEASE, spot=INSIDE), "lab-1", "RepositoryMoved"),
    "another branch, with the journal": (ask(FEATURE), known(), None, "lab-1", "BranchLeased"),
    "the branch was taken by somebody": (ask(), known(), replace(LEASE, spot=FEATURE), "lab-1", "BranchLeased"),
    "a journal of another repository": (ask(AWAY), known(), OTHER, "lab-1", "StateDirectoryInUse"),
    "the same, adopted": (ask(AWAY, Choice.ADOPT), known(), OTHER, "lab-1", "StateDirectoryInUse"),
    "a new one, with a journal in use": (ask(AWAY, Choice.NEW), known(), OTHER, "lab-1", "StateDirectoryInUse"),
    "a fork that did not write its branch yet": (ask(), known(replaced=("other-9",)), OTHER, "lab-1", ""),
    "a fork's journal at the original": (
        ask(AWAY),
        known(replaced=("other-9",)),
        OTHER,
        "lab-1",
        "StateDirectoryInUse",
    ),
    "a configured name against the journal": (
        ask(instance="mine", configured=True),
        known(),
        None,
        "lab-1",
        "InstanceChanged",
    ),
}


@pytest.mark.parametrize(("asked", "journal", "recorded", "instance", "reason"), CASES.values(), ids=CASES)
def test_which_instance_is_in_force(
    asked: Asked, journal: Known | None, recorded: Lease | None, instance: str, reason: str
) -> None:
    """The instance, and why a pass is refused where it is."""
    ruling = decide(asked, journal, recorded, same)
    assert (ruling.lease.instance, ruling.refusal.reason if ruling.refusal else "") == (instance, reason)


def test_a_branch_that_was_renamed_is_said() -> None:
    """With the journal and without it."""
    asked = replace(ask(FEATURE), renamed=lambda branch: branch == "main")
    for journal in (None, known()):
        ruling = decide(asked, journal, LEASE, same)
        assert ruling.refusal is None
        assert ruling.lease.spot == FEATURE
        assert "is gone" in ruling.notes[0]


OWNERS = {
    "nobody": ({}, ""),
    "ours": ({"lab-1": Ownership(instance="lab-1", spot=HOME, account="ada")}, ""),
    "another repository": ({"lab-1": Ownership(instance="lab-1", spot=AWAY, account="ada")}, "InstanceTaken"),
    "another path": ({"lab-1": Ownership(instance="lab-1", spot=INSIDE, account="ada")}, "InstanceTaken"),
    "another branch": ({"lab-1": Ownership(instance="lab-1", spot=FEATURE, account="ada")}, "BranchLeased"),
    "another account": ({"lab-1": Ownership(instance="lab-1", spot=HOME, account="bob")}, ""),
    "others with other places": ({"x-1": Ownership(instance="x-1", spot=AWAY, account="ada")}, ""),
    "another instance with our place": ({"x-1": Ownership(instance="x-1", spot=HOME, account="ada")}, "InstanceTaken"),
}


@pytest.mark.parametrize(("owners", "reason"), OWNERS.values(), ids=OWNERS)
def test_what_a_cluster_says(owners: dict[str, Ownership], reason: str) -> None:
    """An account counts by the lease first, so that one that was taken over can be written on the cluster."""
    error = judge(ASKED, known(), owners, same, cluster="hpc", account="ada")
    assert (error.reason if error else "") == reason
    assert judge(replace(ASKED, choice=Choice.ADOPT), known(), owners, same, cluster="hpc", account="eve") is None
    held = judge(ASKED, known(), {}, same, cluster="hpc", account="eve")
    assert held is not None
    assert held.reason == "AccountChanged"


def test_who_was_taken_over_may_take_the_instance_back() -> None:
    """The clusters' record names the place before again: who had adopted the instance is refused there."""
    ruling = decide(ask(AWAY, Choice.ADOPT), None, LEASE, same)
    owners = {"lab-1": Ownership(instance="lab-1", spot=HOME, account="ada")}
    error = judge(ask(AWAY), ruling.known, owners, same, cluster="hpc", account="ada")
    assert error is not None
    assert error.reason == "InstanceTaken"


SPOTS = st.sampled_from([HOME, AWAY, FEATURE, INSIDE])
LEASES = st.builds(Lease, instance=st.sampled_from(["lab-1", "lab-2", "other-9"]), spot=SPOTS)


@given(
    first=SPOTS,
    second=SPOTS,
    journal=st.none() | LEASES.map(known),
    recorded=st.none() | LEASES,
    choice=st.sampled_from(Choice),
)
def test_two_controllers_never_follow_two_places_as_one_instance(
    first: Spot, second: Spot, journal: Known | None, recorded: Lease | None, choice: Choice
) -> None:
    """Whatever was recorded: once one has begun, another with a fresh state is refused, or is another instance.

    Nor do two of the same place write their own record in turns.
    """
    one = decide(ask(first, choice), journal, recorded, same)
    if one.refusal is not None:
        return
    assert one.lease.spot is not None
    other = decide(ask(second), None, one.lease, same)
    alike = (one.lease.spot.path, one.lease.spot.branch) == (second.path, second.branch)
    if alike and same(one.lease.spot.address, second.address):
        assert other.refusal is None
        assert other.lease == one.lease
        assert decide(ask(first), one.known, other.lease, same).lease == one.lease
    else:
        assert other.refusal is not None
