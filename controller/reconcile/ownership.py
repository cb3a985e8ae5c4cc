"""Whose an instance's directory is on each cluster: ``owner.json`` judged after the look, and written before acting."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

from controller.clusters.cluster import ClusterClient
from controller.model.errors import ControllerError, NotOursError, TransientError
from controller.model.leases import (
    Choice,
    Lease,
    Ownership,
    owner_text,
    read_owner,
)
from controller.model.observed import ClusterObservation
from controller.model.versions import NewerVersionError
from controller.planning.leases import Asked, Known, elsewhere, judge
from controller.repository.identity import same_repository


def verdict_on(
    seen: ClusterObservation, asked: Asked, known: Known, *, confirmed: bool
) -> tuple[ControllerError | None, list[Ownership]]:
    """Return why a cluster may not be acted on, None where it may, and the instances there that follow the same spot.

    ``confirmed``: the journal or the status branch knows the instance, so that a damaged record is written anew.
    """
    if seen.owners is None:
        fault = seen.faults.get("owners", "no answer")
        return TransientError("OwnerUnknown", f"cluster {seen.cluster}: owner.json cannot be read: {fault}"), []
    instance, owners = known.lease.instance, {}
    for name, text in seen.owners.items():
        what = f"cluster {seen.cluster}: {name}/owner.json"
        try:
            owners[name] = read_owner(text)
        except NewerVersionError as error:
            if name == instance:
                return too_new(what, error), []
        except ValueError as error:
            if name == instance and not confirmed and asked.choice is Choice.NONE:
                return _unreadable(what, error), []
    if not confirmed and instance not in owners:
        return None, elsewhere(asked, instance, owners, same_repository)
    account = seen.facts.user if seen.facts is not None else ""
    return judge(asked, known, owners, same_repository, cluster=seen.cluster, account=account), []


def own(
    client: ClusterClient, seen: ClusterObservation, asked: Asked, known: Known, *, in_use: bool, state_dir: Path
) -> ClusterObservation:
    """Write the record where it is missing and the cluster is in use, or where it says what was.

    Return what may be acted on: the cluster as it was seen, or as one that nothing may be concluded from.
    """
    if not seen.reachable or seen.facts is None or seen.owners is None or seen.facts.lost:
        return seen
    there = seen.owners.get(known.lease.instance)
    before = _read(there)
    wanted = _ownership(known.lease, before, seen.facts.user, state_dir)
    if (there is None and not in_use) or (before is not None and _says_the_same(before, wanted)):
        return seen
    try:
        text = client.own(owner_text(wanted), seen=there or "", force=there is not None and before is None)
    except ControllerError as error:
        return held(seen, error)
    after = replace(seen, owners={**seen.owners, known.lease.instance: text})
    verdict, _ = verdict_on(after, asked, known, confirmed=True)
    if verdict is None and _read(text) is None:
        verdict = TransientError("UploadFailed", f"cluster {seen.cluster}: owner.json was not written (disk full?)")
    return after if verdict is None else held(seen, verdict)


def held(seen: ClusterObservation, error: ControllerError) -> ClusterObservation:
    """Return a cluster as one that nothing may be concluded from."""
    return ClusterObservation(cluster=seen.cluster, reachable=False, error_reason=error.reason, error=error.message)


def too_new(what: str, error: ValueError) -> NotOursError:
    """Return the refusal of a record by a later version."""
    return NotOursError("LeaseTooNew", f"{what} was written by a later version of the controller ({error}): upgrade")


def _unreadable(what: str, error: ValueError) -> NotOursError:
    return NotOursError(
        "LeaseUnreadable",
        f"{what} is damaged ({error}), and neither the journal nor the status branch says whose it is: nothing was "
        f"done. If it is this repository's: controller reconcile {Choice.ADOPT}; otherwise {Choice.NEW}",
    )


def _ownership(lease: Lease, before: Ownership | None, account: str, state_dir: Path) -> Ownership:
    assert lease.spot is not None
    return Ownership(
        instance=lease.instance,
        spot=lease.spot,
        account=account,
        controller=f"{socket.gethostname()}:{state_dir}",
        since=(before.since if before else "") or lease.since,
    )


def _says_the_same(one: Ownership, other: Ownership) -> bool:
    """Whether two records differ in spelling at most: controllers of one instance must not write theirs in turns."""
    alike = (one.spot.path, one.spot.branch, one.account) == (other.spot.path, other.spot.branch, other.account)
    return alike and same_repository(one.spot.address, other.spot.address)


def _read(text: str | None) -> Ownership | None:
    try:
        return None if text is None else read_owner(text)
    except ValueError:
        return None
