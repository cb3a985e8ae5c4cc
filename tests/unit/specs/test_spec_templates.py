"""The built-in templates as they are shipped."""

from __future__ import annotations

import pytest

from controller.reconcile.contexts import rendered_files
from controller.reconcile.scaffold import scaffold
from controller.specs.compile import load
from controller.specs.templates import BuiltinTree, builtin, builtin_names
from tests.unit.specs.trees import MemoryTree, headlines

HASHES = {
    "conda": "72c4c173319428673b3239c4786929beb15e8fb207751ba14f27257d534a9ee7",
    "cuda": "205fde72eb786084c09b8659ed7f11e57364b1a23927eb587ee5fa2061077851",
    "mpi": "127eed1cb00e6705053ec9a364c637be9d0bffe5ac17bc6c72249234aa33ebdd",
    "python": "3cbd6fdf7585d1d81ead5f801f06bf7bbc3828c8b3b7f25478518dda8426a8e1",
    "r": "16204fbc3fd10f83e5b264520c61f59e8cee2e821d651d16f333dceb8c929d11",
}


@pytest.mark.parametrize("name", HASHES)
def test_a_built_in_template_changes_on_purpose_only(name: str) -> None:
    """Its bytes are part of every identity that is built from it: an edit builds again, and runs again, everywhere.

    Change a hash here when that is what you want, and say so in the changelog.
    """
    assert builtin(name)[0].tree == HASHES[name]


def test_the_list_is_complete() -> None:
    assert builtin_names() == tuple(HASHES)


@pytest.mark.parametrize("name", HASHES)
def test_a_scaffold_is_a_valid_image(name: str) -> None:
    """Rendered with its defaults, committed as it is, the image is valid and labelled."""
    files, template = builtin(name)
    made = scaffold(BuiltinTree(name), files, template, {}, name="mine", label=name, context="images/mine")
    committed = {f"images/mine/{path}": data for path, (_, data) in made.files.items()}
    result = load(MemoryTree({**committed, "images/mine.yaml": made.spec}))
    assert headlines(result) == []
    assert set(result.images) == {"mine"}
    dockerfile = made.files["Dockerfile"][1].decode()
    assert 'LABEL org.opencontainers.image.title="mine"' in dockerfile
    assert "{" not in dockerfile.replace("{print", "")
    assert len(made.files) == 2


@pytest.mark.parametrize("name", HASHES)
def test_built_from_the_template_itself(name: str) -> None:
    """The same files without a copy in the repository."""
    result = load(MemoryTree({"a.yaml": f"kind: Image\nname: i\nbuild: {{template: {name}}}\n"}))
    assert headlines(result) == []
    origin = result.images["i"].origin
    assert "Dockerfile" in rendered_files(BuiltinTree(name), origin)  # type: ignore[arg-type]
