"""Continuous batching against plain diffusers, in one process and one run.

    python -m benchmarks.batching [--repeat 3] [--threads 1]

Each row is a load: requests of mixed steps, so many of them at a time. "plain" calls the
pipeline for one after the other; "hub" has them share forwards. Both make the same images. The
ratio is of processor seconds, which other programs on the machine disturb less than the clock.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import diffusers
import torch

from app.diffusion.store import DEMO_DIR
from app.diffusion.weights import INDEX
from app.worker.copies import Copies
from app.worker.hub import Hub, Task
from app.worker.limits import BatchPolicy, RowLimits
from app.worker.pixels import to_uint8
from app.worker.threads import Threads
from benchmarks.tiny import tiny_pipe


@dataclass(frozen=True, slots=True)
class Load:
    """Requests to make.

    Attributes:
        name: what the table calls it.
        pipe: the pipeline.
        side: pixels.
        steps: of each request.
        clients: requests at a time.
    """

    name: str
    pipe: Any
    side: int
    steps: tuple[int, ...]
    clients: int

    def requests(self) -> Iterator[dict[str, Any]]:
        """Arguments of each call."""
        for seed, steps in enumerate(self.steps):
            yield {
                "prompt": f"a house by the sea, number {seed}",
                "num_inference_steps": steps,
                "guidance_scale": 4.0 + seed % 5,
                "width": self.side,
                "height": self.side,
                "generator": torch.Generator().manual_seed(seed),
                "output_type": "pt",
            }


def plain(load: Load) -> float:
    """One request after the other; rows per forward."""
    for request in load.requests():
        to_uint8(load.pipe(**request)[0])
    return 2.0


def shared(load: Load) -> float:
    """All clients' requests through a hub; rows per forward."""
    hub = Hub(RowLimits(BatchPolicy()), lambda _: None, Threads(adapt=True))
    copies = Copies(load.pipe, hub)
    requests = load.requests()

    def client(_: Task) -> None:
        if (request := next(requests, None)) is not None:
            with copies.lend((), lambda _: None) as pipe:
                to_uint8(pipe(**request)[0])
            hub.add(Task(client, (), lambda: False))

    for _ in range(load.clients):
        hub.add(Task(client, (), lambda: False))
    with torch.no_grad():
        while len(hub):
            hub.turn()
    return hub.rows / hub.forwards


def demo_pipe(folder: Path) -> Any:
    """The model that comes with the source."""
    pipe = diffusers.DiffusionPipeline.from_pretrained(folder, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def loads(tiny: Any) -> Iterator[Load]:
    """What is measured."""
    mixed = tuple(6 + seed * 8 // 23 for seed in range(24))
    yield Load("tiny, 24 of 6-14 steps by 8, 64 px", tiny, 64, mixed, 8)
    yield Load("tiny, 24 of 6-14 steps by 8, 128 px", tiny, 128, mixed, 8)
    folder = DEMO_DIR / "image"
    if (folder / INDEX).is_file():
        steps = tuple(4 + seed for seed in range(16))
        yield Load("demo, 16 of 4-19 steps at once, 128 px", demo_pipe(folder), 128, steps, 16)


class Measured(NamedTuple):
    """What a load took: processor seconds, and rows per forward."""

    seconds: float
    rows: float


def measured(make: Callable[[Load], float], load: Load) -> Measured:
    """Make all requests of a load."""
    start = time.process_time()
    rows = make(load)
    return Measured(time.process_time() - start, rows)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=3, help="interleaved rounds; medians count")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{'load':40} {'plain':>8} {'hub':>8} {'rows':>6} {'ratio':>6}")
    tiny = tiny_pipe()
    shared(Load("", tiny, 64, (2, 2), 2))  # one-time costs
    for load in loads(tiny):
        rounds = [(measured(plain, load), measured(shared, load)) for _ in range(options.repeat)]
        alone = statistics.median(one.seconds for one, _ in rounds)
        together = statistics.median(hub.seconds for _, hub in rounds)
        ratio = statistics.median(one.seconds / hub.seconds for one, hub in rounds)
        _, first = rounds[0]
        print(
            f"{load.name:40} {alone:7.2f}s {together:7.2f}s {first.rows:6.1f} {ratio:6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
