"""Trains the decoder of the autoencoder that both models share (the encoder is given).

16x16 latents of 12 channels become 128x128 pixels. The video model uses it frame by frame.
"""

import random
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from training.bank import build_bank
from training.descent import Descent
from training.landscapes import SIZE
from training.latents import BLOCK, LATENT_CHANNELS, encode
from training.pictures import to_tensor
from training.vae_encoder import write_encoder

PEAK_RATE = 2e-3
BATCH = 8
CROP = 64
"""Most steps see crops of this side, for a quarter of the cost."""
WHOLE_FROM = 0.7
"""Part of the budget after which whole pictures are used."""
MAX_LATENT_NOISE = 0.15
"""Most noise added to latents in training, so that slightly wrong ones still decode cleanly."""
THINGS_WEIGHT = 4.0
"""How much more the pixels of the sun, the stars, the house and other things count."""
EMA_DECAY = 0.995


def build_vae() -> AutoencoderKL:
    """Return an autoencoder with the fixed encoder and an untrained decoder.

    The channels grow from very few, as layers at full size cost most.
    """
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(12, 16, 64, 128),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=4,
        sample_size=SIZE,
        scaling_factor=1.0,
        force_upcast=False,
    )
    write_encoder(vae)
    return vae


def reconstruction_loss(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Add up absolute, squared and edge errors; the last keeps silhouettes sharp.

    ``output`` and ``target`` have the shape (n, 3, h, w), ``weight`` (n, 1, h, w).
    """
    error = output - target
    edges_x = (error.diff(dim=-1).abs() * weight[..., 1:]).mean()
    edges_y = (error.diff(dim=-2).abs() * weight[..., 1:, :]).mean()
    plain = ((error.abs() + error.square()) * weight).mean()
    return (plain + edges_x + edges_y) / weight.mean()


def train_vae(work: Path, seconds: float, bank_size: int = 5000, seed: int = 1) -> AutoencoderKL:
    """Train for ``seconds`` of processor time and return the autoencoder."""
    torch.manual_seed(seed)
    vae = build_vae()
    descent = Descent(
        {"vae": vae}, work / "vae.pt", PEAK_RATE, EMA_DECAY, weight_decay=0, seed=seed
    )
    bank = build_bank(bank_size, seed)
    pairs = np.stack((bank.pictures, bank.bare()), axis=1)

    def loss_of(share: float) -> Tensor:
        return decoding_loss(vae, _batch(pairs, descent.rng, whole=share > WHOLE_FROM))

    descent.run("vae", seconds, loss_of)
    return vae


def decoding_loss(vae: AutoencoderKL, pairs: NDArray[np.uint8]) -> Tensor:
    """Return the loss on pictures and their bare lands, shape (n, 2, h, w, 3)."""
    target, bare = to_tensor(pairs[:, 0]), to_tensor(pairs[:, 1])
    things = (target - bare).abs().mean(1, keepdim=True).clamp(max=1)
    latents = encode(target)
    noise = MAX_LATENT_NOISE * torch.rand(len(latents), 1, 1, 1)
    output = vae.decode(latents + noise * torch.randn_like(latents)).sample
    return reconstruction_loss(output, target, 1 + THINGS_WEIGHT * things)


def _batch(pairs: NDArray[np.uint8], rng: random.Random, whole: bool) -> NDArray[np.uint8]:
    """Pick whole pictures, or four times as many crops on the grid of blocks.

    ``pairs``, a picture and its bare land each, has the shape (count, 2, SIZE, SIZE, 3).
    """
    side = SIZE if whole else CROP
    places = range(0, SIZE - side + 1, BLOCK)
    crops = []
    for _ in range(BATCH // 4 if whole else BATCH):
        top, left = rng.choice(places), rng.choice(places)
        crops.append(pairs[rng.randrange(len(pairs)), :, top : top + side, left : left + side])
    return np.stack(crops)
