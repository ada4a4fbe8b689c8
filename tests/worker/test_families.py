"""Every family: together, requests get the images that plain diffusers makes of each alone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import Module

from app.diffusion.accelerators.memory import offload_groups
from app.settings import Settings
from app.worker.hub import Task
from tests.worker.conftest import (
    LoadPipe,
    Request,
    Serving,
    alone,
    assert_same_images,
    picture,
    text,
    tied,
)


def edit(seed: int, steps: int) -> Request:
    """InstructPix2Pix: three rows for each image."""
    arguments = {
        "prompt": f"make it {seed}",
        "image": picture(seed),
        "num_inference_steps": steps,
        "guidance_scale": 4.0 + seed,
        "image_guidance_scale": 1.5,
    }
    return Request(seed, arguments)


def video(seed: int, steps: int) -> Request:
    arguments = {
        "image": picture(seed),
        "height": 32,
        "width": 32,
        "num_inference_steps": steps,
        "fps": 5 + seed,
        "decode_chunk_size": 2,
    }
    return Request(seed, arguments)


def prompted_video(seed: int, steps: int) -> Request:
    arguments = {
        "prompt": f"prompt {seed}",
        "image": picture(seed),
        "height": 32,
        "width": 32,
        "num_frames": 5,
        "num_inference_steps": steps,
        "guidance_scale": 3.0 + seed,
        "max_sequence_length": 16,
    }
    return Request(seed, arguments)


def long_video(seed: int, steps: int) -> Request:
    request = prompted_video(seed, steps)
    return Request(seed, {**request.arguments, "num_frames": 9})


def flux(seed: int, steps: int) -> Request:
    request = text(seed, steps, max_sequence_length=16)
    del request.arguments["negative_prompt"]
    return request


def sd3(seed: int, steps: int) -> Request:
    return text(seed, steps, max_sequence_length=16)


FAMILIES: dict[str, Callable[[int, int], Request]] = {
    "sd": text,
    "sdxl": text,
    "instruct-pix2pix": edit,
    "sd3": sd3,
    "flux": flux,
    "svd": video,
    "wan": prompted_video,
    "ltx": long_video,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_company_changes_nothing(load_pipe: LoadPipe, family: str) -> None:
    pipe = load_pipe(family)
    requests = [FAMILIES[family](seed, steps) for seed, steps in enumerate((3, 2, 4))]
    serving = Serving(pipe)
    outcomes = serving.serve(requests)
    # SVD's noise begins at 700 times the size of its images, and rounding with it.
    assert_same_images(pipe, requests, outcomes, tolerance=1e-4 if family == "svd" else 1e-5)
    assert len(serving.forwards) == (8 if family == "wan" else 4)  # of the longest request


def tie_vae(pipe: Any) -> None:
    tied(pipe.vae)


def offload(pipe: Any) -> None:
    """OFFLOAD=group on a CPU, which has no streams."""
    original = pipe.enable_group_offload
    pipe.enable_group_offload = lambda **options: original(**options | {"use_stream": False})
    offload_groups(pipe, Settings(pipeline="text-to-image", model_id="demo"), torch.device("cpu"))


@pytest.mark.parametrize("prepare", [tie_vae, offload])
@pytest.mark.parametrize("family", ["sdxl", "svd"])
def test_a_vae_in_half_precision_is_turned_into_single(
    load_pipe: LoadPipe, family: str, prepare: Callable[[Any], None]
) -> None:
    pipe = copy.deepcopy(load_pipe(family)).to(torch.float16)
    request = FAMILIES[family](1, 2)
    expected = alone(pipe, request)
    prepare(pipe)
    (outcome,) = Serving(pipe).serve([request])
    assert isinstance(outcome, torch.Tensor), outcome
    assert torch.equal(outcome, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_alone_a_request_is_what_plain_diffusers_makes_bit_for_bit(
    load_pipe: LoadPipe, family: str
) -> None:
    pipe = load_pipe(family)
    request = FAMILIES[family](1, 2)
    (outcome,) = Serving(pipe).serve([request])
    assert torch.equal(outcome, alone(pipe, request))


def test_what_stands_for_a_network_is_of_its_class(load_pipe: LoadPipe) -> None:
    """Sana's video pipelines choose by the class of their VAE, and all by what is a module."""
    pipe = load_pipe("sd")
    seen: list[tuple[bool, ...]] = []

    def body(_: Task) -> None:
        with serving.copies.lend((), lambda done: None) as own:
            seen.append((own.vae is pipe.vae, own.unet is pipe.unet))
            seen.append(tuple(isinstance(own.vae, kind) for kind in (type(pipe.vae), Module, str)))
            seen.append(tuple(isinstance(own.unet, kind) for kind in (type(pipe.unet), Module)))
            seen.append((own.device == pipe.device, own._execution_device == pipe.device))
            seen.append((own.components.keys() == pipe.components.keys(),))

    serving = Serving(pipe)
    serving.hub.add(Task(body, (), lambda: False))
    serving.finish()
    assert seen == [(False, False), (True, True, False), (True, True), (True, True), (True,)]
