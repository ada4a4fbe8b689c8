"""The worker's main loop: takes orders, has the hub run them, reports what becomes of them."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from functools import partial

import torch

from app.diffusion.accelerators.compiling import compilations
from app.diffusion.previews import LatentColours, latent_channels
from app.engine.channel import Channel
from app.engine.messages import Cancelled, Failed, Finished, FromWorker, Started, Usage
from app.errors import JobCancelled, JobFailed, ModelNotLoaded, OutOfMemory, RunnerError
from app.pipelines import PIPELINES
from app.wording import first_line
from app.worker.checking import check
from app.worker.extras import Extras
from app.worker.frames import drop_frames
from app.worker.hub import Task
from app.worker.inbox import Inbox, Order
from app.worker.loading import Parts
from app.worker.memory import (
    free_cached_memory,
    is_device_broken,
    is_out_of_memory,
    peak_memory,
)
from app.worker.outbox import Outbox
from app.worker.pace import Pace, step_aside
from app.worker.pixels import OnTheWay, fetch
from app.worker.reporting import Send, StepReporter
from app.worker.warmup import warm_up_rounds

logger = logging.getLogger(__name__)

BROKEN_DEVICE = 70
"""Exit code after an error that leaves the accelerator's context unusable (EX_SOFTWARE)."""

CONCURRENCY = 16
"""Jobs that are taken at a time where requests share forwards; the hub begins as many of them
as pay at their sizes."""

LAST_WORDS = 2.0
"""Seconds for finished images to leave a worker whose device broke."""


class DeviceBroken(Exception):
    """The accelerator's context is unusable: only a new process helps."""


