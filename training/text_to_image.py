"""Trains the denoiser of the image model together with its text encoder."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from training.bank import build_bank
from training.budget import Budget, Checkpoint, set_rate
from training.latents import LATENT_CHANNELS, encode
from training.pictures import to_tensor
from training.scene import Scene
from training.text import WIDTH, build_text_encoder, encode_ids, noisy_caption, warm_up

LATENT_SIDE = 16
BATCH = 16
PEAK_RATE = 1.5e-3
CAPTION_DROPOUT = 0.1
"""Share of samples trained with the empty caption, for classifier-free guidance."""
EMA_DECAY = 0.997
THINGS_WEIGHT = 4.0
"""How much more the sun, the house and other things count at first: they cover a few cells each."""
THINGS_SHARE, THINGS_FLOOR = 0.5, 0.4
"""Part of the training in which that fades, and what remains: it draws more things than were asked
for, but without it stars and trees are lost."""
WARM_UP_STEPS = 2_000
TRAIN_STEPS = 1000
"""Length of the noise schedule."""


@dataclass(frozen=True)
class LatentBank:
    """Encoded pictures and their scenes."""

    latents: Tensor
    """Shape (count, 12, 16, 16)."""
    things: Tensor
    """Shape (count, 1, 16, 16), 0 to 1: how much a cell differs from the bare land's."""
    scenes: tuple[Scene, ...]


