"""Models and plain loops that the HTTP measurements have in common."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from benchmarks.baseline import PlainLoop
from benchmarks.http_clients import PIPELINE, Model
from benchmarks.tiny import tiny_pipe
from benchmarks.work import Work

Result = TypeVar("Result")

DEMO = Model("demo", Path("models"))


@contextmanager
def tiny_model() -> Iterator[Model]:
    """The tiny random Stable Diffusion, on disk."""
    with tempfile.TemporaryDirectory() as folder:
        tiny_pipe().save_pretrained(folder)
        yield Model(folder, Path(folder))


class Loop:
    """The plain loop for a model, in calls that return; to be closed."""

    def __init__(self, model: Model) -> None:
        self._events = asyncio.new_event_loop()
        self._plain = PlainLoop(PIPELINE, model.model_id)
        self._run(self._plain.__aenter__())

    def seconds(self, works: Sequence[Work]) -> float:
        """Time of all requests, one after another."""
        return sum(self._run(self._plain.run(work)) for work in works)

    def close(self) -> None:
        """End its process."""
        self._run(self._plain.__aexit__(None, None, None))
        self._events.close()

    def _run(self, awaitable: Awaitable[Result]) -> Result:
        return self._events.run_until_complete(awaitable)
