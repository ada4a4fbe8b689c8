"""How an unfinished image looks so far, without running the VAE.

A colour is close to a linear function of the few numbers that the latents hold for its place.
That function is fitted to the model's own finished images; a preview then costs one small
matrix product.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

from app.diffusion.devices import moved

LONGEST_SIDE = 128
"""Pixels that the longer side of a preview has at most."""

FEWEST_IMAGES = 3
"""Images before which there are no previews: of the demonstration model, one image explains
a third of another's colours (R²), three explain 98 %."""

LEARNT_IMAGES = 24
"""Images after which the fit does not get better."""

_RIDGE = 1e-3
"""Keeps the fit steady while few images are known; relative to the latents' own variance."""


class LatentColours:
    """The linear function from latents to colours, for one model. May be used from two threads."""

    def __init__(self) -> None:
        self._products: torch.Tensor | None = None  # (C + 1, C + 1), float64
        self._targets: torch.Tensor | None = None  # (C + 1, 3), float64
        self._matrix: torch.Tensor | None = None  # (C + 1, 3), float32
        self._images = 0

    @property
    def is_learning(self) -> bool:
        """Whether more images would improve the fit."""
        return self._images < LEARNT_IMAGES

    def learn(self, latents: torch.Tensor, image: torch.Tensor) -> None:
        """Take a finished image into account.

        Args:
            latents: (C, h, w) in main memory, as they were decoded.
            image: (H, W, 3) uint8 in main memory, what they were decoded to.
        """
        height, width = latents.shape[1:]
        pixels = image.movedim(-1, 0).double().div(255)
        colours = functional.adaptive_avg_pool2d(pixels, (height, width)).flatten(1).T
        numbers = _with_one(latents.double())
        if not bool(numbers.isfinite().all()):
            return
        products, targets = numbers.T @ numbers, numbers.T @ colours
        if self._products is not None and self._targets is not None:
            products, targets = products + self._products, targets + self._targets
        self._products, self._targets = products, targets
        self._images += 1
        ridge = torch.eye(len(products), dtype=torch.float64) * products.diagonal().mean() * _RIDGE
        ridge[-1, -1] = 0
        self._matrix = torch.linalg.solve(products + ridge, targets).float()

    def render(self, latents: torch.Tensor) -> torch.Tensor | None:
        """The colours of latents (C, h, w): (h, w, 3) uint8 on the same device.

        The longer side is at most `LONGEST_SIDE`. None while too little has been learnt.
        """
        matrix = self._matrix  # `learn` may put another one in its place at any time
        if matrix is None or self._images < FEWEST_IMAGES:
            return None
        height, width = latents.shape[1:]
        shrink = math.ceil(max(height, width) / LONGEST_SIDE)
        if shrink > 1:
            latents = functional.avg_pool2d(latents, shrink, ceil_mode=True)
            height, width = latents.shape[1:]
        colours = _with_one(latents.float()) @ moved(matrix, latents.device)
        return colours.mul(255).round_().clamp_(0, 255).to(torch.uint8).view(height, width, 3)


def _with_one(latents: torch.Tensor) -> torch.Tensor:
    """(C, h, w) to (h · w, C + 1), the last column of ones for the constant term."""
    return functional.pad(latents.flatten(1).T, (0, 1), value=1.0)


def latent_channels(pipe: Any) -> int:
    """Numbers that a pipeline's latents hold for each place, before any are packed into tokens.

    0 without a VAE: the latents may then be anything, such as words of a code book.
    """
    if (vae := getattr(pipe, "vae", None)) is None:
        return 0
    config: Any = vae.config
    return int(config.get("latent_channels") or config.get("z_dim", 0))


def grid_of(
    latents: torch.Tensor, channels: int, aspect: float, index: int = 0
) -> torch.Tensor | None:
    """The latents (C, h, w) of an image, or of the first frame of a video.

    Args:
        latents: (N, C, h, w), (N, F, C, h, w), (N, C, F, h, w), or (N, h · w, C) where the
            pipeline works on tokens.
        channels: C, where the latents are no tokens; 0 if they are no grid at all.
        aspect: width / height of the images.
        index: which of the N.

    Returns:
        None if the shape is none of these.
    """
    if not channels:
        return None
    first = latents[index]
    if first.ndim == 3:
        return first
    if first.ndim == 4:
        return first[0] if first.shape[1] == channels else first[:, 0]
    if first.ndim == 2:
        height = round(math.sqrt(len(first) / aspect))
        if height and len(first) % height == 0:
            return first.T.reshape(-1, height, len(first) // height)
    return None


def estimate(
    scheduler: Any, prediction: torch.Tensor, timestep: Any, sample: Any, result: Any
) -> Any:
    """What a scheduler's step takes the finished latents to be; else the noisy ones.

    Args:
        scheduler: after its step.
        prediction: the denoiser's.
        timestep: in main memory where the scheduler looks its coefficients up by it.
        sample: the latents before the step.
        result: what `scheduler.step` returned.
    """
    if (known := getattr(result, "pred_original_sample", None)) is not None:
        return known
    if isinstance(result, tuple) and len(result) > 1 and torch.is_tensor(result[1]):
        return result[1]
    kind = getattr(scheduler.config, "prediction_type", "")
    if kind == "flow_prediction" or type(scheduler).__name__.startswith("FlowMatch"):
        return sample - scheduler.sigmas[scheduler.step_index - 1] * prediction
    if (mix := _mix(scheduler, timestep)) is None:
        return result[0]
    signal, noise = mix
    if kind == "epsilon":
        return (sample - noise * prediction) / signal
    if kind == "v_prediction":
        return signal * sample - noise * prediction
    return result[0]


def _mix(scheduler: Any, timestep: Any) -> tuple[torch.Tensor, torch.Tensor] | None:
    """What the latents before a step hold of the finished ones and of noise, where both add up."""
    alphas = getattr(scheduler, "alphas_cumprod", None)
    if alphas is None or hasattr(scheduler, "is_scale_input_called"):
        return None
    if hasattr(scheduler, "_sigma_to_alpha_sigma_t"):  # DPM-Solver and its kin count their steps
        sigma = scheduler.sigmas[scheduler.step_index - 1]
        signal, noise = scheduler._sigma_to_alpha_sigma_t(sigma)
        return signal, noise
    alpha = alphas[int(timestep)]
    return alpha.sqrt(), (1 - alpha).sqrt()
