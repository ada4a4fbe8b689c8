"""What is asked of a fleet, and how long a GPU takes for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

TERA = 1e12
H200_FLOPS = 790e12
"""FLOP per second of a dense bfloat16 matrix product on an H200."""
ASSUMED_SHARE = 0.5
"""Part of it that a denoiser is assumed to reach where nobody has measured."""


class NotMeasured(Exception):
    """The files of bench.py do not say how long a step takes."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One model on one kind of GPU, and the requests that arrive. Times are in seconds.

    A step of a replica is one forward for each size that is present, each of them
    `launch_seconds` and, for each of its rows, `row_seconds` × the size's share of the work.

    Attributes:
        name: what it is called on the command line.
        source: where its times are from.
        steps: denoising steps of a request.
        launch_seconds: of a forward, however many rows it has.
        row_seconds: of each output in it, guidance included, at full size.
        fixed_seconds: per request outside of the steps: text encoder and decoder, which hold up
            everybody else on the GPU.
        sizes: (work in comparison with the full size, share of the requests) of each size.
        max_rows: outputs that a replica has in flight at most.
        width, height: of the full size, in pixels.
    """

    name: str
    source: str
    steps: int
    launch_seconds: float
    row_seconds: float
    fixed_seconds: float
    sizes: tuple[tuple[float, float], ...] = ((1.0, 1.0),)
    max_rows: int = 8
    width: int = 512
    height: int = 512

    @property
    def alone_seconds(self) -> float:
        """What a request of full size takes on an idle replica."""
        return self.steps * (self.launch_seconds + self.row_seconds) + self.fixed_seconds

    @property
    def most_per_second(self) -> float:
        """Requests per second of a replica that is always full, its rows of one size."""
        work = sum(work * share for work, share in self.sizes)
        forward = self.launch_seconds / self.max_rows + self.row_seconds * work
        return 1 / (self.steps * forward + self.fixed_seconds)


def assumed(
    name: str, *, steps: int, row_teraflop: float, decode_teraflop: float, side: int
) -> Workload:
    """A workload from its arithmetic alone, at `ASSUMED_SHARE` of an H200.

    Args:
        name: see `Workload`.
        steps: see `Workload`.
        row_teraflop: of one step of one output, guidance included.
        decode_teraflop: of one output's decoder.
        side: width and height in pixels.
    """
    rate = H200_FLOPS * ASSUMED_SHARE / TERA
    return Workload(
        name=name,
        source=f"arithmetic at {ASSUMED_SHARE:.0%} of an H200's matrix products: an assumption",
        steps=steps,
        launch_seconds=0.008,  # a UNet's kernels from Python, where nothing is captured
        row_seconds=row_teraflop / rate,
        fixed_seconds=decode_teraflop / rate,
        width=side,
        height=side,
    )


MIXED = ((1.0, 0.7), (0.56, 0.3))
"""Most requests at full size, some at three quarters of the side."""

WORKLOADS = {
    workload.name: workload
    for workload in (
        assumed("sd15", steps=50, row_teraflop=1.606, decode_teraflop=2.51, side=512),
        assumed("sdxl", steps=30, row_teraflop=13.52, decode_teraflop=10.47, side=1024),
        assumed("sdxl-lightning", steps=4, row_teraflop=6.76, decode_teraflop=10.47, side=1024),
        assumed("sd-turbo", steps=1, row_teraflop=0.804, decode_teraflop=2.51, side=512),
    )
}
"""Arithmetic as `bench.py --roof` counts it."""


def with_mixed_sizes(workload: Workload) -> Workload:
    """The same model, asked for two sizes."""
    return replace(workload, name=f"{workload.name}, two sizes", sizes=MIXED)


def measured(paths: Sequence[Path]) -> Workload:
    """A workload from what `bench.py --json` wrote, each file with another `--batch_size`.

    The request's time is a line over its outputs: what is per forward, and what is per row. The
    decoder's time is in the line; one file alone leaves nothing for the forward itself.

    Raises:
        NotMeasured: a file is none of bench.py's, or they are of different work.
    """
    documents = [_document(path) for path in paths]
    works = {_key(document) for document in documents}
    if len(works) != 1:
        raise NotMeasured("the files are of different models, sizes or steps")
    (model, device, width, height, steps), *_ = works
    runs = [run for document in documents for run in document["runs"]]
    outputs = np.array([run["outputs"] for run in runs], dtype=float)
    seconds = np.array([run["seconds"] for run in runs], dtype=float)
    launch, row = _line(outputs, seconds)
    return Workload(
        name=f"{model} on {device}",
        source=f"measured by bench.py, {len(runs)} runs",
        steps=steps,
        launch_seconds=launch / steps,
        row_seconds=row / steps,
        fixed_seconds=0.0,
        width=width,
        height=height,
    )


def _document(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if document["runs"]:
            return document
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotMeasured(f"{path} is not what bench.py --json writes: {error}") from error
    raise NotMeasured(f"{path} has no runs")


def _key(document: dict[str, Any]) -> tuple[str, str, int, int, int]:
    work = document["work"]
    steps = work["num_inference_steps"]
    if not steps:
        raise NotMeasured("run bench.py with --num_inference_steps, so that the steps are known")
    return document["model_id"], document["device"], work["width"], work["height"], steps


def _line(outputs: np.ndarray, seconds: np.ndarray) -> tuple[float, float]:
    """(seconds at no output, seconds per output), neither below zero."""
    if len(set(outputs)) == 1:
        return 0.0, float(np.median(seconds / outputs))
    row, launch = np.polyfit(outputs, seconds, 1)
    return max(float(launch), 0.0), max(float(row), 0.0)
