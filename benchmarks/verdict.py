"""What a measurement says of its target."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median


def verdict(name: str, ratios: Sequence[float], target: float, *, at_least: bool = True) -> str:
    """One line: the median of the rounds' ratios beside the target."""
    ratio = median(ratios)
    reached = ratio >= target if at_least else ratio <= target
    sign = "≥" if at_least else "≤"
    rounds = ", ".join(f"{each:.2f}" for each in ratios)
    return (
        f"{name}: {ratio:.2f} ({rounds}), target {sign} {target:g}: "
        f"{'reached' if reached else 'missed'}"
    )
