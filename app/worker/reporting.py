"""What a job's client hears of it while it runs: its steps, and how it looks so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from app.diffusion.previews import LatentColours, estimate, grid_of
from app.engine.messages import Step
from app.errors import JobCancelled
from app.worker.copies import StepDone
from app.worker.inbox import Order
from app.worker.pixels import OnTheWay, fetch

Send = Callable[[Step, OnTheWay | None], None]


class StepReporter:
    """Reports the steps of one job, every n-th with a preview if it wants them."""

    def __init__(
        self,
        order: Order,
        send: Send,
        colours: LatentColours,
        latent_channels: int,
    ) -> None:
        self._order = order
        self._send = send
        self._colours = colours
        self._channels = latent_channels
        self._latents: Any = None

    def __call__(self, done: StepDone) -> None:
        """Report a step.

        Raises:
            JobCancelled: the job is to stop.
        """
        if self._order.cancelled.is_set():
            raise JobCancelled
        self._latents = done.result[0]
        preview = self._preview(done)
        shape = None if preview is None else (*preview.host.shape[:2], 3)
        self._send(Step(self._order.job_id, done.step, done.steps, shape), preview)

    def final_latents(self, index: int, aspect: float) -> torch.Tensor | None:
        """An image's latents (C, h, w) after the last step; None if they are no grid.

        Where memory had the images made in halves, those of the last ones.
        """
        if not isinstance(self._latents, torch.Tensor) or index >= len(self._latents):
            return None
        return grid_of(self._latents, self._channels, aspect, index)

    def _preview(self, done: StepDone) -> OnTheWay | None:
        every = self._order.preview_every
        if not every or done.step % every:
            return None
        latents = estimate(done.scheduler, done.prediction, done.timestep, done.sample, done.result)
        grid = grid_of(latents, self._channels, self._aspect())
        picture = None if grid is None else self._colours.render(grid)
        return None if picture is None else fetch(picture)

    def _aspect(self) -> float:
        width, height = self._order.inputs.size
        return width / height
