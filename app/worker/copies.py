"""A request's own copy of the pipeline: its scheduler, its stand-ins for the networks."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from app.diffusion.accelerators.memory import free_models
from app.worker.calls import SharedValues
from app.worker.hub import Hub, Loras
from app.worker.parking import Networks, ParkedDenoiser, ParkedVae
from app.worker.prompts import PromptCache
from app.worker.timesteps import Timesteps


@dataclass(frozen=True, slots=True)
class StepDone:
    """What a scheduler was given and what it returned.

    Attributes:
        step, steps: counted from 1, and how many there will be.
        scheduler: the request's own.
        prediction: the denoiser's, guidance applied.
        timestep: in main memory if the scheduler looks it up there; see `Timesteps`.
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


_REPORTING = ("step", "scale_model_input", "__deepcopy__")
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
    step, timesteps, done = scheduler.step, Timesteps(scheduler), 0

    @functools.wraps(step)  # pipelines look at the signature
    def reporting_step(
        model_output: Any, timestep: Any, sample: Any, *args: Any, **kwargs: Any
    ) -> Any:  # some pipelines name the arguments
        nonlocal done
        timestep = timesteps.prepare(timestep)
        with timesteps.in_place():
            result = step(model_output, timestep, sample, *args, **kwargs)
        done += 1
        steps = max(done, _steps_in_all(pipe))
        on_step(StepDone(done, steps, scheduler, model_output, timestep, sample, result))
        return result

    scheduler.step = reporting_step
    if hasattr(scheduler, "scale_model_input"):
        scheduler.scale_model_input = _preparing(scheduler.scale_model_input, timesteps)
    scheduler.__deepcopy__ = functools.partial(_silent_copy, scheduler)


def _preparing(scale: Callable[..., Any], timesteps: Timesteps) -> Callable[..., Any]:
    """Of most pipelines it is a scheduler's first call in the loop, ahead of the forward."""

    @functools.wraps(scale)
    def scale_model_input(sample: Any, timestep: Any = None) -> Any:
        timesteps.prepare(timestep)
        return scale(sample, timestep)

    return scale_model_input


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
