"""Replicas in this process: real ones with the fake worker, without Ray between."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from app.engine.messages import Inputs, Ready
from app.pipelines.text_to_image import TextToImageParams
from app.ray_backend.backend import ReplicaLost
from app.ray_backend.messages import FromReplica, ReplicaOrder
from app.ray_backend.painter import Painter


class PaintersHere:
    """A fleet of painters that are asked in turn; each may be told to be lost under its orders.

    Attributes:
        painters: the fleet.
        orders: all that were given to painters.
    """

    def __init__(self, *painters: Painter) -> None:
        self.painters = painters
        self._losses = 0
        self.orders: list[ReplicaOrder] = []

    def lose_next(self, times: int) -> None:
        """Lose the painter of the next orders, at their first message."""
        self._losses = times

    async def paint(self, order: ReplicaOrder) -> AsyncGenerator[FromReplica]:
        painter = self.painters[len(self.orders) % len(self.painters)]
        self.orders.append(order)
        async with aclosing(painter.paint(order)) as messages:
            async for message in messages:
                if self._losses:
                    self._losses -= 1
                    raise ReplicaLost("its node is gone")
                yield message

    async def ready(self) -> Ready:
        return await self.painters[0].ready()


def inputs_of(seed: int = 1, *, prompt: str = "a lighthouse", steps: int = 3) -> Inputs:
    params = TextToImageParams(
        prompt=prompt, width=64, height=64, num_inference_steps=steps, seed=seed
    )
    return Inputs("text-to-image", params, (seed,))
