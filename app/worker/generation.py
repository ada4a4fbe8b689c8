"""One generation: from Inputs to pixels, through an ordinary diffusers call."""

from __future__ import annotations

import logging
import re

import numpy as np
import torch
from PIL import Image

from app.diffusion.loading import LoadedPipeline
from app.diffusion.loras import LoraShelf
from app.engine.messages import Inputs
from app.pipelines import PIPELINES
from app.pipelines.base import Arguments, Media
from app.worker.copies import Copies, OnStep
from app.worker.frames import drop_frames
from app.worker.memory import free_cached_memory, is_out_of_memory
from app.worker.pixels import to_uint8

logger = logging.getLogger(__name__)

_PROMPT_PART = re.compile(r"(negative_)?prompt_\d")
"""What `|` makes of a prompt, see `app.pipelines.base.split_prompt`."""


class Generator:
    """Calls the loaded pipeline, each time on a copy of its own."""

    def __init__(self, loaded: LoadedPipeline, loras: LoraShelf, copies: Copies) -> None:
        self._loaded = loaded
        self._loras = loras
        self._copies = copies
        self._dropped_once: set[str] = set()

    def generate(self, inputs: Inputs, image: np.ndarray | None, on_step: OnStep) -> torch.Tensor:
        """Run the pipeline; in a task's body where there is a hub.

        Args:
            inputs: the request.
            image: input image, (height, width, 3) uint8 RGB, where the pipeline takes one.
            on_step: see `OnStep`.

        Returns:
            uint8 RGB on the device, contiguous: (images, height, width, 3) or
            (videos, frames, height, width, 3).

        Raises:
            RunnerError: the request cannot be served as it is.
            RuntimeError, MemoryError: what the libraries raise; not even one image fits into
                memory, for one (see `app.worker.memory`).
        """
        arguments = self._arguments(inputs, image)
        return self._call(inputs, arguments, inputs.seeds, on_step)

    def warnings(self, inputs: Inputs) -> tuple[str, ...]:
        """What the client should know of its prompt: parts of it that the model has no use for."""
        _, dropped = self._loaded.prepare(PIPELINES[inputs.pipeline].arguments(inputs.params))
        parts = ", ".join(sorted(filter(_PROMPT_PART.fullmatch, dropped)))
        if not parts:
            return ()
        return (f"the loaded model takes no {parts}: such parts of a prompt, behind |, are unused",)

    def _arguments(self, inputs: Inputs, image: np.ndarray | None) -> Arguments:
        pipeline = PIPELINES[inputs.pipeline]
        size = None
        arguments = pipeline.arguments(inputs.params)
        if image is not None:
            arguments["image"] = Image.fromarray(image)
            size = (image.shape[1], image.shape[0]) if pipeline.media is Media.IMAGE else None
        arguments, dropped = self._loaded.prepare(arguments, size)
        self._warn_once(dropped)
        return arguments

    def _warn_once(self, dropped: frozenset[str]) -> None:
        new = dropped - self._dropped_once
        if new:
            self._dropped_once |= new
            logger.warning(
                "%s takes no %s: not passed on",
                type(self._loaded.pipe).__name__,
                ", ".join(sorted(new)),
            )

    def _call(
        self, inputs: Inputs, arguments: Arguments, seeds: tuple[int, ...], on_step: OnStep
    ) -> torch.Tensor:
        """Make the images as one batch, or in halves when memory does not hold them all."""
        try:
            return self._call_once(inputs, arguments, seeds, on_step)
        except (RuntimeError, MemoryError) as error:
            if len(seeds) == 1 or not is_out_of_memory(error):
                raise
            drop_frames(error)  # the hub has it as well, and may have until this call is over
        free_cached_memory()
        logger.warning("out of memory with %d images at once: halving the batch", len(seeds))
        middle = len(seeds) // 2
        halves = (seeds[:middle], seeds[middle:])
        return torch.cat([self._call(inputs, arguments, half, on_step) for half in halves])

    def _call_once(
        self, inputs: Inputs, arguments: Arguments, seeds: tuple[int, ...], on_step: OnStep
    ) -> torch.Tensor:
        self._loras.activate(inputs.loras)
        self._loaded.active.reset()
        generators = [torch.Generator(self._loaded.device).manual_seed(seed) for seed in seeds]
        call = dict(arguments, output_type="pt")
        call["generator"] = generators if len(generators) > 1 else generators[0]
        if "num_images_per_prompt" in call:
            call["num_images_per_prompt"] = len(seeds)
        if len(seeds) > 1 and "image" in call and "strength" in call:
            # Some classes (SD3, FLUX) encode as many images as there are, each with the generator
            # of its place. Without a strength, several would be references for one image.
            call["image"] = [call["image"]] * len(seeds)
        with self._copies.lend(inputs.loras, on_step) as pipe:
            return to_uint8(pipe(**call)[0])
