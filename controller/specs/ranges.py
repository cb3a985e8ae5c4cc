"""Ranges of numbers: ``{range: [first, last, step]}`` to the texts of its values.

Counted in decimal, so that steps of 0.1 are exact, and never built when too long. Must not know what they are for.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

_MOST = Decimal(10) ** 12
_MOST_PLACES = 12
"""Together fewer than the 28 digits of Decimal's default context, so that nothing is rounded."""


class RangeError(ValueError):
    """Numbers that make no range; the message completes "<field> ..."."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def count(bounds: Sequence[str]) -> int:
    """Return how many values there are from first to last, both included.

    Raises:
        RangeError: it never arrives, has no end, or is out of what can be counted.
    """
    first, last, step = _numbers(bounds)
    if step == 0:
        raise RangeError("has a step of 0")
    if (last - first) * step < 0:
        remedy = "give a negative step" if step > 0 else "give a positive step, or leave it out"
        raise RangeError(f"is empty: {bounds[0]} to {bounds[1]} in steps of {step:f}", remedy)
    places = max(map(_places, (first, last, step)))
    start, end, stride = (int(number.scaleb(places)) for number in (first, last, step))
    return (end - start) // stride + 1


def values(bounds: Sequence[str]) -> list[str]:
    """Return the values as text, all with as many decimal places as the first or the step has."""
    first, _, step = _numbers(bounds)
    places = max(_places(first), _places(step))
    # Whole numbers of the smallest unit: ten times as fast as decimals.
    start, stride = int(first.scaleb(places)), int(step.scaleb(places))
    whole = [start + stride * n for n in range(count(bounds))]
    return [_text(number, places) for number in whole] if places else [str(number) for number in whole]


def _text(number: int, places: int) -> str:
    digits = str(abs(number)).rjust(places + 1, "0")
    return f"{'-' if number < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def _numbers(bounds: Sequence[str]) -> tuple[Decimal, Decimal, Decimal]:
    numbers = [_number(text) for text in bounds]
    return numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else Decimal(1)


def _number(text: str) -> Decimal:
    if text.lower().startswith(("0x", "0o")):
        return Decimal(int(text, 0))
    number = Decimal(text)
    if not number.is_finite() or abs(number) >= _MOST or _places(number) > _MOST_PLACES:
        raise RangeError(f"is out of what can be counted: {text[:40]}", "write the values out as a list")
    return number


def _places(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
