"""Trains the image model: first its text encoder, then its denoiser."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from training.bank import build_bank
from training.descent import Descent
from training.latents import LATENT_CHANNELS, encode
from training.picks import pick_weights
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
THINGS_SHARE = 0.3
"""Part of the training in which that fades to nothing: a denoiser that goes on with it draws a
thing of which it is unsure twice."""
WARM_UP_STEPS = 2_500
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
    """Return an untrained denoiser; attention where the grid is 4x4.

    The caption also reaches every layer as one vector added to the time's: attention alone, in so
    small a network, hardly learns where things stand and which colour they have.
    """
    return UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(64, 96, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
        resnet_time_scale_shift="scale_shift",
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
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
        stored: LatentBank = torch.load(
            cache, map_location=torch.get_default_device(), weights_only=False
        )
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


class Lesson:
    """The denoiser before the pictures and captions that it learns from."""

    def __init__(
        self,
        denoiser: Callable[..., Any],
        text: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        bank: LatentBank,
        rng: random.Random,
    ) -> None:
        """Choose captions with ``rng``."""
        self._denoiser, self._text = denoiser, text
        self._tokenizer, self._bank, self._rng = tokenizer, bank, rng
        self._weights = pick_weights(bank.scenes, bank.things)
        self._empty = encode_ids(tokenizer, [""])
        self._scheduler = build_scheduler()

    def loss(self, share: float) -> Tensor:
        """Return the loss of a batch; ``share`` of the training is over."""
        picks = torch.multinomial(self._weights, BATCH, replacement=True)
        clean = self._bank.latents[picks]
        noise = torch.randn_like(clean)
        # Stratified, for a steadier gradient; more of the noisy times, which decide what there is.
        shares = (torch.arange(BATCH) + torch.rand(BATCH)) / BATCH
        times = (TRAIN_STEPS * shares.sqrt()).long()
        noisy = self._scheduler.add_noise(clean, noise, times)
        target = self._scheduler.get_velocity(clean, noise, times)
        states = self._text(self._captions(picks)).last_hidden_state
        noisy = noisy.contiguous(memory_format=torch.channels_last)
        output = self._denoiser(noisy, times, states).sample
        fading = max(0.0, 1 - share / THINGS_SHARE)
        weight = 1 + THINGS_WEIGHT * fading * self._bank.things[picks]
        loss: Tensor = (weight * (output - target).square()).mean() / weight.mean()
        return loss

    def _captions(self, picks: Tensor) -> Tensor:
        """Return token ids of new captions, some of them empty."""
        texts = [noisy_caption(self._bank.scenes[pick], self._rng) for pick in picks.tolist()]
        ids = encode_ids(self._tokenizer, texts)
        ids[torch.rand(BATCH) < CAPTION_DROPOUT] = self._empty[0]
        return ids


def train_text_to_image(
    tokenizer: CLIPTokenizer,
    work: Path,
    seconds: float,
    compiled: bool = False,
    bank_size: int = 12_000,
    seed: int = 4,
) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """Train for ``seconds`` of processor time and return the averaged denoiser and text encoder.

    A ``compiled`` denoiser takes some minutes to begin and two thirds of the time from then on.
    """
    torch.manual_seed(seed)
    text = build_text_encoder(tokenizer)
    unet = build_unet().to(memory_format=torch.channels_last)
    for fixed in (text, unet.add_embedding):
        fixed.requires_grad_(False)
    descent = Descent(
        {"unet": unet, "text": text}, work / "text_to_image.pt", PEAK_RATE, EMA_DECAY, seed=seed
    )
    if not descent.step:
        warm_up(text, unet.add_embedding, tokenizer, WARM_UP_STEPS)
    bank = encode_bank(bank_size, seed, work / "latents.pt")
    denoiser = torch.compile(unet) if compiled else unet
    lesson = Lesson(denoiser, text, tokenizer, bank, descent.rng)
    descent.run("denoiser", seconds, lesson.loss)
    return unet.to(memory_format=torch.contiguous_format), text
