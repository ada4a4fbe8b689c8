"""A request's own copy of the pipeline: its scheduler, its stand-ins for the networks."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import diffusers
import torch

from app.diffusion.accelerators.memory import free_models
from app.worker.calls import SharedValues
from app.worker.hub import Hub, Loras
from app.worker.parking import Networks, ParkedDenoiser, ParkedVae
from app.worker.prompts import PromptCache


@dataclass(frozen=True, slots=True)
class StepDone:
    """What a scheduler was given and what it returned.

    Attributes:
        step, steps: counted from 1, and how many there will be.
        scheduler: the request's own.
        prediction: the denoiser's, guidance applied.
        timestep: as the pipeline gave it, but in main memory; see `HostTimesteps`.
        sample: the latents before the step.
        result: what `step` returned.
    """

    step: int
    steps: int
    scheduler: Any
    prediction: torch.Tensor
    timestep: Any
    sample: torch.Tensor
    result: Any


_READERS = (diffusers.LCMScheduler, diffusers.TCDScheduler, diffusers.DDPMScheduler)
"""Schedulers whose steps read their list of timesteps. Others compute with it on the GPU: aMUSEd's
does."""

_REPORTING = ("step", "__deepcopy__")
"""Attributes of a request's own scheduler that hide its class's."""

OnStep = Callable[[StepDone], None]
"""Told after each denoising step; may raise to stop the generation."""


class Copies:
    """Makes the copies. Weights are shared; what changes during a call is not."""

    def __init__(self, pipe: Any, hub: Hub | None) -> None:
        """Prepare.

        Args:
            pipe: the loaded pipeline; never changed.
            hub: runs the networks of all requests; None to let each run its own.
        """
        self._pipe = pipe
        self._hub = hub
        self._networks = None if hub is None else Networks(pipe)
        self._prompts = PromptCache()
        self._vae_dtype = getattr(getattr(pipe, "vae", None), "dtype", None)

    @contextmanager
    def lend(self, loras: Loras, on_step: OnStep) -> Iterator[Any]:
        """A pipeline for one call, of no use after it.

        Args:
            loras: the adapters that are active.
            on_step: see `OnStep`.
        """
        own = copy.copy(self._pipe)
        own.scheduler = copy.deepcopy(self._pipe.scheduler)
        _report_steps(own, on_step)
        self._prompts.attach(own, loras)
        if self._hub is not None and self._networks is not None:
            _park(own, self._networks, self._hub)
        try:
            yield own
        except BaseException:
            self._mend()
            raise
        finally:
            _take_apart(own)

    def _mend(self) -> None:
        """Undo what a call that failed left of the shared networks.

        With OFFLOAD=model the part that was at work stays on the GPU, half of it if there was no
        room for more, and the next request's parts would come on top of it.

        Some classes turn their VAE into single precision and back. Without a hub that is
        everybody's VAE, and a call that fails in between leaves it so.
        """
        free_models(self._pipe)
        vae = getattr(self._pipe, "vae", None)
        if vae is not None and vae.dtype != self._vae_dtype:
            vae.to(self._vae_dtype)


def _take_apart(own: Any) -> None:
    """Empty a copy, so that its tensors go with the call.

    What was attached to it and to its scheduler leads back to them: else all of it would stay
    until the garbage collector comes, which knows nothing of how large tensors are.
    """
    vars(own.scheduler).clear()
    vars(own).clear()


def _park(pipe: Any, networks: Networks, hub: Hub) -> None:
    shared = SharedValues()
    # Past the pipeline's own __setattr__, which takes note of the class of each component.
    for name, network in networks.denoisers.items():
        pipe.__dict__[name] = ParkedDenoiser(network, shared, hub.park_step)
    if networks.vae is not None:
        pipe.__dict__["vae"] = ParkedVae(networks.vae, shared, hub.park_decoding)


def _report_steps(pipe: Any, on_step: OnStep) -> None:
    """Have the scheduler of a copy report its steps.

    Wrapping the scheduler is the one way that works for every pipeline: some take no callback,
    and some ignore its request to stop.
    """
    scheduler = pipe.scheduler
    step, on_host, done = scheduler.step, HostTimesteps(scheduler), 0

    @functools.wraps(step)  # pipelines look at the signature
    def reporting_step(
        model_output: Any, timestep: Any, sample: Any, *args: Any, **kwargs: Any
    ) -> Any:  # some pipelines name the arguments
        nonlocal done
        timestep = on_host(timestep)
        with on_host.in_place():
            result = step(model_output, timestep, sample, *args, **kwargs)
        done += 1
        steps = max(done, _steps_in_all(pipe))
        on_step(StepDone(done, steps, scheduler, model_output, timestep, sample, result))
        return result

    scheduler.step = reporting_step
    scheduler.__deepcopy__ = functools.partial(_silent_copy, scheduler)


def _silent_copy(scheduler: Any, memo: dict[int, Any]) -> Any:
    """A copy without what is reported: some pipelines take one for the sound beside their video."""
    silent = object.__new__(type(scheduler))
    own = {name: it for name, it in vars(scheduler).items() if name not in _REPORTING}
    silent.__dict__.update(copy.deepcopy(own, memo))
    return silent


def _steps_in_all(pipe: Any) -> int:
    """Scheduler steps of the running call: image-to-image runs only a part of them."""
    if (steps := getattr(pipe, "_num_timesteps", None)) is not None:
        return int(steps)
    begin = getattr(pipe.scheduler, "begin_index", None)  # DDIM, PNDM and DDPM have none
    return len(pipe.scheduler.timesteps) - (begin or 0)


class HostTimesteps:
    """A scheduler's timesteps in main memory.

    DDIM, PNDM, LCM, TCD and DDPM look their coefficients up in tables in main memory, by a
    timestep that pipelines keep on the GPU: each step waits until the GPU has done all it was
    given. With the same timestep from main memory they compute the same without waiting. LCM, TCD
    and DDPM read the next one from their own list, which has to be there as well.
    """

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._seen: torch.Tensor | None = None
        self._host: torch.Tensor | None = None

    def __call__(self, timestep: Any) -> Any:
        """The same timestep in main memory, if it is an entry of the scheduler's own list."""
        timesteps = self._scheduler.timesteps
        if not _is_entry(timestep, timesteps) or timestep.device.type == "cpu":
            return timestep
        if self._host is None or timesteps is not self._seen:
            self._seen, self._host = timesteps, timesteps.cpu()
        return self._host[timestep.storage_offset() - timesteps.storage_offset()]

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Around a step: the scheduler's own list is in main memory, if that helps."""
        scheduler, on_gpu = self._scheduler, self._scheduler.timesteps
        if self._host is None or on_gpu is not self._seen or not isinstance(scheduler, _READERS):
            yield
            return
        scheduler.timesteps = self._host
        try:
            yield
        finally:  # the pipeline goes on with entries of the other one
            scheduler.timesteps = on_gpu


def _is_entry(value: Any, values: Any) -> bool:
    """Whether a tensor is an element of a one-dimensional one, in the same memory."""
    return (
        isinstance(value, torch.Tensor)
        and isinstance(values, torch.Tensor)
        and value.ndim == 0
        and values.ndim == 1
        and values.is_contiguous()
        and value.untyped_storage().data_ptr() == values.untyped_storage().data_ptr()
    )