class WorkLoop:
    """Runs orders on one thread; a second one checks and sends what they make."""

    def __init__(self, parts: Parts, channel: Channel, inbox: Inbox) -> None:
        self._parts = parts
        self._channel = channel
        self._inbox = inbox
        self._outbox = Outbox(partial(step_aside, parts.loaded.device))
        self._pace = Pace.of(parts.loaded.device)
        self._colours = LatentColours()
        self._extras = Extras()
        self._busy_seconds = 0.0
        self._peaks = (0, 0)

    def warm_up(self, pipeline: str, sizes: Sequence[tuple[int, int]]) -> None:
        """Generate before the first order, where that is worth its time.

        Raises:
            ModelNotLoaded: what was asked for does not work on this model after all.
        """
        device = self._parts.loaded.device
        self._peaks = peak_memory(device)  # measuring the generations makes PyTorch forget them
        self._warm_up_checker()
        for requests in warm_up_rounds(pipeline, self._parts.loaded, sizes):
            with torch.no_grad(), self._parts.limits.measuring(device):
                for request in requests:
                    body = partial(self._warm_up, Order("warm-up", *request))
                    self._parts.hub.add(Task(body, loras=(), is_cancelled=lambda: False))
                while len(self._parts.hub):
                    self._work()

    def _warm_up_checker(self) -> None:
        """Before the generations: what they leave free is measured."""
        if self._parts.safety is None:
            return
        try:
            self._parts.safety.warm_up()
        except torch.OutOfMemoryError as error:
            logger.warning("the safety checker's warm-up failed: %s", error)

    def _warm_up(self, order: Order, _task: Task) -> None:
        report = self._reporter(order, send=lambda *_: None)
        try:
            pixels = self._parts.generator.generate(order.inputs, order.image, report)
        except Exception as error:
            self._blame_accelerators(error)
            # A request may still be small enough, or of another kind.
            logger.warning("the warm-up failed: %s", explain(error, order).message)
        else:
            self._learn_colours(report, pixels)

    def _blame_accelerators(self, error: Exception) -> None:
        """End the start if what was asked for does not work on this model after all."""
        names = self._parts.loaded.active.names
        if names and not is_out_of_memory(error):
            reason = first_line(error)
            raise ModelNotLoaded(
                f"the model does not run with {', '.join(names)} ({type(error).__name__}: "
                f"{reason}): unset what does not work here."
            ) from error

    @property
    def concurrency(self) -> int:
        """Jobs to take at a time."""
        return CONCURRENCY if self._parts.limits.policy.merge else 1

    def usage(self) -> Usage:
        """What was used of the device so far."""
        hub = self._parts.hub
        allocated, reserved = map(max, self._peaks, peak_memory(self._parts.loaded.device))
        self._peaks = (0, 0)
        return Usage(
            allocated, reserved, hub.forwards, hub.rows, self._busy_seconds, compilations()
        )

    def run(self) -> int:
        """Work until the device breaks; the exit code that says so."""
        with torch.no_grad():  # around all greenlets, see `app.worker.hub`
            try:
                while True:
                    self._take_orders()
                    self._work()
            except Exception as error:
                if not isinstance(error, DeviceBroken) and not is_device_broken(error):
                    raise
                logger.error("the device is broken", exc_info=error)
                self._outbox.flush(LAST_WORDS)
                return BROKEN_DEVICE

    def _take_orders(self) -> None:
        """Pass on all orders that are there; wait for one if there is nothing else to do."""
        while order := self._inbox.next(wait=not len(self._parts.hub)):
            self._parts.hub.add(self._task(order))

    def _work(self) -> None:
        start = time.perf_counter()
        self._pace.begin()
        self._parts.hub.turn()
        self._pace.end()
        self._busy_seconds += time.perf_counter() - start

    # One order --------------------------------------------------------------------------

    def _task(self, order: Order) -> Task:
        return Task(
            body=partial(self._run, order),
            loras=order.inputs.loras,
            is_cancelled=order.cancelled.is_set,
        )

    def _run(self, order: Order, task: Task) -> None:
        """Body of the order's task."""
        start = time.monotonic()
        self._send(Started(order.job_id))
        report = self._reporter(order, self._send)
        try:
            if task.is_cancelled():
                raise JobCancelled
            pixels = self._parts.generator.generate(order.inputs, order.image, report)
            errand = partial(self._deliver, order, task, pixels, fetch(pixels), start)
        except JobCancelled:
            self._send(Cancelled(order.job_id))
        except Exception as error:
            self._send(Failed(order.job_id, explain(error, order)))
        else:
            self._outbox.put(errand)
            self._learn_colours(report, pixels)

    def _reporter(self, order: Order, send: Send) -> StepReporter:
        channels = latent_channels(self._parts.loaded.pipe)
        return StepReporter(order, send, self._colours, channels, self._extras)

    def _learn_colours(self, report: StepReporter, pixels: torch.Tensor) -> None:
        """Use the images, or the videos' first frames, to make previews better."""
        with self._extras.attempt("learning colours for previews"):
            self._put_pairs(report, pixels)

    def _put_pairs(self, report: StepReporter, pixels: torch.Tensor) -> None:
        images = pixels if pixels.ndim == 4 else pixels[:, 0]
        aspect = images.shape[2] / images.shape[1]
        latents = report.final_latents(len(images), aspect)
        for grid, image in zip(latents, images, strict=False):
            if self._colours.is_learning:
                self._outbox.put(partial(_learn, self._colours, fetch(grid), fetch(image)))

    # On the outbox's thread -------------------------------------------------------------

    def _send(self, message: FromWorker, attached: OnTheWay | None = None) -> None:
        self._outbox.put(partial(self._send_now, message, attached))

    def _send_now(self, message: FromWorker, attached: OnTheWay | None) -> None:
        pixels = None if attached is None else attached.wait().numpy().data
        self._channel.send(message, pixels)

    def _deliver(
        self, order: Order, task: Task, pixels: torch.Tensor, host: OnTheWay, start: float
    ) -> None:
        """Check what was made, and send it."""
        try:
            host.wait()  # the checker runs beside the work that makes the pixels, not behind it
            nsfw, warnings = check(self._parts.safety, order.inputs, order.image, pixels)
            finished = Finished(
                order.job_id,
                shape=tuple(pixels.shape),
                seeds=order.inputs.seeds,
                nsfw=nsfw,
                inference_seconds=time.monotonic() - start,
                warnings=(*self._parts.generator.warnings(order.inputs), *warnings),
                rows=len(order.inputs.seeds) * task.rows / task.own_rows if task.own_rows else 0.0,
                usage=self.usage(),
            )
            self._send_now(finished, host)
        except Exception as error:  # no descriptor is left for the pixels, for one
            self._fail_delivery(order, error)

    def _fail_delivery(self, order: Order, error: Exception) -> None:
        try:
            failed = Failed(order.job_id, explain(error, order))
        except DeviceBroken:
            os._exit(BROKEN_DEVICE)  # the thread of the denoiser would notice much later
        self._channel.send(failed)


def explain(error: Exception, order: Order) -> RunnerError:
    """What the client reads; the log keeps the cause.

    Raises:
        DeviceBroken: the error is nothing that concerns this order alone.
    """
    if isinstance(error, RunnerError):
        return error
    if is_out_of_memory(error):
        logger.error("job %s: out of memory: %s", order.job_id, error)
        drop_frames(error)
        free_cached_memory()
        return OutOfMemory()
    logger.error("job %s failed", order.job_id, exc_info=error)
    if is_device_broken(error):
        raise DeviceBroken from error
    return JobFailed(PIPELINES[order.inputs.pipeline].error_message)


def _learn(colours: LatentColours, latents: OnTheWay, image: OnTheWay) -> None:
    colours.learn(latents.wait(), image.wait())
