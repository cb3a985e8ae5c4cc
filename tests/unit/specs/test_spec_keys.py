"""A task's key as a person types it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controller.specs.keys import key_of, meant_key, point_of

TEXT = st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc")), max_size=8).map(str.strip)
POINTS = st.dictionaries(st.sampled_from(["lr", "seed", "model", "x"]), TEXT, min_size=1)


@given(POINTS, st.randoms(use_true_random=False))
def test_any_order_of_the_axes_is_the_same_point(point: dict[str, str], chance) -> None:  # type: ignore[no-untyped-def]
    """Axes in another order, with blanks and quotes about, name the key that the point has."""
    key = key_of(point)
    assert meant_key(key, [key]) == key
    parts = key.split(",")
    chance.shuffle(parts)
    assert meant_key(" , ".join(parts), [key]) == key
    assert meant_key(",".join(f'"{part}"' for part in parts), [key]) == key
    assert meant_key(",".join(part.replace("=", " = ", 1) for part in parts), [key]) == key
    assert point_of(meant_key(",".join(parts), [key])) == point


@given(st.text(max_size=20))
def test_text_that_is_no_point_is_left_as_it_is(text: str) -> None:
    """Whatever is typed, there is an answer, and nothing that is no point is turned into one."""
    meant = meant_key(text, ["lr=0.1,seed=3"])
    assert "=" in text or meant == text
    assert meant_key(text, []) == text


def test_values_need_not_be_escaped() -> None:
    keys = [key_of({"data": "a/b, c", "n": "50%"})]
    assert meant_key("n=50%,data='a/b, c'", keys) == keys[0] == "data=a%2Fb%2C%20c,n=50%25"
