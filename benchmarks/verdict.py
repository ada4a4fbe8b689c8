"""What a measurement says of its target."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median


def verdict(name: str, values: Sequence[float], target: float, *, at_least: bool = True) -> str:
    """One line: the median of the rounds' values beside the target."""
    middle = median(values)
    reached = middle >= target if at_least else middle <= target
    sign = "≥" if at_least else "≤"
    rounds = ", ".join(f"{each:.2f}" for each in values)
    return (
        f"{name}: {middle:.2f} ({rounds}), target {sign} {target:g}: "
        f"{'reached' if reached else 'missed'}"
    )
