"""Accelerators side by side: the same requests, in turns, with what they change in the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from statistics import median

import numpy as np

from app.errors import ModelNotLoaded
from benchmarks.core import Core, settings_for
from benchmarks.work import Work

PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Variant:
    """One line of the comparison.

    Attributes:
        name: as the user wrote it: `plain`, `SFAST`, `QUANTIZE=int8+FUSE_QKV`.
        median_seconds: of the worker's time for a request.
        ratio: of the first line's median to this one's: above 1 is faster.
        mean_difference, largest_difference: of a pixel's value, 0 to 255, from the first line.
        gibibytes: most memory in use.
        refusal: why it cannot run here; empty if it did.
    """

    name: str
    median_seconds: float = 0.0
    ratio: float = 0.0
    mean_difference: float = 0.0
    largest_difference: int = 0
    gibibytes: float = 0.0
    refusal: str = ""


def changes_of(name: str) -> dict[str, str]:
    """Settings that a variant's name stands for: `SFAST`, `QUANTIZE=int8`, joined by `+`."""
    if name == PLAIN:
        return {}
    pairs = (part.partition("=") for part in name.split("+"))
    return {setting.lower(): value if equals else "true" for setting, equals, value in pairs}


async def compare(
    names: Sequence[str], pipeline: str, model_id: str, work: Work, runs: int
) -> list[Variant]:
    """Serve every variant at once and let them take turns.

    A first request each is not measured: it is the one that compiles.
    """
    results: dict[str, Variant] = {}
    async with AsyncExitStack() as stack:
        cores: dict[str, Core] = {}
        for name in names:
            core = Core(settings_for(pipeline, model_id, changes_of(name)))
            try:
                cores[name] = await stack.enter_async_context(core)
            except ModelNotLoaded as error:
                results[name] = Variant(name, refusal=str(error))
        seconds: dict[str, list[float]] = {name: [] for name in cores}
        pixels = {name: (await core.run(work)).pixels for name, core in cores.items()}
        memory = dict.fromkeys(cores, 0)
        for _ in range(runs):
            for name, core in cores.items():
                measured = await core.run(work)
                seconds[name].append(measured.inference_seconds)
                memory[name] = max(memory[name], measured.usage.allocated_bytes)
    first = next(iter(cores), "")
    for name in cores:
        mean, largest = pixel_difference(pixels[first], pixels[name])
        results[name] = Variant(
            name,
            median_seconds=median(seconds[name]),
            ratio=median(seconds[first]) / median(seconds[name]),
            mean_difference=mean,
            largest_difference=largest,
            gibibytes=memory[name] / 2**30,
        )
    return [results[name] for name in names]


def pixel_difference(one: np.ndarray, other: np.ndarray) -> tuple[float, int]:
    """Mean and largest difference of two images' uint8 values."""
    difference = np.abs(one.astype(np.int16) - other.astype(np.int16))
    return float(difference.mean()), int(difference.max())


def table(variants: Sequence[Variant]) -> list[str]:
    """The comparison as a Markdown table."""
    lines = [
        "| setting | median | speed | mean difference | largest | memory |",
        "|---|---|---|---|---|---|",
    ]
    for it in variants:
        if it.refusal:
            lines.append(f"| {it.name} | refused: {it.refusal} | | | | |")
            continue
        lines.append(
            f"| {it.name} | {it.median_seconds:.3f} s | {it.ratio:.2f} × | "
            f"{it.mean_difference:.3f} | {it.largest_difference} | {it.gibibytes:.2f} GiB |"
        )
    return lines
