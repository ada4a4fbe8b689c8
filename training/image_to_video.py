"""Trains the denoiser of the video model together with its vision tower."""

import random
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import UNetSpatioTemporalConditionModel
from torch import Tensor
from torch.nn import functional
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from training.descent import Descent
from training.latents import encode
from training.motion import MAX_BUCKET, frame_phases, render_phases
from training.pictures import to_tensor
from training.scene import sample_training_scene
from training.video_parts import VISION_SIDE, build_video_unet, build_vision

BATCH = 1
PEAK_RATE = 8e-4
DROPOUT = 0.1
EMA_DECAY = 0.995
MOTION_WEIGHT = 8.0
"""How much more what moves counts: most of a landscape stands still."""
LOG_SIGMA_MEAN, LOG_SIGMA_SPREAD = 0.6, 1.5
"""Normal distribution of the logarithm of the training noise level."""
FPS_CHOICES = (4, 5, 6, 7, 8, 10, 12, 15, 20, 25)
MAX_NOISE_AUGMENTATION = 0.1


@dataclass(frozen=True)
class VideoBank:
    """Every phase of many scenes, encoded, and the first pictures."""

    latents: Tensor
    """Shape (scenes, PHASES, 12, 16, 16), in half precision."""
    first: Tensor
    """Shape (scenes, 3, 128, 128), values from -1 to 1."""


def build_video_bank(scenes: int, seed: int, cache: Path) -> VideoBank:
    """Render and encode scenes in which something moves, or read them from ``cache``."""
    if cache.exists():
        stored: VideoBank = torch.load(
            cache, map_location=torch.get_default_device(), weights_only=False
        )
        return stored
    rng = random.Random(seed)
    latents, first = [], []
    for index in range(scenes):
        scene = sample_training_scene(rng)
        scene = replace(scene, clouds=scene.clouds or rng.random() < 0.6)
        pictures = to_tensor(render_phases(scene, seed * 1_000_003 + index))
        latents.append(encode(pictures).half())
        first.append(pictures[0])
    cache.parent.mkdir(parents=True, exist_ok=True)
    bank = VideoBank(torch.stack(latents), torch.stack(first))
    torch.save(bank, cache)
    return bank


class VideoLesson:
    """The denoiser and the vision tower before the scenes that they learn from."""

    def __init__(
        self,
        unet: UNetSpatioTemporalConditionModel,
        vision: CLIPVisionModelWithProjection,
        bank: VideoBank,
        rng: random.Random,
    ) -> None:
        """Choose scenes and speeds with ``rng``."""
        self._unet, self._vision, self._bank, self._rng = unet, vision, bank, rng
        processor = CLIPImageProcessor()
        self._vision_mean = torch.tensor(processor.image_mean)[:, None, None]
        self._vision_deviation = torch.tensor(processor.image_std)[:, None, None]

    def loss(self, share: float) -> Tensor:
        """Return the loss of a batch, the same all through the training."""
        del share
        clean, first, pictures, ids = self._batch()
        sigma = (LOG_SIGMA_MEAN + LOG_SIGMA_SPREAD * torch.randn(BATCH, 1, 1, 1, 1)).exp()
        noisy = clean + sigma * torch.randn_like(clean)
        spread = (sigma.square() + 1).sqrt()
        # Solves the sampler's x0 = noisy / (sigma^2 + 1) - sigma / spread * v for v.
        target = (noisy / spread.square() - clean) * spread / sigma
        kept = (torch.rand(BATCH) >= DROPOUT).float()
        embedding = self._embed(pictures) * kept[:, None, None]
        beside = (first * kept[:, None, None, None])[:, None].expand_as(clean)
        inputs = torch.cat([noisy / spread, beside], dim=2)
        times = 0.25 * sigma.flatten().log()
        output = self._unet(inputs, times, embedding, added_time_ids=ids).sample
        moved = (clean - clean[:, :1]).abs().mean(2, keepdim=True).clamp(max=1)
        weight = 1 + MOTION_WEIGHT * moved
        loss: Tensor = (weight * (output - target).square()).mean() / weight.mean()
        return loss

    def _batch(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return frames, the noised first frame, its picture and the added ids."""
        frames, ids, picks = [], [], []
        for _ in range(BATCH):
            pick = self._rng.randrange(len(self._bank.first))
            bucket, fps = self._rng.randint(1, MAX_BUCKET), self._rng.choice(FPS_CHOICES)
            noise = self._rng.uniform(0, MAX_NOISE_AUGMENTATION)
            frames.append(self._bank.latents[pick, frame_phases(bucket, fps)].float())
            ids.append((fps - 1, bucket, noise))  # the pipeline passes the rate less one
            picks.append(pick)
        clean = torch.stack(frames)
        added = torch.tensor(ids)
        first = clean[:, 0] + added[:, 2, None, None, None] * torch.randn_like(clean[:, 0])
        return clean, first, self._bank.first[picks], added

    def _embed(self, pictures: Tensor) -> Tensor:
        """Show pictures to the vision tower as the pipeline does; shape (BATCH, 1, 64)."""
        large = functional.interpolate(pictures, size=VISION_SIDE, mode="bilinear")
        normal = ((large + 1) / 2 - self._vision_mean) / self._vision_deviation
        embedding: Tensor = self._vision(normal).image_embeds[:, None]
        return embedding


def train_image_to_video(
    work: Path, seconds: float, scenes: int = 300, seed: int = 5
) -> tuple[UNetSpatioTemporalConditionModel, CLIPVisionModelWithProjection]:
    """Train for ``seconds`` of processor time and return the averaged networks."""
    torch.manual_seed(seed)
    unet, vision = build_video_unet(), build_vision()
    descent = Descent(
        {"unet": unet, "vision": vision},
        work / "image_to_video.pt",
        PEAK_RATE,
        EMA_DECAY,
        seed=seed,
    )
    bank = build_video_bank(scenes, seed, work / "video_latents.pt")
    lesson = VideoLesson(unet, vision, bank, descent.rng)
    descent.run("video", seconds, lesson.loss)
    return unet, vision
