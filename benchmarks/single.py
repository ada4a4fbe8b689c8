"""One request after another: the lines that `bench.py` has always printed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from app.engine.messages import Ready, Usage
from app.pipelines import PIPELINES
from app.pipelines.base import Media
from benchmarks.core import Core
from benchmarks.work import Work

GIBIBYTE = 2**30
SFAST_WARMUPS = 2
"""Runs before the measured ones with SFAST: the first traces, the second shows what is left."""

Print = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RunResult:
    """One run: `outputs` images or videos in `seconds`, at most so much memory in use."""

    seconds: float
    outputs: int
    allocated_bytes: int
    reserved_bytes: int
    compilations: int

    @property
    def seconds_per_output(self) -> float:
        """Seconds divided by the outputs."""
        return self.seconds / self.outputs


async def run_once(core: Core, work: Work) -> RunResult:
    """Make `work.images` outputs: one request of images, or as many requests of videos."""
    if PIPELINES[core.settings.pipeline].media is Media.IMAGE:
        measured = [await core.run(work)]
    else:
        each = [replace(work, images=1, seed=work.seed + i) for i in range(work.images)]
        measured = list(await asyncio.gather(*(core.run(one) for one in each)))
    usage: Usage = measured[-1].usage
    return RunResult(
        seconds=max(it.queue_seconds + it.inference_seconds for it in measured),
        outputs=sum(it.outputs for it in measured),
        allocated_bytes=max(it.usage.allocated_bytes for it in measured),
        reserved_bytes=max(it.usage.reserved_bytes for it in measured),
        compilations=usage.compilations,
    )


async def run_all(
    core: Core, work: Work, runs: int, say: Print, label: str = ""
) -> list[RunResult]:
    """Run the same work `runs` times, reporting each."""
    results = []
    for i in range(runs):
        result = await run_once(core, work)
        print_run(i, work.images, result, say, label)
        results.append(result)
    return results


def print_run(index: int, batch_size: int, result: RunResult, say: Print, label: str = "") -> None:
    """The four lines of a run."""
    start = f"{label}inference {index} {batch_size=}"
    say(f"{start} time: {result.seconds:.3f}s")
    say(f"{start} time per output: {result.seconds_per_output:.3f}s")
    say(f"{start} max GPU memory allocated: {result.allocated_bytes / GIBIBYTE:.3f}GiB")
    say(f"{start} max GPU memory reserved: {result.reserved_bytes / GIBIBYTE:.3f}GiB")


def print_aggregate(
    ready: Ready, warmups: Sequence[RunResult], runs: Sequence[RunResult], say: Print
) -> None:
    """The summary under `----AGGREGATE METRICS----`."""
    usage = ready.usage
    say("")
    say("----AGGREGATE METRICS----")
    say(f"pipeline load time: {ready.load_seconds:.3f}s")
    say(f"pipeline load max GPU memory allocated: {usage.allocated_bytes / GIBIBYTE:.3f}GiB")
    say(f"pipeline load max GPU memory reserved: {usage.reserved_bytes / GIBIBYTE:.3f}GiB")
    if warmups:
        _print_averages("avg warmup inference", warmups, say)
    _print_averages("avg inference", runs, say)


def _print_averages(name: str, runs: Sequence[RunResult], say: Print) -> None:
    allocated = fmean(run.allocated_bytes for run in runs) / GIBIBYTE
    reserved = fmean(run.reserved_bytes for run in runs) / GIBIBYTE
    say(f"{name} time: {fmean(run.seconds for run in runs):.3f}s")
    say(f"{name} time per output: {fmean(run.seconds_per_output for run in runs):.3f}s")
    say(f"{name} max GPU memory allocated: {allocated:.3f}GiB")
    say(f"{name} max GPU memory reserved: {reserved:.3f}GiB")


def print_about(ready: Ready, say: Print) -> None:
    """What is measured, and what the memory lines mean without a GPU."""
    active = ", ".join(ready.accelerators) or "none"
    say(f"device: {ready.device} ({ready.dtype}), accelerators: {active}")
    if not ready.device.startswith("cuda"):
        say(
            "no CUDA device: the memory lines show the worker process's peak resident memory "
            "instead of a GPU's"
        )
