"""A bar chart of results as an SVG file, without a plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

WIDTH = 760
LABEL_WIDTH = 230
VALUE_WIDTH = 130
BAR = 26
GAP = 14
TOP = 74
COLOURS = ("#8a94a6", "#2f6fed")
"""Of the first bar, which the others are measured by, and of the others."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its name, its length in the chart's unit and the text beside it."""

    name: str
    value: float
    text: str


def chart(title: str, subtitle: str, bars: Sequence[Bar]) -> str:
    """The chart as SVG source."""
    height = TOP + len(bars) * (BAR + GAP) + GAP
    longest = max((bar.value for bar in bars), default=0) or 1
    rows = [
        _row(i, bar, (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / longest) for i, bar in enumerate(bars)
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" font-family="system-ui, sans-serif">',
            f'<rect width="{WIDTH}" height="{height}" rx="10" fill="#ffffff"/>',
            f'<text x="24" y="34" font-size="18" font-weight="600" fill="#1c2430">{escape(title)}'
            "</text>",
            f'<text x="24" y="56" font-size="13" fill="#5b6675">{escape(subtitle)}</text>',
            *rows,
            "</svg>",
            "",
        ]
    )


def _row(index: int, bar: Bar, scale: float) -> str:
    top = TOP + index * (BAR + GAP)
    baseline = top + BAR / 2 + 5
    length = max(2.0, bar.value * scale)
    colour = COLOURS[min(index, 1)]
    return (
        f'<text x="{LABEL_WIDTH - 12}" y="{baseline}" font-size="14" text-anchor="end" '
        f'fill="#1c2430">{escape(bar.name)}</text>'
        f'<rect x="{LABEL_WIDTH}" y="{top}" width="{length:.1f}" height="{BAR}" rx="4" '
        f'fill="{colour}"/>'
        f'<text x="{LABEL_WIDTH + length + 10:.1f}" y="{baseline}" font-size="14" '
        f'fill="#1c2430">{escape(bar.text)}</text>'
    )


def write_chart(path: Path, title: str, subtitle: str, bars: Sequence[Bar]) -> None:
    """Write the chart to a file."""
    path.write_text(chart(title, subtitle, bars), "utf-8")
