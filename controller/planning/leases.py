"""Which instance is in force, by what the journal, the status branch and the clusters have recorded. Pure.

Before anything is looked at: ``decide``. After the look: ``judge`` for one cluster. A refusal names both ways on. Does
not belong here: where the records are kept (reconcile/leases.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from controller.model.errors import NotOursError
from controller.model.leases import Choice, Lease, Ownership, Spot

Same = Callable[[str, str], bool]
"""Whether two addresses are one repository's."""

PLAN_ONLY = "`controller plan` shows without harm what a pass would do"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What configuration and options ask for. ``instance`` is configured, or derived from address and path."""

    instance: str
    configured: bool
    second: str
    """Name for a further instance of the same repository: derived from the branch as well."""
    spot: Spot
    choice: Choice = Choice.NONE
    renamed: Callable[[str], bool] = lambda branch: False
    """Whether a branch is gone from the remote and the one asked for continues it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the journal knows. ``spots`` are all that the instance had; ``replaced`` what a fork inherited."""

    lease: Lease
    spots: tuple[Spot, ...] = ()
    replaced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The instance in force, and what else to know of it. ``refusal``: a pass must not begin."""

    known: Known
    refusal: NotOursError | None = None
    notes: tuple[str, ...] = ()

    @property
    def lease(self) -> Lease:
        """The record as it should be from now on."""
        return self.known.lease


def decide(asked: Asked, known: Known | None, recorded: Lease | None, same: Same) -> Ruling:
    """Return which instance is in force. ``recorded`` is what the status branch says, None where it says nothing."""
    if asked.choice is Choice.NEW:
        return _new(asked, known, recorded, same)
    if known is not None:
        return _with_journal(asked, known, recorded, same)
    if recorded is None:
        return _ruling(Lease(instance=asked.instance, spot=asked.spot))
    return _fresh(asked, recorded, same)


def _with_journal(asked: Asked, known: Known, recorded: Lease | None, same: Same) -> Ruling:
    """The journal is at hand: another address or path is a move, another branch is not."""
    lease = known.lease
    assert lease.spot is not None
    if recorded is not None and recorded.instance != lease.instance:
        # A fork's own branch still has the original's record until it is written over.
        inherited = recorded.instance in known.replaced and same(asked.spot.address, lease.spot.address)
        if not inherited:
            return Ruling(known=known, refusal=_other_journal(asked, lease, recorded))
        recorded = None
    if asked.configured and asked.instance != lease.instance:
        return Ruling(known=known, refusal=_contradiction(asked, lease))
    held = recorded.spot if recorded is not None and recorded.spot is not None else lease.spot
    notes, moved = [], not same(asked.spot.address, lease.spot.address)
    if moved and not any(same(asked.spot.address, spot.address) for spot in known.spots):
        notes.append(f"the repository moved from {lease.spot.address}; it stays instance {lease.instance}")
    if asked.spot.path != lease.spot.path:
        notes.append(f"the specs moved from path {lease.spot.path or '.'} to {asked.spot.path or '.'}")
    for spot in dict.fromkeys((lease.spot, held)):
        refusal, note = _branch_held(asked, lease.instance, spot)
        if refusal is not None:
            return Ruling(known=known, refusal=refusal)
        notes += [note] if note and note not in notes else []
    if held.path not in (asked.spot.path, lease.spot.path) and asked.choice is not Choice.ADOPT:
        return Ruling(known=known, refusal=_moved(asked, replace(lease, spot=held)))
    # The recorded spelling stays while it is known to be ours: two controllers must not write their own in turns.
    known_before = any(same(asked.spot.address, spot.address) for spot in (*known.spots, held))
    address = held.address if known_before and asked.choice is not Choice.ADOPT else asked.spot.address
    if asked.choice is Choice.ADOPT:
        gone = [f"{spot}" for spot in (lease.spot, held) if not _alike(spot, asked.spot, same)]
        said = f"in place of {gone[-1]}" if gone else "as it did already"
        notes.append(f"instance {lease.instance} follows {asked.spot} from now on, {said}")
    merged = replace(
        lease,
        spot=replace(asked.spot, address=address, branch=asked.spot.branch or held.branch),
        since=(recorded.since if recorded else "") or lease.since,
        accounts={**lease.accounts, **(recorded.accounts if recorded else {})},
    )
    spots = tuple(dict.fromkeys((*known.spots, lease.spot, held, asked.spot)))
    return Ruling(known=replace(known, lease=merged, spots=spots), notes=tuple(notes))


