"""Sites: the work directory of a cluster as it was reached when a run was submitted there.

A cluster's spec says where new work goes. Where a run is stays what it was: a site has a name under which it is looked
at beside the cluster, ``<cluster>@<host>:<root>``, until nothing of ours is there any more. Belongs here: these values
and their JSON. Does not belong here: when a site counts as another one (reconcile/sites.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from controller.model.resources import Connection

_MARK = "@"
"""No name of a cluster in a spec holds it."""
_OTHER = "#"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One work directory, and the way to it. ``connection`` None is this machine."""

    cluster: str
    """Name of the cluster in the specs."""
    root: str
    """The work directory, absolute."""
    connection: Connection | None = None
    scheduler: str = "slurm"
    account: str = ""
    """Whom the login is."""
    system: str = ""
    """What the scheduler calls its cluster (SLURM's ClusterName); "" where it is not known."""
    instance: str = ""
    """Under whose name the runs are there; "" is the controller's own."""

    @property
    def key(self) -> str:
        """The name under which it is looked at."""
        host = f"{host_of(self.connection)}:" if self.connection is not None else ""
        whose = f"{self.instance}{_OTHER}" if self.instance else ""
        return f"{self.cluster}{_MARK}{whose}{host}{self.root}"

    def is_at(self, other: Site) -> bool:
        """Whether it is the same directory, reached by the same login host."""
        return self.root == other.root and host_of(self.connection) == host_of(other.connection)

    def __str__(self) -> str:
        return f"{self.root} on {host_of(self.connection) or 'this machine'}"


def host_of(connection: Connection | None) -> str:
    """Return the login host and its port as a spec has them, "" for this machine."""
    if connection is None:
        return ""
    return connection.host + (f":{connection.port}" if connection.port is not None else "")


def is_former(key: str) -> bool:
    """Whether a name is that of a site, and not of a cluster in a spec."""
    return _MARK in key


def cluster_in(key: str) -> str:
    """Return the cluster's name in a site's."""
    return key.partition(_MARK)[0]


def instance_in(key: str) -> str:
    """Return the instance in a site's name, "" for the controller's own."""
    name, found, _ = key.partition(_MARK)[2].partition(_OTHER)
    # A directory may have the mark in its name, and begins with a slash.
    return name if found and "/" not in name else ""


def root_of(run_dir: str) -> str:
    """Return the work directory that ``<workdir>/<instance>/runs/<job>/<task>/<attempt>`` is below."""
    return run_dir.rsplit("/", 5)[0]


def site_document(site: Site) -> dict[str, Any]:
    """Return a site as JSON, without what is not known."""
    found = asdict(site)
    connection = {name: value for name, value in (found.pop("connection") or {}).items() if value is not None}
    kept = {name: value for name, value in found.items() if value}
    return {**kept, "connection": connection} if connection else kept


def read_site(document: Mapping[str, Any]) -> Site:
    """Return the site in a JSON object; keys that are not known are passed over.

    Raises:
        ValueError: it is damaged.
    """
    try:
        given = {each.name: document[each.name] for each in fields(Site) if each.name in document}
        if (connection := given.pop("connection", None)) is not None:
            known = {each.name for each in fields(Connection)}
            connection = Connection(**{name: value for name, value in connection.items() if name in known})
        site = Site(**given, connection=connection)
    except (TypeError, AttributeError) as error:
        raise ValueError(f"not a site: {error}") from error
    if not all(isinstance(value, str) and value for value in (site.cluster, site.root, site.scheduler)):
        raise ValueError("not a site: cluster, root and scheduler must be text")
    return site


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """The sites where new work goes, one for each cluster, and those where runs of ours are beside them."""

    in_force: tuple[Site, ...] = ()
    former: tuple[Site, ...] = ()


NOWHERE = Whereabouts()


def whereabouts_document(found: Whereabouts) -> dict[str, Any]:
    """Return them as JSON."""
    return {
        "in_force": [site_document(site) for site in sorted(found.in_force, key=lambda site: site.key)],
        "former": [site_document(site) for site in sorted(found.former, key=lambda site: site.key)],
    }


def read_whereabouts(document: object) -> Whereabouts:
    """Return those in a JSON object. What is damaged is passed over: a look finds it out anew."""
    found: dict[str, list[Site]] = {"in_force": [], "former": []}
    for name, sites in found.items():
        given = document.get(name) if isinstance(document, Mapping) else None
        for each in given if isinstance(given, list) else ():
            try:
                sites.append(read_site(each))
            except (ValueError, TypeError):
                continue
    return Whereabouts(in_force=tuple(found["in_force"]), former=tuple(found["former"]))
