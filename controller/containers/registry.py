"""Registries: which digest a name stands for now.

Speaks the pull half of the distribution API (github.com/opencontainers/distribution-spec, "Pulling manifests") with
the token exchange that registries ask for, and logs in as ``docker login`` has set it up. Does not belong here: what
becomes of an answer, or of none.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urljoin, urlsplit

from controller.model.errors import StalledError, TransientError
from controller.specs.references import HUB, Reference

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session

_HUB_HOST = "registry-1.docker.io"
_CONNECT_S, _ANSWER_S = 10, 20
_MOST_REDIRECTS = 5
_MOST_READ = 4 << 20
"""Bytes of a manifest, as registries limit them."""
_MANIFESTS = ", ".join(
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
)
_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_CHALLENGE = re.compile(r'([a-z]+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class _Login:
    """A user name and a password; ``repr`` shows neither."""

    user: str
    password: str

    def __repr__(self) -> str:
        return "_Login(***)"

    def basic(self) -> str:
        """Return the value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def digest_now(reference: Reference) -> str:
    """Return the digest that a registry has for a name: that of the index when there is one for several platforms.

    Raises:
        StalledError: it has no such image, or lets nobody in (``ImageNotFound``, ``RegistryRefused``).
        TransientError: it does not answer as a registry does (``RegistryUnavailable``).
    """
    host = _HUB_HOST if reference.host == HUB else reference.host
    base = f"{'http' if is_loopback(host) else 'https'}://{host}"
    url = f"{base}/v2/{reference.path}/manifests/{reference.digest or reference.tag}"
    with _session(host, reference) as session:
        headers = {"Accept": _MANIFESTS}
        answer = session.head(url, headers=headers)
        if answer.status_code == 401:
            headers["Authorization"] = _authorization(session, answer, reference)
            answer = session.head(url, headers=headers)
        _check(answer, reference)
        digest = answer.headers.get("Docker-Content-Digest", "")
        if _DIGEST.fullmatch(digest):
            return digest
        # The header is optional (distribution-spec, "Checking if content exists"): the digest is that of the bytes.
        answer = session.get(url, headers=headers)
        _check(answer, reference)
        return "sha256:" + sha256(_body(answer, reference)).hexdigest()


