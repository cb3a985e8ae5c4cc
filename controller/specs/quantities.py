"""Durations and amounts of memory as people and sbatch write them.

Turns text into whole seconds and MiB. Must not know which field the text stands in.
"""

from __future__ import annotations

import re

MAX_S = 3650 * 86400
MAX_MIB = 1 << 40

_MIB_PER = {"M": 1, "G": 1 << 10, "T": 1 << 20}

_WITH_UNITS = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,12})s)?", re.ASCII)
_CLOCK = re.compile(r"(\d{1,9})(?::(\d{1,9}))?(?::(\d{1,9}))?", re.ASCII)
_DAYS = re.compile(r"(\d{1,9})-(\d{1,9})(?::(\d{1,9}))?(?::(\d{1,9}))?", re.ASCII)
_MEMORY = re.compile(r"(\d{1,18})([KMGT])?", re.ASCII | re.IGNORECASE)


class QuantityError(ValueError):
    """Text that is no such quantity; the message completes "<field> ..." and leaves the value to the caller."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def duration_s(text: str) -> int:
    """Return the seconds of ``90s``, ``30m``, ``4h``, ``2d`` or several of them, largest unit first (``1h30m``).

    Raises:
        QuantityError: anything else, nothing at all, zero, or more than ten years.
    """
    match = _WITH_UNITS.fullmatch(text)
    if not text or match is None:
        raise QuantityError("must be a duration such as 90s, 30m, 4h, 2d or 1h30m")
    return _in_range(_sum(match.groups(), (86400, 3600, 60, 1)))


def walltime_s(value: str | int) -> int:
    """Return the seconds of a time limit: as ``duration_s``, or any form of sbatch's ``--time``.

    sbatch (man page of 24.11): "minutes", "minutes:seconds", "hours:minutes:seconds", "days-hours",
    "days-hours:minutes" and "days-hours:minutes:seconds". A bare number is minutes.

    Raises:
        QuantityError: the value is none of these, zero, unlimited, or more than ten years.
    """
    text = str(value)
    if text.lower() in ("infinite", "unlimited"):
        raise QuantityError("must have an end", "give a limit such as 2d, or leave it out for the partition's default")
    if match := _DAYS.fullmatch(text):
        return _in_range(_sum(match.groups(), (86400, 3600, 60, 1)))
    if match := _CLOCK.fullmatch(text):
        parts = [part for part in match.groups() if part is not None]
        return _in_range(_sum(parts, (3600, 60, 1) if len(parts) == 3 else (60, 1)))
    if not text or _WITH_UNITS.fullmatch(text) is None:
        raise QuantityError("must be a time such as 90s, 30m, 4h, 1h30m, 4:00:00 or 1-12:00:00")
    return duration_s(text)


def memory_mib(value: str | int) -> int:
    """Return the MiB of ``512M``, ``32G``, ``1T`` (powers of 1024); a bare number is MiB, as for sbatch ``--mem``.

    KiB are rounded up to a whole MiB.

    Raises:
        QuantityError: the value is none of these, zero, or more than an EiB.
    """
    text = str(value)
    match = _MEMORY.fullmatch(text)
    if match is None:
        short = re.fullmatch(r"(\d{1,18}) ?([KMGT])(?:i?B)?", text, re.ASCII | re.IGNORECASE)
        remedy = f"write {short[1]}{short[2].upper()}" if short else ""
        raise QuantityError("must be an amount of memory such as 512M, 32G or 1T", remedy)
    number, unit = int(match[1]), (match[2] or "M").upper()
    mib = -(-number // 1024) if unit == "K" else number * _MIB_PER[unit]
    if mib == 0:
        raise QuantityError("must be more than 0")
    if mib > MAX_MIB:
        raise QuantityError(f"must be at most {MAX_MIB >> 20}T")
    return mib


def _sum(parts: tuple[str | None, ...] | list[str], units: tuple[int, ...]) -> int:
    return sum(int(part) * unit for part, unit in zip(parts, units, strict=False) if part is not None)


def _in_range(seconds: int) -> int:
    if seconds == 0:
        raise QuantityError("must be longer than 0")
    if seconds > MAX_S:
        raise QuantityError(f"must be at most {MAX_S // 86400}d")
    return seconds
