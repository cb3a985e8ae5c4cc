"""The lease of a pass: read from journal, status branch and clusters, and written there before anything is done.

First step after the fetch. Which record counts is decided in ``planning/leases.py``; here they are read and kept.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cached_property

import structlog

from controller.clusters.cluster import ClusterClient
from controller.model.errors import ControllerError, NotOursError, StalledError, TransientError
from controller.model.failpoints import failpoint
from controller.model.leases import (
    Choice,
    Lease,
    Ownership,
    Spot,
    lease_text,
    read_lease,
)
from controller.model.observed import ClusterObservation
from controller.model.runs import RunRecord, place_of
from controller.model.sites import NOWHERE, Whereabouts, is_former
from controller.model.versions import NewerVersionError
from controller.planning.leases import Asked, Known, decide
from controller.reconcile.ownership import held, own, too_new, verdict_on
from controller.reconcile.settings import Settings
from controller.repository.identity import instance_of, same_repository
from controller.repository.mirror import Mirror
from controller.repository.report import obsolete, parse
from controller.repository.statusbranch import RECORD, StatusBranch
from controller.store.journal import Journal

log = structlog.get_logger(__name__)

FACT = "lease"
"""The record in the journal."""
APPLIED = "Spec-Commit"
"""Trailer of the status branch: the commit of the specs that was applied."""


class Leasing:
    """Finds out for one pass under which instance it works, and whether it may."""

    def __init__(self, settings: Settings, mirror: Mirror, journal: Journal, branch: StatusBranch) -> None:
        """The mirror has been fetched."""
        self._settings = settings
        self._mirror = mirror
        self._journal = journal
        self._branch = branch
        self._elsewhere: dict[str, Ownership] = {}
        self.recorded = self._read_branch()
        self._from_journal = _from_journal(journal, self.asked, self.recorded)
        self.ruling = decide(self.asked, self._from_journal, self.recorded, same_repository)

    @property
    def instance(self) -> str:
        """The instance in force."""
        return self.ruling.lease.instance

    @cached_property
    def asked(self) -> Asked:
        """What configuration and options ask for."""
        settings = self._settings
        spot = Spot(address=self._mirror.url.shown, path=settings.path, branch=_branch(self._mirror, settings.branch))
        return Asked(
            instance=settings.instance,
            configured=settings.configured_instance,
            second=instance_of(settings.repo, settings.path, spot.branch or "HEAD"),
            spot=spot,
            choice=settings.choice,
            renamed=self._renamed,
        )

    @property
    def path_moved(self) -> bool:
        """Whether the specs were in another directory until now: jobs that are not there may be missing by accident."""
        known = self._from_journal.lease if self._from_journal is not None else self.recorded
        spot = known.spot if known is not None and known.instance == self.instance else None
        return spot is not None and spot.path != self.asked.spot.path

    @property
    def is_new(self) -> bool:
        """Whether the status branch tells of another instance's runs, which are none of this one's."""
        return self.recorded is not None and self.recorded.instance != self.instance

    def vet(self, observation: ClusterObservation) -> ClusterObservation:
        """Return what was seen of a cluster, or that it may not be acted on: its runs are then nobody's to judge.

        While the journal knows of no lease, what speaks against it stops the whole pass.
        """
        if not observation.reachable:
            return observation
        confirmed = self._from_journal is not None or self.recorded is not None
        error, others = verdict_on(observation, self.asked, self.ruling.known, confirmed=confirmed)
        if error is None and self.asked.choice is Choice.ADOPT:
            # What would have held the cluster without a person's choice is said.
            asked = replace(self.asked, choice=Choice.NONE)
            overruled, _ = verdict_on(observation, asked, self.ruling.known, confirmed=confirmed)
            if overruled is not None:
                self._note(f"cluster {observation.cluster}: taken over in spite of {overruled.reason}")
        self._elsewhere |= {owner.instance: owner for owner in others}
        if error is None:
            return observation
        if self._from_journal is None and isinstance(error, NotOursError):
            self.ruling = replace(self.ruling, refusal=self.ruling.refusal or error)
            return observation
        return held(observation, error)

    def _note(self, note: str) -> None:
        if note not in self.ruling.notes:
            self.ruling = replace(self.ruling, notes=(*self.ruling.notes, note))

    def settled(self) -> bool:
        """Whether a look was made in the right name; False: another is in force now, look again."""
        found, self._elsewhere = self._elsewhere, {}
        if not found:
            return True
        if len(found) > 1:
            names = ", ".join(sorted(found))
            message = f"several instances follow {self.asked.spot} on the clusters: {names}; set one as instance: NAME"
            self.ruling = replace(self.ruling, refusal=NotOursError("InstanceAmbiguous", message))
            return True
        (owner,) = found.values()
        self.recorded = Lease(instance=owner.instance, spot=owner.spot, since=owner.since)
        refused = self.ruling.refusal
        self.ruling = decide(self.asked, None, self.recorded, same_repository)
        if refused is not None and self.ruling.refusal is None:
            self.ruling = replace(self.ruling, refusal=refused)
        self.recorded = None
        return False

    def require(self) -> None:
        """See that a pass may begin.

        Raises:
            NotOursError: it may not.
        """
        if self.ruling.refusal is not None:
            raise self.ruling.refusal

    @property
    def held_before(self) -> Lease | None:
        """The lease as journal or status branch had it, None where this is the first pass."""
        return self._from_journal.lease if self._from_journal is not None else self.recorded

    @property
    def published_sites(self) -> Whereabouts:
        """Where the clusters and their runs are, by the status branch."""
        ours = self.recorded is not None and self.recorded.instance == self.instance
        return self.recorded.sites if ours and self.recorded is not None else NOWHERE

    @property
    def published_given(self) -> Mapping[str, str]:
        """Runs that another instance follows since a split, by the status branch: run -> that instance."""
        ours = self.recorded is not None and self.recorded.instance == self.instance
        return self.recorded.given if ours and self.recorded is not None else {}

    def give(self, runs: Mapping[str, str]) -> None:
        """Write down on the status branch which runs another instance follows from now on. The journal is not changed.

        Raises:
            StalledError: the branch has no record of this instance.
            ControllerError: it could not be written.
        """
        if self.recorded is None or self.recorded.instance != self.instance or self.recorded.spot is None:
            raise StalledError(
                "StatusBranchUnknown", f"no status branch of instance {self.instance} is known: run a pass of it first"
            )
        lease = replace(self.recorded, given={**self.recorded.given, **runs})
        self._branch.write(
            {},
            message=f"Runs of {lease.instance} are followed elsewhere",
            trailers=self._trailers(),
            added=lambda tip: self._files(lease),
        )

    def keep(
        self,
        observations: Iterable[ClusterObservation],
        sites: Whereabouts,
        *,
        now: float,
        acting: bool,
        given: Mapping[str, str] | None = None,
    ) -> None:
        """Write the lease down, on the status branch where it is new there and in the journal, before anything acts.

        Raises:
            ControllerError: the status branch says otherwise and cannot be written.
        """
        accounts = dict(self.ruling.lease.accounts)
        for seen in observations:
            if seen.reachable and seen.facts is not None and seen.facts.user and not is_former(seen.cluster):
                accounts[seen.cluster] = seen.facts.user
        since = self.ruling.lease.since or datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        given = {**(given or {}), **self.published_given}
        lease = replace(self.ruling.lease, accounts=accounts, since=since, sites=sites, given=given)
        self.ruling = replace(self.ruling, known=replace(self.ruling.known, lease=lease))
        there = self.recorded
        new = there is None or (there.instance, there.spot) != (lease.instance, lease.spot)
        if there is not None and self.asked.choice is Choice.ADOPT:
            new = new or (there.accounts, there.sites) != (lease.accounts, lease.sites)
        if new and (acting or there is not None):
            failpoint("lease.before")
            self._publish(lease)
            failpoint("lease.published")
        if self.path_moved:
            # No commit descends from this one: cancellations wait for an approval until a pass has had none to hold.
            self._journal.save_fact("commit", "")
        self._journal.save_fact(FACT, _fact(self.ruling.known))
        failpoint("lease.recorded")

    def files(self) -> Mapping[str, bytes]:
        """Return the record as a file of the status branch, on top of what was fetched of it last."""
        return self._files(self.ruling.lease)

    def _files(self, lease: Lease) -> Mapping[str, bytes]:
        now = self._record()
        if now is not None and now.instance == lease.instance:
            # Another process may have given runs away since the branch was read.
            lease = replace(lease, given={**lease.given, **now.given})
        return {RECORD: lease_text(lease).encode()}

    def check(self) -> None:
        """See that nobody else has written another record on the status branch since it was read.

        Raises:
            TransientError: somebody has; the next pass decides.
        """
        now, mine = self._record(), self.ruling.lease
        if now is None or now == self.recorded:
            return
        if (now.instance, now.spot) != (mine.instance, mine.spot):
            raise TransientError(
                "LeaseChanged",
                f"{self._branch.branch} was taken over by {now.instance} ({now.spot}) during the pass",
            )

    def own(self, client: ClusterClient, seen: ClusterObservation, *, in_use: bool) -> ClusterObservation:
        """Write down on a cluster whose directory it is; return what was seen, held where it may not be acted on."""
        return own(client, seen, self.asked, self.ruling.known, in_use=in_use, state_dir=self._settings.state_dir)

    def _publish(self, lease: Lease) -> None:
        # What a fork inherited tells of the original's runs: that goes with the original's lease.
        inherited = self.is_new
        try:
            self._branch.write(
                {},
                message=f"Instance {lease.instance}",
                trailers=self._trailers(),
                remove=obsolete(self._branch.read(), {}) if inherited else (),
                check=self.check,
                added=lambda tip: self._files(lease),
            )
        except ControllerError as error:
            # Nothing says otherwise there: journal and clusters have it, and the report of each pass tries again.
            silent = self.recorded is None or (self.recorded.instance, self.recorded.spot) == (lease.instance, None)
            if not silent or error.reason == "LeaseChanged":
                raise
            log.warning("lease_not_published", reason=error.reason, message=error.message)
        else:
            self.recorded = lease

    def _read_branch(self) -> Lease | None:
        """Return what the status branch says; of an earlier version's, or a damaged record, what its statuses tell."""
        if (record := self._record()) is not None:
            return record
        instances = _instances(task.run_dir for status in parse(self._branch.read()) for task in status.tasks)
        if not instances:
            return None
        name = self._settings.instance
        return Lease(instance=name if name in instances else instances.most_common(1)[0][0], spot=None)

    def _record(self) -> Lease | None:
        """Return the record on the status branch, None where there is none that can be read.

        Raises:
            NotOursError: a later version wrote it.
        """
        data = self._branch.top_file(RECORD)
        try:
            return None if data is None else read_lease(data)
        except NewerVersionError as error:
            raise too_new(f"{self._branch.branch}: {RECORD}", error) from error
        except ValueError as error:
            log.warning("lease_unreadable", file=RECORD, message=str(error))
            return None

    def _renamed(self, branch: str) -> bool:
        """Whether a branch is gone from the remote and the one asked for has the last commit applied in its history."""
        if not branch or self._mirror.has_branch(branch):
            return False
        head = self._mirror.tip(self._settings.branch)
        return any(head is not None and self._mirror.is_ancestor(last, head) for last in self._applied())

    def _trailers(self) -> dict[str, str]:
        """Return what the newest commit of the status branch says of the specs applied: that stays true."""
        tip = self._mirror.tip(self._branch.branch)
        trailers = self._mirror.commit_info(tip).trailers if tip is not None else {}
        return {name: value for name, value in trailers.items() if name == APPLIED}

    def _applied(self) -> Iterable[str]:
        if last := self._journal.fact("commit"):
            yield last
        else:
            yield from self._trailers().values()


