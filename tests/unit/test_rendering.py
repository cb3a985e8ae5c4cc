"""Templates rendered in a child process: what comes out, and what a bad or hostile one does."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.model.errors import StalledError
from controller.model.images import Value
from controller.rendering import render
from controller.specs.nearest import printable


def failure(text: str, **values: Value) -> str:
    with pytest.raises(StalledError) as caught:
        render({"Dockerfile.j2": text}, values, name="mine")
    assert caught.value.reason == "TemplateFailed"
    return caught.value.message


def test_texts_come_out_as_written() -> None:
    """Unicode, the last line's end, and no blank lines where a block stood."""
    text = "FROM {{ base }}\n{% if words %}\nRUN echo {{ words | join(' ') }} grüße\n{% endif %}\n"
    rendered = render({"a.j2": text, "b.j2": "x"}, {"base": "b", "words": ("p", "q")}, name="mine")
    assert rendered == {"a.j2": "FROM b\nRUN echo p q grüße\n", "b.j2": "x"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FROM x\nRUN {{ y }}\n", "Dockerfile.j2:2: 'y' is undefined"),
        ("FROM x\n\n{% if y %}\n", "Dockerfile.j2:3: Unexpected end of template"),
        ("FROM x\n{% include '/etc/passwd' %}\n", "Dockerfile.j2:2: "),
        ("{{ ''.__class__.__mro__ }}", "Dockerfile.j2:1: access to attribute '__class__' of 'str' object is unsafe"),
        ("FROM\n{{ {'a': 1}[b] }}", "Dockerfile.j2:2: 'dict object' has no attribute 'c'"),
    ],
)
def test_what_fails_is_told_with_file_and_line(text: str, said: str) -> None:
    message = failure(text, b="c")
    assert message.startswith(f"template mine cannot be rendered: {said}")


NAMES = st.text(st.characters() | st.sampled_from("\udce9\udcff\n\x1b'\"\\{%"), min_size=1, max_size=20)


@settings(max_examples=20, deadline=None)
@given(NAMES.filter(lambda name: "\0" not in name))
def test_any_name_of_a_file_is_rendered_or_named(name: str) -> None:
    """Bytes that are no UTF-8 are held as Python holds them; what is said of one is fit for any screen."""
    assert render({name: "{{ x }}"}, {"x": "y"}, name="mine") == {name: "y"}
    with pytest.raises(StalledError) as caught:
        render({name: "\n{{ z }}"}, {}, name="mine")
    assert f"{printable(name)}:2: 'z' is undefined" in caught.value.message
    assert caught.value.message.isprintable()


def test_a_bomb_of_memory_ends_in_the_child() -> None:
    assert "it needs more than 512 MiB of memory" in failure("{{ 'x' * 10**10 }}")


def test_a_bomb_of_output_is_refused() -> None:
    assert "the rendered files have more than 4 MiB" in failure("{{ 'x' * 5000000 }}")


def test_a_bomb_of_time_is_stopped() -> None:
    loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    assert "it computes for too long" in failure(loops)


def test_nothing_of_the_environment_reaches_the_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither what PYTHONPATH names nor what lies in the working directory is run."""
    (tmp_path / "jinja2.py").write_text("raise SystemExit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert render({"a": "{{ 1 + 1 }}"}, {}, name="mine") == {"a": "2"}