def _fresh(asked: Asked, recorded: Lease, same: Same) -> Ruling:
    """The journal is new, the status branch is not: an address that is not its own may be a move or a fork."""
    spot = recorded.spot
    if spot is None:
        ours = recorded.instance in (asked.instance, asked.second)
    else:
        ours = same(spot.address, asked.spot.address) and spot.path == asked.spot.path
    branch = asked.spot.branch or (spot.branch if spot else "")
    address = spot.address if ours and spot else asked.spot.address
    merged = replace(recorded, spot=replace(asked.spot, address=address, branch=branch))
    # A spot that is taken over is somebody else's from then on: it may take the instance back.
    known = Known(lease=merged, spots=tuple(each for each in (spot if ours else None, asked.spot) if each is not None))
    if not ours and asked.choice is not Choice.ADOPT:
        return Ruling(known=known, refusal=_moved(asked, recorded))
    if asked.configured and asked.instance != recorded.instance:
        return Ruling(known=known, refusal=_contradiction(asked, recorded))
    refusal, note = _branch_held(asked, recorded.instance, spot)
    if refusal is not None:
        return Ruling(known=known, refusal=refusal)
    notes = [note] if note else []
    if not ours:
        notes.append(f"took over instance {recorded.instance}" + (f" of {spot}" if spot else ""))
    return Ruling(known=known, notes=tuple(notes))


def _new(asked: Asked, known: Known | None, recorded: Lease | None, same: Same) -> Ruling:
    """An instance of its own: with a state directory and a status branch of its own."""
    fork = recorded is not None and recorded.spot is not None and not same(recorded.spot.address, asked.spot.address)
    name = asked.instance if asked.configured or fork else asked.second
    if known is not None:
        if known.lease.instance == name:
            return _with_journal(replace(asked, instance=name, choice=Choice.NONE), known, recorded, same)
        message = (
            f"the state directory holds the runs of instance {known.lease.instance} ({known.lease.spot}); give "
            f"the new instance a state directory of its own: --state-dir DIR"
        )
        return Ruling(known=known, refusal=NotOursError("StateDirectoryInUse", message))
    ruling = _ruling(Lease(instance=name, spot=asked.spot))
    if recorded is None:
        return ruling
    if not fork:
        # An earlier version's branch names no address: it may be this repository's own, and is not written over.
        message = (
            f"the status branch belongs to instance {recorded.instance} ({recorded.spot or 'address not recorded'}); "
            "give the new instance one of its own, in the configuration file: status_branch: controller/status-NAME"
        )
        return replace(ruling, refusal=NotOursError("StatusBranchTaken", message))
    if recorded.instance == name:
        message = (
            f"instance {name} is that of {recorded.spot}: set another name in the configuration file: instance: NAME"
        )
        return replace(ruling, refusal=NotOursError("InstanceTaken", message))
    note = f"a new instance, {name}; {recorded.instance} ({recorded.spot}) is left alone"
    return replace(ruling, known=replace(ruling.known, replaced=(recorded.instance,)), notes=(note,))


def judge(
    asked: Asked, known: Known, owners: Mapping[str, Ownership], same: Same, *, cluster: str, account: str
) -> NotOursError | None:
    """Return why nothing may be done on a cluster in the name of the instance; None where nothing speaks against it.

    ``owners`` are the records in the cluster's work directory by instance, ``account`` is that of the connection.
    """
    lease, own = known.lease, owners.get(known.lease.instance)
    if asked.choice is Choice.ADOPT:
        return None
    if own is None and (others := elsewhere(asked, lease.instance, owners, same)):
        return _taken(asked, others[0], cluster)
    before = lease.accounts.get(cluster) or (own.account if own else "")
    if before and account and before != account:
        return NotOursError(
            "AccountChanged",
            f"cluster {cluster}: the jobs of instance {lease.instance} run under account {before}, and this "
            f"controller connects as {account}. If somebody else's controller works as {before}, leave this to it; "
            f"{PLAN_ONLY}. If the account changed for good: controller move --yes (or controller reconcile --adopt)",
        )
    if own is not None:
        spots = [spot for spot in (asked.spot, lease.spot, *known.spots) if spot is not None]
        homes = [each for each in spots if same(each.address, own.spot.address) and each.path == own.spot.path]
        if not homes:
            return _taken(asked, own, cluster)
        if not any(_one_branch(home.branch, own.spot.branch) for home in homes) and not asked.renamed(own.spot.branch):
            return _leased(asked, own.instance, own.spot, own.controller)
    return None


