"""The archive that a SIF is made of: an OCI archive with compressed layers, written while an engine saves an image.

Engines save layers as they lie on the disk. Apptainer compresses each of those again, with gzip on one processor,
before it unpacks it: most of what a conversion takes. Layers that are compressed already it leaves as they are, and
there is less to upload. The same image gives the same bytes, whenever it is saved, so an upload can be gone on with.

Formats: OCI image layout 1.0 (opencontainers/image-spec), and the archive of ``docker save``, old and new.
"""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from controller.model.errors import TransientError

_OCI = "application/vnd.oci.image"
_SMALL = 4 << 20
"""Bytes. What is larger is a layer: containers/image, Apptainer's reader, takes no larger manifest or config."""
_CHUNK = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
_LEVEL = 1
_GZIP_WINDOW = 31
"""zlib's word for the largest window, in gzip's format."""
_COMPRESSED = {b"\x1f\x8b\x08": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
"""How a layer begins that an engine has saved compressed (RFC 1952, RFC 8878)."""


def write_archive(saved: Iterable[bytes], target: IO[bytes]) -> None:
    """Write ``saved``, an image as an engine saves it, to ``target`` as an OCI archive; ``target`` can be sought in.

    Raises:
        TransientError: what was saved is not a whole image (``ArchiveIncomplete``).
    """
    try:
        _write(saved, _Layout(target))
    except (tarfile.TarError, EOFError, KeyError, IndexError, TypeError, ValueError) as error:
        message = f"what the Docker Engine saved is no whole image ({error}); see the engine's own log"
        raise TransientError("ArchiveIncomplete", message) from error


def _write(saved: Iterable[bytes], layout: _Layout) -> None:
    small: dict[str, bytes] = {}
    layers: dict[str, _Layer] = {}
    links: dict[str, str] = {}
    with tarfile.open(fileobj=_Stream(saved), mode="r|", bufsize=_CHUNK) as tar:
        for member in tar:
            if member.issym():
                # How Docker before 25 saves a layer that an image has twice.
                links[member.name] = posixpath.normpath(f"{posixpath.dirname(member.name)}/{member.linkname}")
            elif member.isfile():
                file = tar.extractfile(member)
                assert file is not None
                if member.size > _SMALL:
                    layers[member.name] = layout.layer(file)
                else:
                    small[member.name] = file.read()
    [described] = json.loads(small["manifest.json"])
    config = small[described["Config"]]
    contents = json.loads(config)["rootfs"]["diff_ids"] or ()
    chain = []
    for name, content in zip(described["Layers"] or (), contents, strict=True):
        path = links.get(name, name)
        if path not in layers:
            layers[path] = layout.layer(io.BytesIO(small[path]))
        if layers[path].content not in ("", content):
            raise ValueError(f"layer {content} has other content")
        chain.append(layers[path].descriptor)
    layout.end(config, chain)


@dataclass(frozen=True, slots=True)
class _Layer:
    descriptor: dict[str, Any]
    content: str
    """Digest of the layer as it is unpacked; "" when it was saved compressed."""


class _Layout:
    """An OCI image layout that is written as a tar."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        for directory in ("blobs", "blobs/sha256"):
            target.write(_header(directory, directory=True))

    def layer(self, file: IO[bytes]) -> _Layer:
        """Add a layer, compressed."""
        begin = file.read(_CHUNK)
        kind = next((kind for magic, kind in _COMPRESSED.items() if begin.startswith(magic)), None)
        if kind is not None:
            return _Layer(self._blob(f"layer.v1.tar+{kind}", _chunks(begin, file)), "")
        content = hashlib.sha256()
        descriptor = self._blob("layer.v1.tar+gzip", _compressed(_chunks(begin, file), content))
        return _Layer(descriptor, f"sha256:{content.hexdigest()}")

    def end(self, config: bytes, layers: list[dict[str, Any]]) -> None:
        """Add what says how an image is made of its layers."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": self._blob("config.v1+json", [config]),
            "layers": layers,
        }
        index = {"schemaVersion": 2, "manifests": [self._blob("manifest.v1+json", [_json(manifest)])]}
        for name, content in (("index.json", index), ("oci-layout", {"imageLayoutVersion": "1.0.0"})):
            data = _json(content)
            self._target.write(_header(name, size=len(data)) + data + _padding(len(data)))
        self._target.write(bytes(2 * _BLOCK))

    def _blob(self, kind: str, chunks: Iterable[bytes]) -> dict[str, Any]:
        """Add a blob; return its descriptor. Its name is its digest, so that the header is written last."""
        begin = self._target.tell()
        self._target.write(bytes(_BLOCK))
        size, digest = 0, hashlib.sha256()
        for chunk in chunks:
            self._target.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        self._target.write(_padding(size))
        end = self._target.tell()
        self._target.seek(begin)
        self._target.write(_header(f"blobs/sha256/{digest.hexdigest()}", size=size))
        self._target.seek(end)
        return {"mediaType": f"{_OCI}.{kind}", "digest": f"sha256:{digest.hexdigest()}", "size": size}


class _Stream(io.RawIOBase):
    """Chunks of bytes as a file; ``read`` returns as many bytes as it is asked for, until the end."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        parts, missing = [], size
        while missing > 0:
            self._rest = self._rest or next(self._chunks, b"")
            if not self._rest:
                break
            parts.append(self._rest[:missing])
            self._rest = self._rest[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)


def _chunks(begin: bytes, file: IO[bytes]) -> Iterator[bytes]:
    while begin:
        yield begin
        begin = file.read(_CHUNK)


def _compressed(chunks: Iterable[bytes], content: Any) -> Iterator[bytes]:
    """Yield chunks compressed; ``content`` is a hash that is fed with what they are uncompressed."""
    from isal import isal_zlib

    compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP_WINDOW)
    for chunk in chunks:
        content.update(chunk)
        yield compressor.compress(chunk)
    yield compressor.flush()


def _header(name: str, *, size: int = 0, directory: bool = False) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.type, info.mode = (tarfile.DIRTYPE, 0o755) if directory else (tarfile.REGTYPE, 0o644)
    return info.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
