"""Several clients at once: throughput, latencies and how full the forwards were."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from statistics import quantiles

from app.engine.messages import Usage
from benchmarks.core import Core
from benchmarks.work import Work

STEP_MIX = (1.0, 0.5, 1.5, 0.75)
"""Shares of the given steps that the requests ask for, in turn."""
SIZE_MIX = (1.0, 1.0, 0.75)
"""Shares of the given sides, in turn; a period of its own, so that every pair occurs."""
SIZE_STEP = 64
"""Sizes are multiples of it: what every model takes."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load gave. Times are in seconds.

    Attributes:
        clients, requests: how many.
        seconds: from the first request to the last answer.
        outputs_per_second: images or videos.
        p50, p95, p99: of a request's latency.
        rows_per_forward: samples that shared a pass through the denoiser, on average.
        busy_share: part of the time in which the worker computed.
        compilations: graphs compiled meanwhile.
    """

    clients: int
    requests: int
    seconds: float
    outputs_per_second: float
    p50: float
    p95: float
    p99: float
    rows_per_forward: float
    busy_share: float
    compilations: int


def mixed(work: Work, requests: int) -> list[Work]:
    """Requests of mixed steps and sizes around `work`, the same ones each time."""
    return [
        replace(
            work,
            width=_side(work.width, SIZE_MIX[i % len(SIZE_MIX)]),
            height=_side(work.height, SIZE_MIX[i % len(SIZE_MIX)]),
            num_inference_steps=round(work.num_inference_steps * STEP_MIX[i % len(STEP_MIX)]),
            seed=work.seed + i,
        )
        for i in range(requests)
    ]


def _side(length: int, share: float) -> int:
    return max(SIZE_STEP, int(length * share) // SIZE_STEP * SIZE_STEP)


async def in_parallel(
    works: Sequence[Work], clients: int, run: Callable[[Work], Awaitable[object]]
) -> list[float]:
    """Latency of each request, with `clients` that send the next one when they have an answer."""
    waiting = iter(works)
    latencies: list[float] = []

    async def client() -> None:
        for work in waiting:
            start = time.perf_counter()
            await run(work)
            latencies.append(time.perf_counter() - start)

    await asyncio.gather(*(client() for _ in range(clients)))
    return latencies


async def load(core: Core, works: Sequence[Work], clients: int) -> LoadResult:
    """Put the requests on the service and see how it fares."""
    usages = [(await core.run(works[0])).usage]  # the counters' state before

    async def run(work: Work) -> None:
        usages.append((await core.run(work)).usage)

    start = time.perf_counter()
    latencies = await in_parallel(works, clients, run)
    return summarise(latencies, time.perf_counter() - start, works, clients, usages)


def summarise(
    latencies: Sequence[float],
    seconds: float,
    works: Sequence[Work],
    clients: int,
    usages: Sequence[Usage],
) -> LoadResult:
    """The figures of a load, from the worker's counters before and after."""
    before, after = usages[0], max(usages, key=lambda usage: usage.forwards)
    cuts = quantiles([*latencies, *latencies], n=100, method="inclusive")  # one is enough, too
    forwards = after.forwards - before.forwards
    return LoadResult(
        clients=clients,
        requests=len(works),
        seconds=seconds,
        outputs_per_second=sum(work.images for work in works) / seconds,
        p50=cuts[49],
        p95=cuts[94],
        p99=cuts[98],
        rows_per_forward=(after.rows - before.rows) / forwards if forwards else 0.0,
        busy_share=(after.busy_seconds - before.busy_seconds) / seconds,
        compilations=after.compilations - before.compilations,
    )


def lines(result: LoadResult) -> list[str]:
    """The result in words."""
    return [
        f"load: {result.requests} requests by {result.clients} clients in {result.seconds:.3f}s",
        f"throughput: {result.outputs_per_second:.3f} outputs/s",
        f"latency: p50 {result.p50:.3f}s, p95 {result.p95:.3f}s, p99 {result.p99:.3f}s",
        f"rows per forward: {result.rows_per_forward:.2f}",
        f"device busy: {100 * result.busy_share:.0f}% of the time",
        f"compilations: {result.compilations}",
    ]
