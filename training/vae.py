"""Trains the decoder of the autoencoder that both models share (the encoder is given).

16x16 latents of 12 channels become 128x128 pixels. The video model uses it frame by frame.
"""

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.bank import build_bank
from training.budget import Budget, Checkpoint, set_rate
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
EMA_DECAY = 0.995


def build_vae() -> AutoencoderKL:
    """Return an autoencoder with the fixed encoder and an untrained decoder.

    The channels grow from very few, as layers at full size cost most.
    """
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(12, 16, 48, 96),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=4,
        sample_size=SIZE,
        scaling_factor=1.0,
        force_upcast=False,
    )
    write_encoder(vae)
    return vae


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """Add up absolute, squared and edge errors; the last keeps silhouettes sharp."""
    edges_x = functional.l1_loss(output.diff(dim=-1), target.diff(dim=-1))
    edges_y = functional.l1_loss(output.diff(dim=-2), target.diff(dim=-2))
    plain = functional.l1_loss(output, target) + functional.mse_loss(output, target)
    return plain + edges_x + edges_y


class DecoderTrainer:
    """The autoencoder, its decoder's averaged weights and the optimiser."""

    def __init__(self, seed: int) -> None:
        """Build a fresh decoder."""
        torch.manual_seed(seed)
        self.vae = build_vae()
        self.parameters = [p for p in self.vae.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, PEAK_RATE, betas=(0.9, 0.99), weight_decay=0
        )
        self.average = [p.detach().clone() for p in self.parameters]
        self.step = 0

    def train_step(self, pictures: NDArray[np.uint8]) -> float:
        """Do one optimiser step on a batch and return its loss."""
        target = to_tensor(pictures)
        latents = encode(target)
        noise = MAX_LATENT_NOISE * torch.rand(len(latents), 1, 1, 1)
        output = self.vae.decode(latents + noise * torch.randn_like(latents)).sample
        loss = reconstruction_loss(output, target)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        with torch.no_grad():
            decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
            torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - decay)
        return float(loss.item())

    def state(self, spent: float) -> dict[str, object]:
        """Gather what a later run needs to go on."""
        return {
            "model": self.vae.state_dict(), "optimizer": self.optimizer.state_dict(),
            "average": self.average, "step": self.step, "spent": spent,
        }  # fmt: skip

    def restore(self, state: dict[str, object]) -> float:
        """Take over a stored state and return the seconds it had spent."""
        self.vae.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])  # type: ignore[arg-type]
        self.average = state["average"]  # type: ignore[assignment]
        self.step = int(state["step"])  # type: ignore[call-overload]
        torch.manual_seed(self.step)
        return float(state["spent"])  # type: ignore[arg-type]

    @torch.no_grad()
    def averaged(self) -> AutoencoderKL:
        """Return the autoencoder with the averaged weights loaded."""
        for parameter, value in zip(self.parameters, self.average, strict=True):
            parameter.copy_(value)
        return self.vae.eval()


def train_vae(work: Path, seconds: float, bank_size: int = 5000, seed: int = 1) -> AutoencoderKL:
    """Train for ``seconds`` of processor time and return the autoencoder."""
    trainer = DecoderTrainer(seed)
    checkpoint = Checkpoint(work / "vae.pt")
    state = checkpoint.load()
    spent = trainer.restore(state) if state is not None else 0.0
    if spent < seconds:
        pictures = build_bank(bank_size, seed).pictures
        rng = np.random.default_rng(seed + trainer.step)
        budget, smooth = Budget(seconds, spent), 0.0
        while budget.share < 1:
            set_rate(trainer.optimizer, budget.rate(trainer.step, PEAK_RATE))
            loss = trainer.train_step(_batch(pictures, rng, whole=budget.share > WHOLE_FROM))
            smooth = loss if not smooth else 0.95 * smooth + 0.05 * loss
            if trainer.step % 25 == 0:
                print(f"vae {trainer.step} loss {smooth:.4f} {budget.spent:.0f} s", flush=True)
            if checkpoint.due():
                checkpoint.save(trainer.state(budget.spent))
        checkpoint.save(trainer.state(seconds))
    return trainer.averaged()


def _batch(pictures: NDArray[np.uint8], rng: np.random.Generator, whole: bool) -> NDArray[np.uint8]:
    """Pick whole pictures, or four times as many crops on the grid of blocks."""
    if whole:
        return pictures[rng.integers(len(pictures), size=BATCH // 4)]
    picks = rng.integers(len(pictures), size=BATCH)
    corners = BLOCK * rng.integers((SIZE - CROP) // BLOCK + 1, size=(BATCH, 2))
    crops = [
        pictures[pick, top : top + CROP, left : left + CROP]
        for pick, (top, left) in zip(picks, corners, strict=True)
    ]
    return np.stack(crops)