def _branch(mirror: Mirror, branch: str | None) -> str:
    if branch is not None:
        return branch
    try:
        return mirror.default_branch()
    except ControllerError:
        return ""


def _from_journal(journal: Journal, asked: Asked, recorded: Lease | None) -> Known | None:
    """Return what the journal knows; of an earlier version's, what its runs tell."""
    text = journal.fact(FACT)
    if text is not None:
        return _from_fact(text)
    instances = _instances(record.run_dir for record in _newest_first(journal.runs().values()))
    if not instances:
        return None
    name = asked.instance if asked.instance in instances else next(iter(instances))
    spot = recorded.spot if recorded is not None and recorded.instance == name else None
    spot = spot or asked.spot
    return Known(lease=Lease(instance=name, spot=spot), spots=(spot,))


def instance_in_force(journal: Journal) -> str | None:
    """Return the instance that a journal is of, None for one that no pass has written."""
    text = journal.fact(FACT)
    return None if text is None else _from_fact(text).lease.instance


def spot_in_force(journal: Journal) -> Spot:
    """Return what the instance of a journal follows, of which ``instance_in_force`` knows the name.

    Raises:
        StalledError: it is not written down.
    """
    text = journal.fact(FACT)
    spot = None if text is None else _from_fact(text).lease.spot
    if spot is None:
        raise StalledError("StateDirectoryUnknown", "what it follows is not known: run a pass with it first")
    return spot


def _newest_first(records: Iterable[RunRecord]) -> list[RunRecord]:
    return sorted(records, key=lambda record: record.intended_at, reverse=True)


def _instances(run_dirs: Iterable[str | None]) -> Counter[str]:
    found: Counter[str] = Counter()
    for run_dir in run_dirs:
        if run_dir:
            try:
                found[place_of(run_dir)[0]] += 1
            except ValueError:
                continue
    return found


def _fact(known: Known) -> str:
    document = asdict(known)
    # The journal has them as a fact of their own.
    del document["lease"]["sites"], document["lease"]["given"]
    return json.dumps(document)


def _from_fact(text: str) -> Known:
    document = json.loads(text)
    lease = document["lease"]
    return Known(
        lease=Lease(**{**lease, "spot": Spot(**lease["spot"])}),
        spots=tuple(Spot(**spot) for spot in document["spots"]),
        replaced=tuple(document["replaced"]),
    )
