"""The latent space: smooth parts of 8x8 pixel blocks, given by a formula instead of by training.

A block's brightness is described by the polynomials 1, x, y, x^2, xy, y^2 and its two colour
differences by 1, x, y each: 12 numbers for 192. They say where the edges of flat shapes run, and
the trained decoder draws those sharply again. A fixed encoder lets the denoisers and the decoder
be trained side by side.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BLOCK = 8
LATENT_CHANNELS = 12
EXPONENTS: tuple[tuple[int, int], ...] = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))
"""Powers of x and y; colour differences use the first three."""
COLOR_TERMS = 3

TO_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], dtype=np.float64
)
"""Red, green, blue to brightness and colour differences (ITU-R BT.601)."""

CENTER = np.array([0.5, 0, 0, 0, 0, 0, 0.2, 0, 0, 0.3, 0, 0])
SPREAD = np.array([2.6, 1.2, 1.2, 0.8, 0.8, 0.8, 1.5, 0.6, 0.6, 1.5, 0.6, 0.6])
"""Measured on rendered pictures, then rounded: plain colours get a deviation of about 1.3 and stay
within 3.6, slopes get one of about 0.4 (they are zero nearly everywhere and large at edges)."""


def basis() -> NDArray[np.float64]:
    """Return the orthonormal polynomials over a block, shape (6, 8, 8), rows being y."""
    place = np.arange(BLOCK) - (BLOCK - 1) / 2
    grid_y, grid_x = np.meshgrid(place, place, indexing="ij")
    plain = np.stack([(grid_x**a * grid_y**b).ravel() for a, b in EXPONENTS], axis=1)
    ortho, upper = np.linalg.qr(plain)
    signed = ortho * np.sign(np.diag(upper))
    return np.asarray(signed.T.reshape(len(EXPONENTS), BLOCK, BLOCK))


def kernel() -> NDArray[np.float64]:
    """Return the encoder as one convolution, shape (12, 3, 8, 8), before centring."""
    rows = [TO_YCC[0, :, None, None] * part for part in basis()]
    for color in (1, 2):
        rows += [TO_YCC[color, :, None, None] * part for part in basis()[:COLOR_TERMS]]
    return np.stack(rows)


def encode(pictures: Tensor) -> Tensor:
    """Encode (n, 3, h, w) pictures of values -1 to 1 into (n, 12, h / 8, w / 8) latents."""
    weight = torch.from_numpy(kernel() / SPREAD[:, None, None, None]).float()
    bias = torch.from_numpy(-CENTER / SPREAD).float()
    weight, bias = weight.to(pictures.device), bias.to(pictures.device)
    return torch.nn.functional.conv2d(pictures, weight, bias, stride=BLOCK)
