"""Trains the denoiser of the video model together with its vision tower."""

import random
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import UNetSpatioTemporalConditionModel
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from training.budget import Budget, Checkpoint, set_rate
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
        stored: VideoBank = torch.load(cache, weights_only=False)
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


class VideoTrainer:
    """The denoiser, the vision tower, their averaged weights and the optimiser."""

    def __init__(self, seed: int) -> None:
        """Build fresh networks."""
        torch.manual_seed(seed)
        self.unet = build_video_unet()
        self.vision = build_vision()
        self.parameters: list[nn.Parameter] = [
            *self.unet.parameters(), *self.vision.parameters()
        ]  # fmt: skip
        self.optimizer = torch.optim.AdamW(
            self.parameters, PEAK_RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True
        )
        self.average = [p.detach().clone() for p in self.parameters]
        self.step = 0
        self.rng = random.Random(seed)
        processor = CLIPImageProcessor()
        self.vision_mean = torch.tensor(processor.image_mean)[:, None, None]
        self.vision_deviation = torch.tensor(processor.image_std)[:, None, None]

    def train_step(self, bank: VideoBank) -> float:
        """Do one optimiser step and return its loss."""
        clean, first, pictures, ids = self._batch(bank)
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
        output = self.unet(inputs, times, embedding, added_time_ids=ids).sample
        moved = (clean - clean[:, :1]).abs().mean(2, keepdim=True).clamp(max=1)
        weight = 1 + MOTION_WEIGHT * moved
        loss = (weight * (output - target).square()).mean() / weight.mean()
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        with torch.no_grad():
            decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
            torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - decay)
        return float(loss.item())

    def _batch(self, bank: VideoBank) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return frames, the noised first frame, its picture and the added ids."""
        frames, ids, picks = [], [], []
        for _ in range(BATCH):
            pick = self.rng.randrange(len(bank.first))
            bucket, fps = self.rng.randint(1, MAX_BUCKET), self.rng.choice(FPS_CHOICES)
            noise = self.rng.uniform(0, MAX_NOISE_AUGMENTATION)
            frames.append(bank.latents[pick, frame_phases(bucket, fps)].float())
            ids.append((fps - 1, bucket, noise))  # the pipeline passes the rate less one
            picks.append(pick)
        clean = torch.stack(frames)
        added = torch.tensor(ids)
        first = clean[:, 0] + added[:, 2, None, None, None] * torch.randn_like(clean[:, 0])
        return clean, first, bank.first[picks], added

    def _embed(self, pictures: Tensor) -> Tensor:
        """Show pictures to the vision tower as the pipeline does; shape (BATCH, 1, 64)."""
        large = functional.interpolate(pictures, size=VISION_SIDE, mode="bilinear")
        normal = ((large + 1) / 2 - self.vision_mean) / self.vision_deviation
        embedding: Tensor = self.vision(normal).image_embeds[:, None]
        return embedding

    def state(self, spent: float) -> dict[str, object]:
        """Gather what a later run needs to go on."""
        return {
            "unet": self.unet.state_dict(), "vision": self.vision.state_dict(),
            "optimizer": self.optimizer.state_dict(), "average": self.average,
            "step": self.step, "spent": spent,
        }  # fmt: skip

    def restore(self, state: dict[str, object]) -> float:
        """Take over a stored state and return the seconds it had spent."""
        self.unet.load_state_dict(state["unet"])
        self.vision.load_state_dict(state["vision"])
        self.optimizer.load_state_dict(state["optimizer"])  # type: ignore[arg-type]
        self.average = state["average"]  # type: ignore[assignment]
        self.step = int(state["step"])  # type: ignore[call-overload]
        self.rng.seed(self.step)
        torch.manual_seed(self.step)
        return float(state["spent"])  # type: ignore[arg-type]

    @torch.no_grad()
    def averaged(self) -> tuple[UNetSpatioTemporalConditionModel, CLIPVisionModelWithProjection]:
        """Return the networks with the averaged weights loaded."""
        for parameter, value in zip(self.parameters, self.average, strict=True):
            parameter.copy_(value)
        return self.unet.eval(), self.vision.eval()


def train_image_to_video(
    work: Path, seconds: float, scenes: int = 300, seed: int = 5
) -> tuple[UNetSpatioTemporalConditionModel, CLIPVisionModelWithProjection]:
    """Train for ``seconds`` of processor time and return the averaged networks."""
    trainer = VideoTrainer(seed)
    checkpoint = Checkpoint(work / "image_to_video.pt")
    state = checkpoint.load()
    spent = trainer.restore(state) if state is not None else 0.0
    bank = build_video_bank(scenes, seed, work / "video_latents.pt")
    budget, smooth = Budget(seconds, spent), 0.0
    while budget.share < 1:
        set_rate(trainer.optimizer, budget.rate(trainer.step, PEAK_RATE))
        loss = trainer.train_step(bank)
        smooth = loss if not smooth else 0.98 * smooth + 0.02 * loss
        if trainer.step % 25 == 0:
            print(f"video {trainer.step} loss {smooth:.4f} {budget.spent:.0f} s", flush=True)
        if checkpoint.due():
            checkpoint.save(trainer.state(budget.spent))
    if spent < seconds:
        checkpoint.save(trainer.state(seconds))
    return trainer.averaged()
