"""CUDA_GRAPHS: a pipeline's networks captured as CUDA graphs and replayed.

A denoiser of a thousand kernels keeps a large GPU waiting for the CPU that starts them one by
one. A graph starts all of them at once; what it computes is the same.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch

from app.diffusion.accelerators.capturing import Capture, GpuCapture
from app.diffusion.accelerators.denoiser import require_denoisers
from app.diffusion.accelerators.replaying import ReplayedForward
from app.settings import Settings

MOST_DECODED = 2**15
"""Elements of the latents of a decoding, of two pictures of 512 pixels' side: beyond it the GPU
has so much to do that it does not wait, and a graph would keep gigabytes."""

_DECODERS = ("AutoencoderKL", "AutoencoderTiny")
"""VAEs whose decoder keeps nothing from call to call, as those of videos do from frame to frame."""

_TEXT_ENCODERS = "CLIPText"
"""Beginning of the names of text encoders of many small kernels. T5 has few large ones."""


def enable(pipe: Any, _settings: Settings, _device: torch.device) -> None:
    """Have the networks' forwards captured, each at its second call of a kind.

    Raises:
        ValueError: there is no denoiser.
        RuntimeError: this machine has no CUDA graphs.
    """
    put_on(pipe, GpuCapture())


def put_on(pipe: Any, capture: Capture) -> None:
    """Have a pipeline's networks captured.

    Without a graph for the denoiser the setting would do nothing; that of a text encoder or a
    decoder only helps.
    """
    for model in require_denoisers(pipe):
        model.forward = with_timestep_rows(ReplayedForward(model.forward, capture, needed=True))
    for name in ("text_encoder", "text_encoder_2"):
        encoder: Any = getattr(pipe, name, None)
        if type(encoder).__name__.startswith(_TEXT_ENCODERS):
            encoder.forward = ReplayedForward(encoder.forward, capture, needed=False)
    vae: Any = getattr(pipe, "vae", None)
    if type(vae).__name__ in _DECODERS:
        vae.decoder.forward = up_to(MOST_DECODED, vae.decoder.forward, capture)


def up_to(elements: int, forward: Callable[..., Any], capture: Capture) -> Callable[..., Any]:
    """Have a forward captured for inputs of so many elements at most."""
    replayed = ReplayedForward(forward, capture, needed=False)

    @functools.wraps(replayed)
    def chosen(sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        call = replayed if sample.numel() <= elements else forward
        return call(sample, *args, **kwargs)

    return chosen


def with_timestep_rows(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Pass the arguments by name, and one timestep per row always.

    Alone, a request has a single one, in main memory perhaps; requests that share a forward bring
    one each. So there is one graph for both, and none for each value.
    """
    main, *others = inspect.signature(forward).parameters

    @functools.wraps(forward)
    def with_rows(*args: Any, **kwargs: Any) -> Any:
        arguments = dict(zip((main, *others), args, strict=False)) | kwargs
        sample = arguments[main]
        steps = torch.as_tensor(arguments["timestep"], device=sample.device)
        if steps.numel() == 1:
            steps = steps.reshape(1).expand(sample.shape[0])
        return forward(**arguments | {"timestep": steps})

    return with_rows