def is_loopback(host: str) -> bool:
    """Return whether a registry's host, with or without a port, can only be this machine."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class _Sender:
    """Requests with time-outs; ``requests`` would else take a log-in for any host from ~/.netrc.

    Only a registry on this machine may lead to http on this machine: another one could make us ask what only we can
    reach, and send a log-in there.
    """

    def __init__(self, session: Session, reference: Reference) -> None:
        self._session = session
        self._reference = reference

    def head(self, url: str, *, headers: dict[str, str]) -> Response:
        return self._send("HEAD", url, dict(headers))

    def get(self, url: str, *, headers: dict[str, str]) -> Response:
        return self._send("GET", url, dict(headers))

    def _send(self, method: str, url: str, headers: dict[str, str]) -> Response:
        for _ in range(_MOST_REDIRECTS):
            self._check_place(url)
            answer = self._session.request(
                method,
                url,
                headers=headers,
                timeout=(_CONNECT_S, _ANSWER_S),
                allow_redirects=False,
                stream=True,
                auth=_unchanged,
            )
            if not answer.is_redirect:
                return answer
            following = urljoin(url, answer.headers["Location"])
            if urlsplit(following)[:2] != urlsplit(url)[:2]:
                headers.pop("Authorization", None)
            url = following
        raise _refused(self._reference, f"it redirects more than {_MOST_REDIRECTS} times")

    def _check_place(self, url: str) -> None:
        place = urlsplit(url)
        here = is_loopback(self._reference.host)
        if place.scheme != "https" and not (place.scheme == "http" and here and is_loopback(place.netloc)):
            raise _refused(self._reference, f"it leads to {place.scheme}://{place.hostname}, which is not https")
        if is_loopback(place.netloc) and not here:
            raise _refused(self._reference, "it leads to the controller's own machine")


def _unchanged(request: PreparedRequest) -> PreparedRequest:
    return request


@contextmanager
def _session(host: str, reference: Reference) -> Iterator[_Sender]:
    import requests

    try:
        with requests.Session() as session:
            # Proxies and authorities as in the environment, but not to reach this machine.
            session.trust_env = not is_loopback(host)
            yield _Sender(session, reference)
    except (requests.RequestException, OSError) as error:
        raise TransientError(
            "RegistryUnavailable", f"{reference}: the registry {reference.host} does not answer ({_cause(error)})"
        ) from error


def _authorization(session: _Sender, answer: Response, reference: Reference) -> str:
    """Return the header that the registry asks for (distribution.github.io, "Token Authentication Specification")."""
    scheme, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
    login = _login(reference)
    if scheme.lower() == "basic":
        if login is None:
            raise _refused(reference, "it asks for a log-in, and there is none")
        return login.basic()
    asked = dict(_CHALLENGE.findall(rest))
    realm = asked.get("realm", "")
    service = urlsplit(realm).hostname
    if scheme.lower() != "bearer":
        raise _refused(reference, "it asks for a log-in of a kind that is not supported")
    params = {"scope": f"repository:{reference.path}:pull"}
    if "service" in asked:
        params["service"] = asked["service"]
    headers = {}
    if login is not None:
        headers["Authorization"] = login.basic()
    answer = session.get(f"{realm}{'&' if '?' in realm else '?'}{urlencode(params)}", headers=headers)
    if answer.status_code != 200:
        raise _refused(reference, f"its log-in service {service} answered HTTP {answer.status_code}")
    try:
        said = json.loads(_body(answer, reference))
        token = said.get("token") or said["access_token"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _refused(reference, f"its log-in service {service} gave no token") from error
    return f"Bearer {token}"


def _login(reference: Reference) -> _Login | None:
    """Return what ``docker login`` has kept for the registry, by its own rules and helpers."""
    from docker import auth
    from docker.errors import DockerException

    name = auth.INDEX_NAME if reference.host == HUB else reference.host
    try:
        found = auth.load_config().resolve_authconfig(name)
    except (DockerException, OSError, ValueError):
        return None
    if not found:
        return None
    user, password = found.get("Username") or found.get("username"), found.get("Password") or found.get("password")
    return _Login(user, password) if user and password else None


def _check(answer: Response, reference: Reference) -> None:
    status = answer.status_code
    if status == 200:
        return
    if status == 404:
        raise StalledError("ImageNotFound", f"{reference}: the registry {reference.host} has no such image")
    if status in (401, 403):
        raise _refused(reference, "it lets this account not read it, or hides that there is none")
    raise TransientError("RegistryUnavailable", f"{reference}: the registry {reference.host} answered HTTP {status}")


def _refused(reference: Reference, why: str) -> StalledError:
    return StalledError(
        "RegistryRefused",
        f"{reference}: the registry {reference.host} refused: {why}. Check the name, and log in with"
        f" docker login {'' if reference.host == HUB else reference.host}".rstrip(),
    )


def _body(answer: Response, reference: Reference) -> bytes:
    data = b""
    for chunk in answer.iter_content(1 << 16):
        data += chunk
        if len(data) > _MOST_READ:
            raise StalledError("RegistryRefused", f"{reference}: its manifest has more than {_MOST_READ >> 20} MiB")
    return data


def _cause(error: Exception) -> str:
    text = " ".join(str(error).split())
    for mark, cause in (
        ("NameResolution", "its name is not known"),
        ("refused", "connection refused"),
        ("timed out", "time-out"),
        ("CERTIFICATE", "its certificate is not valid"),
        ("ProxyError", "the proxy does not let it through"),
        ("Network is unreachable", "network is unreachable"),
    ):
        if mark in text:
            return cause
    return text[:200] or type(error).__name__
