"""A project's own image begun from a template: the files to customise, and the Image spec that builds them.

The other use of a template beside ``build.template``: here its files become the user's, who edits them from then on.
Must not write any file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from controller.model.files import FileSet
from controller.model.images import Build, Value
from controller.reconcile.contexts import rendered_files
from controller.specs.templates import Template
from controller.specs.tree import Tree

_PLAIN = re.compile("[A-Za-z./_][A-Za-z0-9./_-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaffold:
    """``spec`` is the text of the Image spec; ``files`` maps a path in the context to mode and bytes."""

    spec: str
    files: Mapping[str, tuple[int, bytes]]


def scaffold(
    tree: Tree, files: FileSet, template: Template, values: Mapping[str, Value], *, name: str, label: str, context: str
) -> Scaffold:
    """Return what a new image begins with; ``context`` is where its files will be, from the top of the repository.

    A template that has a value ``title`` and is given none takes the image's name for it.

    Raises:
        TemplateError: the values do not fit.
        StalledError: it does not render (``TemplateFailed``).
    """
    titled = {"title": name} if "title" in template.values else {}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in {**titled, **values}.items()}
    build = Build(context=files, template=label, values=template.filled(plain))
    spec = (
        f"# {template.description}\n"
        f"# Begun from the template {label}. All below {context} is the image: a change there builds it again.\n"
        "kind: Image\n"
        f"name: {name}\n"
        f"labels: {{template: {_scalar(label)}}}\n"
        f"build: {{context: {_scalar(context)}}}\n"
    )
    return Scaffold(spec=spec, files=rendered_files(tree, build))


def _scalar(text: str) -> str:
    """Return text as YAML, quoted where it has to be."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