def build_unet() -> UNet2DConditionModel:
    """Return an untrained denoiser; attention where the grid is 8x8 and 4x4."""
    return UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(32, 64, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def build_scheduler() -> DDIMScheduler:
    """Return the sampler: v-prediction, zero terminal signal-to-noise, trailing steps.

    The last two are from Lin et al. 2023, "Common Diffusion Noise Schedules and Sample Steps are
    Flawed"; without them few steps cannot reach a dark or a bright picture.
    """
    return DDIMScheduler(
        num_train_timesteps=TRAIN_STEPS,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        set_alpha_to_one=True,
        steps_offset=1,
        clip_sample=False,
    )


def encode_bank(count: int, seed: int, cache: Path) -> LatentBank:
    """Render and encode ``count`` training scenes, or read them from ``cache``."""
    if cache.exists():
        stored: LatentBank = torch.load(cache, weights_only=False)
        if len(stored.scenes) >= count:
            return stored
    bank = build_bank(count, seed)
    latents, bare = _encode_all(bank.pictures), _encode_all(bank.bare())
    things = (latents - bare).abs().mean(1, keepdim=True).clamp(max=1)
    encoded = LatentBank(latents, things, bank.scenes)
    cache.parent.mkdir(parents=True, exist_ok=True)
    torch.save(encoded, cache)
    return encoded


def _encode_all(pictures: NDArray[np.uint8]) -> Tensor:
    """Encode piece by piece, to save memory."""
    parts = range(0, len(pictures), 256)
    return torch.cat([encode(to_tensor(pictures[start : start + 256])) for start in parts])


class Trainer:
    """The denoiser, its text encoder, their averaged weights and the optimiser."""

    def __init__(self, tokenizer: CLIPTokenizer, seed: int) -> None:
        """Build fresh networks."""
        torch.manual_seed(seed)
        self.tokenizer = tokenizer
        self.text = build_text_encoder(tokenizer)
        self.unet = build_unet().to(memory_format=torch.channels_last)
        self.scheduler = build_scheduler()
        self.parameters: list[nn.Parameter] = [*self.unet.parameters(), *self.text.parameters()]
        self.optimizer = torch.optim.AdamW(
            self.parameters, PEAK_RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True
        )
        self.average: list[Tensor] = []
        self.step = 0
        self.rng = random.Random(seed)
        self.empty = encode_ids(tokenizer, [""])

    def train_step(self, bank: LatentBank, share: float) -> float:
        """Do one optimiser step and return its loss; ``share`` of the training is over."""
        picks = torch.randint(len(bank.scenes), (BATCH,))
        clean = bank.latents[picks]
        texts = [noisy_caption(bank.scenes[int(pick)], self.rng) for pick in picks]
        ids = encode_ids(self.tokenizer, texts)
        ids[torch.rand(BATCH) < CAPTION_DROPOUT] = self.empty[0]
        noise = torch.randn_like(clean)
        # Stratified times: spread over the schedule, for a steadier gradient.
        times = ((torch.arange(BATCH) + torch.rand(BATCH)) * (TRAIN_STEPS / BATCH)).long()
        noisy = self.scheduler.add_noise(clean, noise, times)
        target = self.scheduler.get_velocity(clean, noise, times)
        states = self.text(ids).last_hidden_state
        noisy = noisy.contiguous(memory_format=torch.channels_last)
        output = self.unet(noisy, times, states).sample
        weight = (
            1 + THINGS_WEIGHT * max(THINGS_FLOOR, 1 - share / THINGS_SHARE) * bank.things[picks]
        )
        loss = (weight * (output - target).square()).mean() / weight.mean()
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        self._update_average()
        return float(loss.item())

    @torch.no_grad()
    def _update_average(self) -> None:
        """Move the averaged weights; they follow fast at first."""
        if not self.average:
            self.average = [p.detach().clone() for p in self.parameters]
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - decay)

    def state(self, spent: float) -> dict[str, object]:
        """Gather what a later run needs to go on."""
        return {
            "unet": self.unet.state_dict(), "text": self.text.state_dict(),
            "optimizer": self.optimizer.state_dict(), "average": self.average,
            "step": self.step, "spent": spent,
        }  # fmt: skip

    def restore(self, state: dict[str, object]) -> float:
        """Take over a stored state and return the seconds it had spent."""
        self.unet.load_state_dict(state["unet"])
        self.text.load_state_dict(state["text"])
        self.optimizer.load_state_dict(state["optimizer"])  # type: ignore[arg-type]
        self.average = state["average"]  # type: ignore[assignment]
        self.step = int(state["step"])  # type: ignore[call-overload]
        self.rng.seed(self.step)
        torch.manual_seed(self.step)
        return float(state["spent"])  # type: ignore[arg-type]

    @torch.no_grad()
    def averaged(self) -> tuple[UNet2DConditionModel, CLIPTextModel]:
        """Return the networks with the averaged weights loaded."""
        for parameter, value in zip(self.parameters, self.average, strict=True):
            parameter.copy_(value)
        return self.unet.to(memory_format=torch.contiguous_format).eval(), self.text.eval()


def train_text_to_image(
    tokenizer: CLIPTokenizer, work: Path, seconds: float, bank_size: int = 12_000, seed: int = 4
) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """Train for ``seconds`` of processor time and return the averaged denoiser and text encoder."""
    trainer = Trainer(tokenizer, seed)
    checkpoint = Checkpoint(work / "text_to_image.pt")
    if (state := checkpoint.load()) is not None:
        spent = trainer.restore(state)
    else:
        spent = 0.0
        warm_up(trainer.text, tokenizer, WARM_UP_STEPS)
    bank = encode_bank(bank_size, seed, work / "latents.pt")
    budget, smooth = Budget(seconds, spent), 0.0
    while budget.share < 1:
        set_rate(trainer.optimizer, budget.rate(trainer.step, PEAK_RATE))
        loss = trainer.train_step(bank, budget.share)
        smooth = loss if not smooth else 0.98 * smooth + 0.02 * loss
        if trainer.step % 25 == 0:
            print(f"denoiser {trainer.step} loss {smooth:.4f} {budget.spent:.0f} s", flush=True)
        if checkpoint.due():
            checkpoint.save(trainer.state(budget.spent))
    if spent < seconds:
        checkpoint.save(trainer.state(seconds))
    return trainer.averaged()
