"""The pass: read the commit, look, plan, act, report. This module is that line and nothing else."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import replace

import structlog

from controller.clusters.cluster import ClusterClient
from controller.containers.engine import Engine
from controller.model.conditions import ResourceStatus
from controller.model.errors import ControllerError, NotOursError, TransientError
from controller.model.failpoints import failpoint
from controller.model.leases import Choice
from controller.model.observed import Observed
from controller.model.plans import Plan
from controller.model.resources import Desired
from controller.planning.history import History
from controller.planning.plan import make_plan
from controller.planning.recall import to_keep
from controller.reconcile.applying import apply
from controller.reconcile.buildlogs import newest_logs
from controller.reconcile.clients import Clients
from controller.reconcile.commits import Commits
from controller.reconcile.earlier import approved, clockworks, descends, earlier_statuses, let_go
from controller.reconcile.hands import Hands, Outcomes, Say
from controller.reconcile.heartbeats import Heartbeats
from controller.reconcile.leases import Leasing
from controller.reconcile.ledger import ends_for, read_ledger, writer
from controller.reconcile.looking import Sight, last_looks
from controller.reconcile.memory import Memory, read_memory, remember_tip
from controller.reconcile.outcomes import with_outcomes
from controller.reconcile.owning import own_clusters
from controller.reconcile.passes import PassResult, Prospect
from controller.reconcile.pins import PINS, Pins
from controller.reconcile.publishing import clear_leftovers
from controller.reconcile.removal import given_in, with_given, with_on_remove
from controller.reconcile.reporting import report
from controller.reconcile.schedules import with_ticks
from controller.reconcile.settings import Settings
from controller.reconcile.sites import Sites
from controller.reconcile.source import with_last_good
from controller.reconcile.standings import remember_specs
from controller.reconcile.submitting import latest_submits
from controller.reconcile.survey import clusters_in_use, survey
from controller.reconcile.trials import trials_of
from controller.reconcile.upkeep import Removal, StockTaking, clear, take_stock
from controller.reconcile.workplaces import sweep, sweep_unknown
from controller.reconcile.workshop import Workshop
from controller.reconcile.writing import write_ends, write_seen
from controller.repository.mirror import Mirror
from controller.repository.statusbranch import StatusBranch
from controller.store.journal import Journal
from controller.store.verdicts import Verdicts

log = structlog.get_logger(__name__)

_PRUNE_EVERY_S = 86400.0


class Reconciler:
    """Everything that a pass works with, put together by the command line."""

    def __init__(
        self,
        settings: Settings,
        *,
        mirror: Mirror,
        journal: Journal,
        verdicts: Verdicts,
        engine: Engine,
        clients: Clients,
        pins: Pins,
        clock: Callable[[], float],
        heartbeats: Heartbeats,
        say: Say = lambda key, text: None,
        workshop: Workshop | None = None,
    ) -> None:
        self.settings = settings
        self.mirror = mirror
        self._journal = journal
        self._verdicts = verdicts
        self._engine = engine
        self._clients = clients
        self._pins = pins
        self.commits = Commits(mirror, settings.path, pins=pins, verdicts=verdicts)
        self._clock = clock
        self._heartbeats = heartbeats
        self._say = say
        self._workshop = workshop or Workshop()
        self._status_branch = StatusBranch(mirror, settings.status_branch)

    def look_ahead(self) -> Prospect:
        """Read the newest commit, look, and plan. Changes nothing anywhere but in the mirror.

        Raises:
            ControllerError: the repository could not be read, so no pass can run.
        """
        self._journal.check()
        settings, now = self.settings, self._clock()
        # Before anything is looked at: what ends while we look is seen by the next pass.
        underway = self._workshop.underway
        self.mirror.fetch(settings.branch, settings.status_branch)
        commit = self.mirror.head(settings.branch)
        leasing = self._find_lease()
        before = self._journal.runs()
        self._pins.begin(self._journal.fact(PINS))
        loaded = self.commits.load(self.commits.tree(commit))
        memory = read_memory(self.mirror, self._status_branch, self._journal, loaded, ours=not leasing.is_new)
        ledger = read_ledger(self.mirror, settings.status_branch, self._journal)
        standings, older = memory.laid_under(self._journal.resources(), self.mirror.is_ancestor)
        sites = Sites(self._journal, leasing.published_sites, leasing.instance)
        active = clusters_in_use(sites.placed(before, loaded), loaded)
        desired = with_last_good(
            loaded,
            standings,
            self.commits.tree_or_none,
            self._pins.resolve,
            active=active | memory.active_clusters(),
            older=older,
        )
        ticks = {**memory.clockworks(desired), **clockworks(self._journal)}
        desired, ticking = with_ticks(desired, ticks, before, now=now)
        ends, ledger_faults = ends_for(desired, before, ledger, self._journal)
        known = History(published=memory.statuses, ends=ends, ledger_faults=ledger_faults, instance=leasing.instance)
        desired, sight = survey(
            desired,
            leasing,
            sites,
            journal=self._journal,
            clients=self._clients,
            client_of=self._client_of,
            engine=self._engine,
            records=before,
            known=known,
            now=now,
            grace_s=settings.grace_s,
        )
        records = with_on_remove(
            sight.records, desired, memory.spec_commit, self.commits.tree_or_none, self.commits.load
        )
        records = with_given(records, leasing.published_given)
        sight = replace(sight, records=records)
        known = replace(known, underway=underway, paths={key: standing.path for key, standing in standings.items()})
        history = self._history(desired, sight, known, memory, leasing)
        plan = make_plan(desired, sight.observed, history, now=now)
        if plan.unread:
            history = replace(history, then=self.commits.asked(plan.unread))
            plan = make_plan(desired, sight.observed, history, now=now)
        return Prospect(
            desired=desired,
            sight=sight,
            history=history,
            plan=plan,
            before=before,
            clockworks=ticking,
            ledger=ledger,
            memory=memory,
            leasing=leasing,
            sites=sites,
        )

    def _history(self, desired: Desired, sight: Sight, known: History, memory: Memory, leasing: Leasing) -> History:
        """Return all that the planner is to know besides; ``known`` is what ledger and status branch say."""
        settings, journal = self.settings, self._journal
        undisputed = descends(desired.commit, journal, self.mirror, settings.status_branch)
        return replace(
            known,
            runs=sight.records,
            instance=self._clients.instance,
            rerun_limits=settings.rerun_limits,
            let_go=let_go(journal),
            failures=journal.failures(),
            trials=trials_of(desired, journal),
            statuses={**memory.conditions(), **earlier_statuses(journal)},
            last_seen={**memory.last_seen(), **last_looks(journal, desired)},
            build_logs=newest_logs(settings.state_dir),
            approved=approved(self.mirror.commit_info(desired.commit).trailers),
            descends=undisputed and not leasing.path_moved,
            submits=latest_submits(journal, sight.records),
            grace_s=settings.grace_s,
        )

    def run_pass(
        self, stop: threading.Event | None = None, *, on_plan: Callable[[Plan], None] = lambda plan: None
    ) -> PassResult:
        """Run one pass to its end; once ``stop`` is set, no further action begins.

        Raises:
            ControllerError: the pass could not run at all. What goes wrong with single resources is in the result.
        """
        with structlog.contextvars.bound_contextvars(pass_id=secrets.token_hex(4)):
            try:
                result = self._run_pass(stop, on_plan)
            except NotOursError:
                # The heartbeat is that of the controller whose instance it is.
                raise
            except ControllerError as error:
                self._heartbeats.failed(error)
                raise
            return replace(result, heartbeat_error=self._heartbeats.ended(result, instance=self._clients.instance))

    def _run_pass(self, stop: threading.Event | None, on_plan: Callable[[Plan], None]) -> PassResult:
        pass_id = str(structlog.contextvars.get_contextvars()["pass_id"])
        ahead = self.look_ahead()
        self._keep_lease(ahead)
        log.info("pass_planned", commit=ahead.desired.commit, actions=len(ahead.plan.actions))
        write_seen(ahead, self._journal, pins=self._pins.saved(), now=self._clock())
        ahead = own_clusters(ahead, self._client_of(ahead.desired), now=self._clock())
        # What a person said counts for the pass in which it was said.
        self.settings = replace(self.settings, choice=Choice.NONE)
        on_plan(ahead.plan)
        hands = self.hands(ahead.desired)
        sweep(hands)
        sweep_unknown(hands)
        if not self._workshop.underway:
            clear_leftovers(self.settings.state_dir, ahead.desired.images.values())
        stop = stop or threading.Event()
        outcomes = apply(ahead.plan, ahead.sight.observed, hands, stop=stop, workshop=self._workshop)
        underway = self._workshop.underway - outcomes.keys()
        after, observed = self._after(ahead, outcomes, underway)
        failpoint("specs.remember.before")
        remember_specs(ahead, self._journal)
        failpoint("report.before")
        commit, error = self._report(ahead, after.statuses)
        failpoint("report.after")
        self.clear_when_due()
        log.info("pass_ended", commit=ahead.desired.commit, status_commit=commit)
        return PassResult(
            pass_id=pass_id,
            desired=ahead.desired,
            observed=observed,
            plan=ahead.plan,
            outcomes=outcomes,
            underway=underway,
            statuses=after.statuses,
            resume_at=after.resume_at,
            status_commit=commit,
            report_error=error,
            notes=ahead.notes,
        )

    def newest(self) -> Desired:
        """Read the newest commit, for a command that is no pass."""
        self.mirror.fetch(self.settings.branch, self.settings.status_branch)
        self._find_lease()
        self._pins.begin(self._journal.fact(PINS))
        return self.commits.load(self.commits.tree(self.mirror.head(self.settings.branch)))

    def take_stock(self, *, keep_commits: int) -> StockTaking:
        """Look at every image that is kept and at what has a use for it: the newest ``keep_commits`` commits, the runs.

        Raises:
            ControllerError: the repository could not be read. What else cannot be seen is in the result.
        """
        ahead = self.look_ahead()
        return take_stock(
            ahead.desired,
            ahead.sight,
            self.commits.before(ahead.desired.commit, keep_commits),
            self._engine,
            self._client_of(ahead.desired),
            instance=self._clients.instance,
        )

    def clear(self, taken: StockTaking) -> tuple[Removal, ...]:
        """Take away the images that nothing uses.

        Raises:
            StalledError: not everything that may use one was seen (``NotAllSeen``); this is another's instance.
        """
        self._find_lease().require()
        return clear(taken, self._engine, instance=self._clients.instance)

    def clear_when_due(self) -> None:
        """In the loop: clear away once a day what nothing uses, where the settings ask for it."""
        keep, now = self.settings.prune_keep_commits, self._clock()
        if keep is None or 0 <= now - float(self._journal.fact("pruned") or "-inf") < _PRUNE_EVERY_S:
            return
        self._journal.save_fact("pruned", str(now))
        try:
            self.clear(self.take_stock(keep_commits=keep))
        except ControllerError as error:
            log.warning("prune_failed", reason=error.reason, message=error.message)

    def close(self) -> None:
        """Let go of connections and files, once what is under way has ended."""
        self._workshop.stop()
        self._clients.close()
        self._verdicts.close()
        self._journal.close()

    def _find_lease(self) -> Leasing:
        """Find out the instance in force, and use it from here on."""
        found = Leasing(self.settings, self.mirror, self._journal, self._status_branch)
        self._clients.instance = found.instance
        return found

    def _keep_lease(self, ahead: Prospect) -> None:
        """Let no pass begin that is not this instance's; write down whose it is before anything is done."""
        leasing = ahead.leasing
        leasing.require()
        for note in ahead.notes:
            log.warning("lease_noted", message=note)
        clusters = ahead.sight.observed.clusters.values()
        leasing.keep(
            clusters,
            ahead.sites.whereabouts(ahead.sight.records.values()),
            now=self._clock(),
            acting=bool(ahead.plan.actions),
            given=given_in(ahead.sight.records),
        )

    def take_over(self, ahead: Prospect) -> None:
        """Write down the instance and whose directories they are, as a pass does, and do nothing else.

        Raises:
            ControllerError: a pass would be refused, or a cluster could not be written to; done again it does the rest.
        """
        self._keep_lease(ahead)
        before = ahead.sight.observed.clusters
        after = own_clusters(ahead, self._client_of(ahead.desired), now=self._clock()).sight.observed.clusters
        for name, seen in after.items():
            if before[name].reachable and not seen.reachable:
                raise TransientError(seen.error_reason, seen.error)

    def publish(self, ahead: Prospect) -> None:
        """Write down and report what is known, as a pass does that has nothing to do.

        Raises:
            ControllerError: it could not be published; done again it does the rest.
        """
        self._keep_lease(ahead)
        write_seen(ahead, self._journal, pins=self._pins.saved(), now=self._clock())
        failpoint("move.report.before")
        _, error = self._report(ahead, ahead.plan.statuses)
        if error is not None:
            raise error

    def _after(self, ahead: Prospect, outcomes: Outcomes, underway: frozenset[str]) -> tuple[Plan, Observed]:
        """Plan once more with what the actions have made, for what that says of every resource."""
        observed = with_outcomes(ahead.sight.observed, ahead.plan, outcomes)
        history = replace(
            ahead.history,
            runs=(runs := self._journal.runs()),
            submits=latest_submits(self._journal, runs),
            failures=self._journal.failures(),
            trials=trials_of(ahead.desired, self._journal),
            underway=underway,
            build_logs=newest_logs(self.settings.state_dir),
        )
        return make_plan(ahead.desired, observed, history, now=self._clock()), observed

    def _report(
        self, ahead: Prospect, statuses: tuple[ResourceStatus, ...]
    ) -> tuple[str | None, ControllerError | None]:
        write_ends(ahead, self._journal, statuses, instance=self._clients.instance)
        try:
            commit = report(
                self.mirror,
                self._status_branch,
                statuses,
                there=ahead.memory.files,
                spec_commit=ahead.desired.commit,
                path=self.settings.path,
                problems=ahead.desired.problems,
                leasing=ahead.leasing,
                ledger=writer(self.mirror, self._journal, accept=ahead.history.approved),
                heartbeat=(self._heartbeats.branch, self._heartbeats.fault),
            )
        except ControllerError as error:
            log.warning("report_failed", reason=error.reason, message=error.message)
            return None, error
        kept = to_keep(ahead.plan.recalled, ahead.desired, ahead.sight.observed)
        all_known = len(kept) == len(ahead.plan.recalled)
        remember_tip(self.mirror, self.settings.status_branch, self._journal, all_known=all_known)
        return commit, None

    def hands(self, desired: Desired) -> Hands:
        """Return what actions on a commit are carried out with."""
        return Hands(
            journal=self._journal,
            engine=self._engine,
            client_of=self._client_of(desired),
            tree_of=self.commits.tree_of,
            instance=self._clients.instance,
            state_dir=self.settings.state_dir,
            clock=self._clock,
            say=self._say,
            builds=self.settings.builds,
        )

    def _client_of(self, desired: Desired) -> Callable[[str], ClusterClient]:
        clusters = {**desired.retired, **desired.clusters}
        return lambda name: self._clients.of(clusters[name])
