"""What a job's client hears of it while it runs: its steps, and how it looks so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from app.diffusion.previews import LatentColours, estimate, grid_of
from app.engine.messages import Step
from app.errors import JobCancelled
from app.worker.copies import StepDone
from app.worker.extras import Extras
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
        extras: Extras,
    ) -> None:
        self._order = order
        self._send = send
        self._colours = colours
        self._channels = latent_channels
        self._extras = extras
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

    def final_latents(self, images: int, aspect: float) -> list[torch.Tensor]:
        """Each image's latents (C, h, w) after the last step; none if they are no grids.

        Nor are there any where memory had the images made in halves: those of the last ones
        are left, and nothing says whose they are.
        """
        if not isinstance(self._latents, torch.Tensor) or len(self._latents) != images:
            return []
        grids = (grid_of(self._latents, self._channels, aspect, place) for place in range(images))
        return [grid for grid in grids if grid is not None]

    def _preview(self, done: StepDone) -> OnTheWay | None:
        every = self._order.preview_every
        if not every or done.step % every:
            return None
        with self._extras.attempt("a preview"):
            picture = self._picture(done)
            return None if picture is None else fetch(picture)
        return None

    def _picture(self, done: StepDone) -> torch.Tensor | None:
        """How the first image looks so far, where that can be told."""
        latents = estimate(done.scheduler, done.prediction, done.timestep, done.sample, done.result)
        grid = grid_of(latents, self._channels, self._aspect())
        return None if grid is None else self._colours.render(grid)

    def _aspect(self) -> float:
        width, height = self._order.inputs.size
        return width / height
