"""The images that are kept, looked at and cleared away: what ``controller image list`` and ``prune`` are made of.

Everything that may have a use for a copy is looked at first: the newest commits, the runs that are active, the marks of
other instances. What could not be seen is said, and then nothing is cleared away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from controller.clusters.cluster import ClusterClient
from controller.containers.engine import Engine
from controller.model.conditions import ACTIVE
from controller.model.errors import ControllerError, StalledError
from controller.model.resources import Cluster, Desired
from controller.model.runs import RunRecord
from controller.model.stored import EngineImage, Store
from controller.planning.readiness import cluster_fault
from controller.planning.upkeep import ENGINE, Copy, Stock, Uses, commit_words, given_up, stock_of
from controller.reconcile.looking import Sight
from controller.repository.mirror import Mirror
from controller.specs.compile import load
from controller.store.verdicts import Verdicts

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StockTaking:
    """All that is kept, with what has a use for it."""

    stock: Stock
    uses: Uses
    stores: tuple[Store, ...]
    client_of: Callable[[str], ClusterClient]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What became of a copy that was to go; ``why`` says why it is still there, "" when it is not."""

    copy: Copy
    why: str = ""


def older_commits(mirror: Mirror, path: str, verdicts: Verdicts, newest: str, count: int) -> Iterator[Desired]:
    """Yield what the commits before the newest ask for, ``count`` with that one; equal files are read once.

    What lies outside of a commit is not asked for: nobody knows any more what it was then (see ``Uses.names``).
    """
    read: dict[str, Desired] = {}
    for commit in mirror.newest(newest, count)[1:]:
        try:
            tree = mirror.tree(commit, path)
        except StalledError as error:
            if error.reason != "SubdirectoryNotFound":
                raise
            # From before there was that directory.
            continue
        if tree.root not in read:
            read[tree.root] = load(tree, cache=verdicts)
        yield replace(read[tree.root], commit=commit)
    verdicts.save()


def take_stock(
    desired: Desired,
    sight: Sight,
    older: Iterable[Desired],
    engine: Engine,
    client_of: Callable[[str], ClusterClient],
    *,
    instance: str,
) -> StockTaking:
    """Look at the engine and at every cluster, one round trip each.

    ``desired`` is the newest commit with the last good versions of what it broke, ``older`` the commits before it.
    """
    uses, unseen = Uses(), dict[str, str]()
    _add_commits(uses, desired, older)
    active = [record for _, record in sorted(sight.records.items()) if record.state in ACTIVE]
    clusters = {**desired.retired, **desired.clusters}
    stores = []
    for name, cluster in clusters.items():
        mine = [record for record in active if record.where == name]
        store = _look_at(cluster, sight, mine, client_of, unseen)
        if store is not None:
            stores.append(store)
            for record in mine:
                uses.add_run(record.id, store.batches.get(record.batch))
    lost = sorted({record.where for record in active} - set(clusters))
    uses.unknown += [f"runs are active on cluster {name}, which no commit describes any more" for name in lost]
    images: Sequence[EngineImage] = ()
    try:
        images = engine.images()
    except ControllerError as error:
        unseen[ENGINE] = f"{error.reason}: {error.message}"
    stock = stock_of(uses, images, stores, unseen=unseen, instance=instance)
    return StockTaking(stock=stock, uses=uses, stores=tuple(stores), client_of=client_of)


def require_all_seen(stock: Stock) -> None:
    """Make sure that nothing is unknown that may have a use for an image.

    Raises:
        StalledError: something is (``NotAllSeen``).
    """
    unknown = [f"{place} could not be seen ({why})" for place, why in sorted(stock.unseen.items())]
    unknown += stock.unknown
    if unknown:
        raise StalledError("NotAllSeen", f"nothing is cleared away while not all uses are known: {'; '.join(unknown)}")


def clear(taken: StockTaking, engine: Engine, *, instance: str) -> tuple[Removal, ...]:
    """Take away what nothing uses, one round trip a cluster; what goes wrong with one copy stops no other.

    Raises:
        StalledError: not all uses are known; nothing was done.
    """
    require_all_seen(taken.stock)
    removals = [_remove(engine, copy) for copy in taken.stock.unused if copy.engine_image is not None]
    unused = [copy for copy in taken.stock.unused if copy.engine_image is None]
    for store in taken.stores:
        here = {copy.identity: copy for copy in unused if copy.place == store.cluster}
        rows = dict(given_up(taken.uses, store, instance)) | {each.identity: each.mark for each in here.values()}
        if not rows:
            continue
        try:
            cleared = taken.client_of(store.cluster).storage.clear(sorted(rows.items()))
        except ControllerError as error:
            removals += [Removal(copy=copy, why=f"{error.reason}: {error.message}") for copy in here.values()]
            continue
        for identity, copy in here.items():
            end = cleared.get(identity)
            removals.append(Removal(copy=copy, why=end.why if end is not None else "the cluster said nothing about it"))
    for removal in removals:
        copy = removal.copy
        event = "image_kept" if removal.why else "image_removed"
        log.info(event, place=copy.place, image=copy.name, identity=copy.identity, size=copy.size, why=removal.why)
    return tuple(removals)


def _add_commits(uses: Uses, desired: Desired, older: Iterable[Desired]) -> None:
    for back, commit in enumerate([desired, *older]):
        words = commit_words(commit.commit, back)
        uses.add_commit(words, commit.images.values())
        unread = sorted(key for key in commit.broken - commit.stale if key.startswith(("Image/", "Cluster/")))
        unread += sorted(commit.broken_paths)
        if unread:
            uses.unknown.append(f"{words} cannot be read whole ({', '.join(unread[:5])})")


def _look_at(
    cluster: Cluster,
    sight: Sight,
    active: Sequence[RunRecord],
    client_of: Callable[[str], ClusterClient],
    unseen: dict[str, str],
) -> Store | None:
    """Return what is on a cluster; None, with the reason in ``unseen``, when not all of it can be seen."""
    name = cluster.name
    fault = cluster_fault(cluster, sight.observed.clusters.get(name))
    if fault is not None:
        unseen[name] = f"{fault.reason}: {fault.message}"
        return None
    if name in sight.strangers:
        unseen[name] = "RunsUnknown: runs of this controller's are there that it does not know yet; run a pass first"
    try:
        return client_of(name).storage.look(sorted({record.batch for record in active}))
    except ControllerError as error:
        unseen[name] = f"{error.reason}: {error.message}"
        return None


def _remove(engine: Engine, copy: Copy) -> Removal:
    assert copy.engine_image is not None
    try:
        engine.remove(copy.engine_image)
    except ControllerError as error:
        return Removal(copy=copy, why=f"{error.reason}: {error.message}")
    return Removal(copy=copy)


def sizes(copies: Iterable[Copy]) -> Mapping[str, int]:
    """Return how many bytes copies take, by place."""
    found: dict[str, int] = {}
    for copy in copies:
        found[copy.place] = found.get(copy.place, 0) + copy.size
    return found
