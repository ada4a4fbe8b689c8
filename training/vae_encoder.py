"""Writes the fixed encoder of ``latents`` into the weights of an ordinary AutoencoderKL.

Its residual branches are set to zero, so what is left is linear: three strided convolutions that
build polynomial parts of 2x2, then 4x4, then 8x8 blocks, and a last normalisation. That one is
made harmless by constant channels far larger than any signal, and its SiLU by passing each signal
twice with opposite signs: silu(s) - silu(-s) = s.
"""

from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray

from training.latents import CENTER, COLOR_TERMS, EXPONENTS, LATENT_CHANNELS, SPREAD, TO_YCC, basis

LARGE = 300.0
"""The constant channels; signals are below 9."""
LOG_VARIANCE = -8.0
"""Logarithm of the posterior's variance: practically none."""

Kernels = NDArray[np.float64]


def level_kernels(level: int, terms: int) -> Kernels:
    """Return an orthonormal basis of the first ``terms`` polynomials on blocks of side 2^level.

    On small blocks some are the same: the result has as many rows as there are different ones.
    """
    if level == 3:
        return basis()[:terms]
    side = 2**level
    place = np.arange(side) - (side - 1) / 2
    grid_y, grid_x = np.meshgrid(place, place, indexing="ij")
    plain = np.stack([(grid_x**a * grid_y**b).ravel() for a, b in EXPONENTS[:terms]])
    _, sizes, rows = np.linalg.svd(plain, full_matrices=False)
    return np.asarray(rows[sizes > 1e-9].reshape(-1, side, side))


def step_weights(level: int, terms: int) -> NDArray[np.float64]:
    """Return how kernels of ``level`` follow from those one level below.

    The shape is (kernels, kernels below, 2, 2); the last two name the quarter of the block.
    """
    above, below = level_kernels(level, terms), level_kernels(level - 1, terms)
    half = 2 ** (level - 1)
    flat = below.reshape(len(below), -1)
    weights = np.zeros((len(above), len(below), 2, 2))
    for row in range(2):
        for column in range(2):
            quarter = above[:, row * half :, column * half :][:, :half, :half]
            weights[:, :, row, column] = quarter.reshape(len(above), -1) @ flat.T
    return weights


def _silence(module: Any) -> None:
    """Set every residual branch below ``module`` to zero."""
    for name, part in module.named_modules():
        if name.endswith(("conv2", "to_out.0")):
            part.weight.zero_()
            part.bias.zero_()


def _identity(conv: Any, count: int) -> None:
    """Make a 1x1 convolution pass the first ``count`` channels."""
    conv.weight.zero_()
    conv.bias.zero_()
    for channel in range(count):
        conv.weight[channel, channel] = 1.0


@torch.no_grad()
def write_encoder(vae: AutoencoderKL) -> None:
    """Set all encoder weights of ``vae``, whose encoder has four levels of one block each."""
    encoder: Any = vae.encoder
    _silence(encoder)
    encoder.conv_in.weight.zero_()
    encoder.conv_in.bias.zero_()
    encoder.conv_in.weight[:3, :, 1, 1] = torch.from_numpy(TO_YCC).float()
    for level in (1, 2, 3):
        down = encoder.down_blocks[level - 1].downsamplers[0].conv
        down.weight.zero_()
        down.bias.zero_()
        row = column = 0
        for terms in (len(EXPONENTS), COLOR_TERMS, COLOR_TERMS):
            weights = torch.from_numpy(step_weights(level, terms)).float()
            rows, columns = weights.shape[:2]
            down.weight[row : row + rows, column : column + columns, :2, :2] = weights
            row, column = row + rows, column + columns
        shortcut = encoder.down_blocks[level].resnets[0].conv_shortcut
        if level < 3:
            _identity(shortcut, row)
        else:
            _spread_signals(shortcut, encoder, vae.config.norm_num_groups)
    _identity(vae.quant_conv, LATENT_CHANNELS)
    vae.quant_conv.bias[LATENT_CHANNELS:] = LOG_VARIANCE
    for parameter in (*encoder.parameters(), *vae.quant_conv.parameters()):
        parameter.requires_grad_(False)


def _spread_signals(shortcut: Any, encoder: Any, groups: int) -> None:
    """Lay out signals and constants over the groups of the last normalisation, and undo it."""
    channels = shortcut.weight.shape[0]
    size = channels // groups
    signals = LATENT_CHANNELS // groups
    constants = size - 2 * signals
    deviation = LARGE * (constants / size) ** 0.5
    norm, last = encoder.conv_norm_out, encoder.conv_out
    norm.weight.fill_(1.0)
    norm.bias.zero_()
    last.weight.zero_()
    last.bias.zero_()
    shortcut.weight.zero_()
    shortcut.bias.zero_()
    for group in range(groups):
        start = group * size
        for number in range(signals):
            signal = group * signals + number
            shortcut.weight[start + 2 * number, signal] = 1.0
            shortcut.weight[start + 2 * number + 1, signal] = -1.0
            scale = deviation / SPREAD[signal]
            last.weight[signal, start + 2 * number, 1, 1] = scale
            last.weight[signal, start + 2 * number + 1, 1, 1] = -scale
        for number in range(constants):
            sign = 1.0 if number % 2 else -1.0
            shortcut.bias[start + 2 * signals + number] = sign * LARGE
    offset = torch.from_numpy(-CENTER / SPREAD).float()
    last.bias[:LATENT_CHANNELS] = offset
