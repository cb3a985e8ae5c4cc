"""What engines save, in each of their layouts, becomes one OCI archive; what is cut short becomes none."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Iterator, Mapping, Sequence

import pytest

from controller.containers.oci import write_archive
from controller.model.errors import TransientError

LARGE = 5 << 20


def a_layer(name: str, content: bytes = b"word\n") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def a_config(layers: Sequence[bytes]) -> bytes:
    diff_ids = [digest(each) for each in layers]
    return json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()


def saved(files: Mapping[str, bytes | str], *, time: int = 0) -> bytes:
    """Return a tar of files; a text is where a symbolic link leads."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.mtime = time
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def old_layout(layers: Sequence[bytes]) -> dict[str, bytes | str]:
    """Docker before 25: a directory for each layer, a symbolic link for one that is there twice, the manifest last."""
    files: dict[str, bytes | str] = {"config.json": a_config(layers)}
    for index, layer in enumerate(layers):
        first = layers.index(layer)
        files[f"{index}/VERSION"] = b"1.0"
        files[f"{index}/layer.tar"] = layer if first == index else f"../{first}/layer.tar"
    names = [f"{index}/layer.tar" for index in range(len(layers))]
    return {**files, "manifest.json": json.dumps([{"Config": "config.json", "Layers": names}]).encode()}


def new_layout(layers: Sequence[bytes], stored: Sequence[bytes] = ()) -> dict[str, bytes | str]:
    """Docker from 25: an OCI layout with Docker's manifest beside it; ``stored`` is how the layers lie there."""
    blobs = [f"blobs/sha256/{digest(each).partition(':')[2]}" for each in stored or layers]
    manifest = [{"Config": "blobs/sha256/config", "RepoTags": None, "Layers": blobs}]
    return {
        "blobs/sha256/config": a_config(layers),
        **dict(zip(blobs, stored or layers, strict=True)),
        "index.json": b"{}",
        "manifest.json": json.dumps(manifest).encode(),
        "oci-layout": b"{}",
    }


def pieces(data: bytes, size: int = 70_000) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def written(data: bytes) -> bytes:
    target = io.BytesIO()
    write_archive(pieces(data), target)
    return target.getvalue()


def layers_of(archive: bytes) -> list[tuple[str, bytes]]:
    """Return media type and bytes of an OCI archive's layers; every blob is what its name and descriptor say."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {info.name: tar.extractfile(info).read() for info in tar if info.isfile()}  # type: ignore[union-attr]
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    for name, data in files.items():
        assert not name.startswith("blobs/") or name == f"blobs/{digest(data).replace(':', '/')}"
    [described] = json.loads(files["index.json"])["manifests"]
    manifest = json.loads(files[f"blobs/{described['digest'].replace(':', '/')}"])
    found = []
    for each in (manifest["config"], *manifest["layers"]):
        data = files[f"blobs/{each['digest'].replace(':', '/')}"]
        assert each["size"] == len(data)
        found.append((each["mediaType"].removeprefix("application/vnd.oci.image."), data))
    kind, config = found[0]
    assert kind == "config.v1+json"
    assert len(json.loads(config)["rootfs"]["diff_ids"] or ()) == len(found) - 1
    return found[1:]


@pytest.mark.parametrize("layout", [old_layout, new_layout])
def test_layers_come_in_their_order_and_compressed(layout: object) -> None:
    layers = [a_layer("one"), a_layer("large", noise(LARGE)), a_layer("two"), a_layer("three")]
    found = layers_of(written(saved(layout(layers))))  # type: ignore[operator]
    assert [kind for kind, _ in found] == ["layer.v1.tar+gzip"] * 4
    assert [gzip.decompress(data) for _, data in found] == layers


def test_a_layer_that_is_there_twice_is_one_blob() -> None:
    """Small and large: Docker saves the second as a symbolic link."""
    small, large = a_layer("one"), a_layer("large", noise(LARGE))
    archive = written(saved(old_layout([small, large, small, large])))
    assert [gzip.decompress(data) for _, data in layers_of(archive)] == [small, large, small, large]
    assert len(archive) < 1.5 * LARGE


def test_layers_that_were_saved_compressed_stay_as_they_are() -> None:
    """As Docker's containerd store may have them; nothing here can read zstd, and nothing has to."""
    layers = [a_layer("one"), a_layer("large", noise(LARGE))]
    stored = [gzip.compress(layers[0], mtime=7), b"\x28\xb5\x2f\xfd" + noise(LARGE)]
    found = layers_of(written(saved(new_layout(layers, stored))))
    assert found == [("layer.v1.tar+gzip", stored[0]), ("layer.v1.tar+zstd", stored[1])]


def test_an_image_without_layers_is_one() -> None:
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": None}}).encode()
    manifest = json.dumps([{"Config": "c.json", "Layers": None}]).encode()
    assert layers_of(written(saved({"c.json": config, "manifest.json": manifest}))) == []


def test_the_same_image_is_the_same_bytes_whenever_it_is_saved() -> None:
    files = old_layout([a_layer("one"), a_layer("large", noise(LARGE))])
    assert written(saved(files, time=1)) == written(saved(files, time=2))


def test_what_was_cut_short_is_no_image() -> None:
    """Wherever the engine stops: in a layer, between two files, before the manifest."""
    data = saved(old_layout([a_layer("one"), a_layer("large", noise(LARGE)), a_layer("two")]))
    cuts = [0, 100, 512, *range(1536, len(data) - 4 * tarfile.RECORDSIZE, 65_536 * 7 + 512)]
    for cut in cuts:
        with pytest.raises(TransientError) as caught:
            written(data[:cut])
        assert caught.value.reason == "ArchiveIncomplete"
        assert "engine's own log" in caught.value.message


def test_another_layer_than_the_config_names_is_no_image() -> None:
    files = old_layout([a_layer("one"), a_layer("two")])
    files["1/layer.tar"] = a_layer("other")
    with pytest.raises(TransientError, match="has other content"):
        written(saved(files))


@pytest.mark.parametrize(
    "manifest", [b"[]", b"{}", b"nonsense", b'[{"Config": "none.json", "Layers": []}]', b'[{"Layers": [1]}]']
)
def test_a_manifest_that_is_none_is_no_image(manifest: bytes) -> None:
    files = {**old_layout([a_layer("one")]), "manifest.json": manifest}
    with pytest.raises(TransientError) as caught:
        written(saved(files))
    assert caught.value.reason == "ArchiveIncomplete"