def elsewhere(asked: Asked, instance: str, owners: Mapping[str, Ownership], same: Same) -> list[Ownership]:
    """Return the records of other instances in a work directory that follow the very spot that is asked for."""
    if asked.configured or instance in owners or asked.choice is Choice.NEW:
        return []
    return [
        owner
        for owner in owners.values()
        if same(owner.spot.address, asked.spot.address)
        and owner.spot.path == asked.spot.path
        and _one_branch(owner.spot.branch, asked.spot.branch)
    ]


def _ruling(lease: Lease) -> Ruling:
    assert lease.spot is not None
    return Ruling(known=Known(lease=lease, spots=(lease.spot,)))


def _branch_held(asked: Asked, instance: str, spot: Spot | None) -> tuple[NotOursError | None, str]:
    """Return why another branch than the recorded one is refused, or what to say where it goes on."""
    if spot is None or _one_branch(spot.branch, asked.spot.branch):
        return None, ""
    if asked.renamed(spot.branch):
        return None, f"branch {spot.branch} is gone and {asked.spot.branch} continues it: followed from now on"
    if asked.choice is Choice.ADOPT:
        return None, f"branch {asked.spot.branch} is followed from now on, in place of {spot.branch}"
    return _leased(asked, instance, spot), ""


def _alike(one: Spot, other: Spot, same: Same) -> bool:
    return same(one.address, other.address) and one.path == other.path and _one_branch(one.branch, other.branch)


def _one_branch(one: str, other: str) -> bool:
    return not one or not other or one == other


def _leased(asked: Asked, instance: str, spot: Spot, controller: str = "") -> NotOursError:
    by, other = f" (of the controller {controller})" if controller else "", asked.spot.branch
    return NotOursError(
        "BranchLeased",
        f"instance {instance}{by} follows branch {spot.branch}, and branch {other} was asked for: nothing was done. "
        f"{PLAN_ONLY}. To run both, an instance of its own: controller reconcile --branch {other} --new-instance, with "
        "a state_dir and a status_branch of its own. To follow the other branch instead, for everybody, which may "
        f"cancel what {spot.branch} asks for: controller move --branch {other} --yes (or controller reconcile --branch "
        f"{other} --adopt)",
    )


def _moved(asked: Asked, recorded: Lease) -> NotOursError:
    of = f"{recorded.spot}" if recorded.spot is not None else "another address or path, by its run directories"
    return NotOursError(
        "RepositoryMoved",
        f"the status branch is that of instance {recorded.instance}, which follows {of}; here it is {asked.spot}, and "
        "the state directory is new: nothing was done. If the repository moved, go on as the recorded instance: "
        "controller move --yes (or controller reconcile --adopt). If it is a fork, begin an instance of its own, which "
        "runs everything anew: "
        f"controller reconcile --new-instance. {PLAN_ONLY}",
    )


def _taken(asked: Asked, own: Ownership, cluster: str) -> NotOursError:
    by = f" (by {own.controller})" if own.controller else ""
    return NotOursError(
        "InstanceTaken",
        f"cluster {cluster}: instance {own.instance} follows {own.spot}{by}; here it is {asked.spot}: nothing was done "
        "there. If the repository moved: controller move --yes (or controller reconcile --adopt). If this is another "
        "one, begin an instance of "
        f"its own: controller reconcile --new-instance. {PLAN_ONLY}",
    )


def _contradiction(asked: Asked, lease: Lease) -> NotOursError:
    return NotOursError(
        "InstanceChanged",
        f"the configuration sets instance: {asked.instance}, and the recorded one is {lease.instance} "
        f"({lease.spot or 'address not recorded'}); its runs would be lost sight of. Take `instance` out of the "
        f"configuration file or set it to {lease.instance}. For a further instance: --new-instance, with a "
        "state_dir and a status_branch of its own",
    )


def _other_journal(asked: Asked, lease: Lease, recorded: Lease) -> NotOursError:
    return NotOursError(
        "StateDirectoryInUse",
        f"the state directory holds the runs of instance {lease.instance} ({lease.spot}), and the status branch "
        f"of {asked.spot.address} is that of instance {recorded.instance} ({recorded.spot or 'address not recorded'}): "
        "nothing was done. Give each repository a state directory of its own: --state-dir DIR",
    )
