"""Durations and memory, in every form that is taken, and nothing else."""

from __future__ import annotations

import pytest

from controller.specs.quantities import QuantityError, duration_s, memory_mib, walltime_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("4h", 14400),
        ("2d", 172800),
        ("1h30m", 5400),
        ("1d2h3m4s", 93784),
        ("30", 1800),
        (30, 1800),
        ("1:30", 90),
        ("04:00:00", 14400),
        ("100:00:00", 360000),
        ("1-12", 129600),
        ("1-12:30", 131400),
        ("1-12:30:15", 131415),
        ("0-1", 3600),
    ],
)
def test_walltime(text: str | int, seconds: int) -> None:
    assert walltime_s(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0", 0, "0s", "-5", "1.5h", "4 h", "4H", "1m2h", "1:2:3:4", "infinite", "UNLIMITED", "٣h", "99999999d"]
)
def test_not_a_walltime(text: str | int) -> None:
    with pytest.raises(QuantityError):
        walltime_s(text)


@pytest.mark.parametrize("text", ["30", "1:30", "1-2", ""])
def test_a_duration_has_units(text: str) -> None:
    """Outside of SLURM a bare number could be seconds or minutes."""
    with pytest.raises(QuantityError):
        duration_s(text)


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        ("512M", 512),
        ("32G", 32768),
        ("1T", 1 << 20),
        (2000, 2000),
        ("2000", 2000),
        ("1K", 1),
        ("1025K", 2),
        ("4g", 4096),
    ],
)
def test_memory(text: str | int, mib: int) -> None:
    assert memory_mib(text) == mib


@pytest.mark.parametrize("text", ["", "0", 0, "-1G", "1.5G", "32GB", "32GiB", "32 G", "G", "9" * 30, "2000000T"])
def test_not_memory(text: str | int) -> None:
    with pytest.raises(QuantityError):
        memory_mib(text)
