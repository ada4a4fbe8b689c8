"""Previews look like what comes out, and change nothing of it."""

from __future__ import annotations

from typing import Any

import diffusers
import pytest
import torch
from torch.nn import functional

from app.diffusion import previews
from app.diffusion.previews import LatentColours, estimate, grid_of, latent_channels
from app.worker.copies import StepDone
from app.worker.pixels import to_uint8
from tests.worker.conftest import LoadPipe, Serving, alone, text


def blobs(seed: int, side: int = 16) -> torch.Tensor:
    """Smooth latents (4, side, side)."""
    noise = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(seed))
    return functional.interpolate(noise, (side, side), mode="bicubic")[0]


def decode(latents: torch.Tensor) -> torch.Tensor:
    """What stands for a VAE: a nearly linear one, eight times as large. (H, W, 3) uint8."""
    mix = torch.tensor([[0.2, 0.1, 0.0], [0.0, 0.2, 0.1], [0.1, 0.0, 0.2], [0.1, 0.1, 0.1]])
    colours = torch.tanh(latents.movedim(0, -1) @ mix) / 2 + 0.5
    large = functional.interpolate(colours.movedim(-1, 0)[None], scale_factor=8, mode="bilinear")
    return to_uint8(large[0])


def fit(images: int) -> LatentColours:
    colours = LatentColours()
    for seed in range(images):
        colours.learn(blobs(seed), decode(blobs(seed)))
    return colours


def explained(preview: torch.Tensor, image: torch.Tensor) -> float:
    """R² of a preview against the image, shrunk to its size."""
    small = functional.adaptive_avg_pool2d(image.movedim(-1, 0).float(), preview.shape[:2])
    error = (small.movedim(0, -1) - preview).square().sum()
    return float(1 - error / (small - small.mean((1, 2), keepdim=True)).square().sum())


@pytest.mark.parametrize("images", [3, 8])
def test_a_preview_resembles_its_image(images: int) -> None:
    preview = fit(images).render(blobs(99))
    assert preview is not None
    assert preview.dtype == torch.uint8
    assert preview.shape == (16, 16, 3)
    assert explained(preview, decode(blobs(99))) > 0.8


def test_previews_are_small() -> None:
    preview = fit(3).render(blobs(1, side=300))
    assert preview is not None
    assert max(preview.shape) <= 128


@pytest.mark.parametrize("images", [0, 2])
def test_without_enough_images_there_is_no_preview(images: int) -> None:
    assert fit(images).render(blobs(0)) is None


def test_broken_images_teach_nothing() -> None:
    colours = LatentColours()
    colours.learn(torch.full((4, 8, 8), torch.nan), torch.zeros(64, 64, 3, dtype=torch.uint8))
    assert colours.render(blobs(0)) is None


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 4, 6, 8), (4, 6, 8)),
        ((2, 5, 4, 6, 8), (4, 6, 8)),
        ((2, 4, 5, 6, 8), (4, 6, 8)),
        ((2, 48, 16), (16, 6, 8)),
        ((2, 47, 16), None),
    ],
)
def test_layouts_of_latents(shape: tuple[int, ...], expected: tuple[int, ...] | None) -> None:
    grid = grid_of(torch.zeros(shape), channels=4, aspect=8 / 6)
    assert (None if grid is None else grid.shape) == expected
    assert grid_of(torch.zeros(shape), channels=0, aspect=8 / 6) is None


def test_learning_while_a_preview_is_made_waits_for_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The outbox's thread puts a new function in place, in main memory, at any time."""
    colours, add_one = fit(3), previews._with_one
    expected = colours.render(blobs(0))
    assert expected is not None

    def interrupted(latents: torch.Tensor) -> torch.Tensor:
        monkeypatch.setattr(previews, "_with_one", add_one)
        colours.learn(blobs(3), 255 - decode(blobs(3)))
        return add_one(latents)

    monkeypatch.setattr(previews, "_with_one", interrupted)
    assert torch.equal(colours.render(blobs(0)), expected)
    assert not torch.equal(colours.render(blobs(0)), expected)


@pytest.mark.parametrize(
    "scheduler",
    [
        diffusers.DDIMScheduler(clip_sample=False),
        diffusers.EulerDiscreteScheduler(),
        diffusers.PNDMScheduler(skip_prk_steps=True),
        diffusers.DPMSolverMultistepScheduler(),
        diffusers.FlowMatchEulerDiscreteScheduler(),
    ],
    ids=lambda scheduler: type(scheduler).__name__,
)
def test_the_estimate_is_the_clean_image_when_the_prediction_is_right(scheduler: Any) -> None:
    clean, noise = blobs(0)[None], torch.randn(1, 4, 16, 16)
    scheduler.set_timesteps(10)
    timestep = scheduler.timesteps[4:5]
    is_flow = type(scheduler).__name__.startswith("FlowMatch")
    mix = scheduler.scale_noise if is_flow else scheduler.add_noise
    sample = mix(clean, timestep, noise) if is_flow else mix(clean, noise, timestep)
    prediction = noise - clean if is_flow else noise
    if hasattr(scheduler, "is_scale_input_called"):
        scheduler.scale_model_input(sample, timestep[0])
    result = scheduler.step(prediction, timestep[0], sample, return_dict=False)
    guess = estimate(scheduler, prediction, timestep[0], sample, result)
    torch.testing.assert_close(guess, clean, rtol=0, atol=1e-3)


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3", "flux"])
def test_previews_while_a_model_runs(load_pipe: LoadPipe, family: str) -> None:
    pipe = load_pipe(family)
    colours, steps = LatentColours(), []
    more = {"max_sequence_length": 16} if family in ("sd3", "flux") else {}
    request = text(0, 3, **more)
    if family == "flux":
        del request.arguments["negative_prompt"]

    def look(done: StepDone) -> None:
        guess = estimate(done.scheduler, done.prediction, done.timestep, done.sample, done.result)
        grid = grid_of(guess, latent_channels(pipe), 1.0)
        assert grid is not None
        colours.render(grid)
        steps.append((grid, grid_of(done.result[0], latent_channels(pipe), 1.0)))

    request.on_step = look
    (outcome,) = Serving(pipe).serve([request])
    for _ in range(3):
        colours.learn(steps[-1][1], to_uint8(outcome)[0])
    (again,) = Serving(pipe).serve([request])
    assert torch.equal(outcome, again)
    assert torch.equal(outcome, alone(pipe, request))
    last = colours.render(steps[-1][0])
    assert last is not None
    assert explained(last, to_uint8(outcome)[0]) > 0
