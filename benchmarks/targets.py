"""Models and plain loops that the HTTP measurements have in common."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.baseline import PlainLoop
from benchmarks.http_clients import PIPELINE, Model
from benchmarks.tiny import tiny_pipe
from benchmarks.work import Work

DEMO = Model("demo", Path("models"))


@contextmanager
def tiny_model() -> Iterator[Model]:
    """The tiny random Stable Diffusion, on disk."""
    with tempfile.TemporaryDirectory() as folder:
        tiny_pipe().save_pretrained(folder)
        yield Model(folder, Path(folder))


@contextmanager
def plain_loop(model: Model) -> Iterator[Callable[[Sequence[Work]], float]]:
    """The plain loop for a model: a function that tells the seconds of requests one by one."""
    plain = PlainLoop(PIPELINE, model.model_id)
    with asyncio.Runner() as events:
        events.run(plain.__aenter__())
        try:
            yield lambda works: sum(events.run(plain.run(work)) for work in works)
        finally:
            events.run(plain.__aexit__(None, None, None))
