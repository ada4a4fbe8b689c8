"""Decodings that memory does not hold as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.worker.conftest import LoadPipe, Request, Serving, alone, text
from tests.worker.test_families import FAMILIES


class Starving:
    """A VAE's decoder that has memory for so many elements of its input."""

    def __init__(self, own: Callable[..., Any], room: int) -> None:
        self.own = own
        self.room = room
        self.made: list[int] = []

    def __call__(self, latents: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if latents.numel() > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.made.append(len(latents))
        return self.own(latents, *args, **kwargs)


def served(pipe: Any, request: Request, room: int) -> tuple[Any, Starving]:
    """The outcome of a request for whose decodings there is little memory."""
    decoder = pipe.vae.decoder
    starving = decoder.forward = Starving(decoder.forward, room)
    try:
        return Serving(pipe).serve([request])[0], starving
    finally:
        del decoder.forward


def video(load_pipe: LoadPipe, frames: int) -> tuple[Any, Request]:
    request = FAMILIES["svd"](1, 2)
    request.arguments["decode_chunk_size"] = frames
    return load_pipe("svd"), request


def test_fewer_frames_of_a_video_are_decoded_at_once(load_pipe: LoadPipe) -> None:
    pipe, request = video(load_pipe, 1)
    expected = alone(pipe, request)
    frames = expected.shape[1]
    one_frame = expected[0, 0].numel() * 4 // (3 * 2**2)
    request.arguments["decode_chunk_size"] = frames
    outcome, starving = served(pipe, request, room=one_frame)
    assert isinstance(outcome, torch.Tensor), outcome
    assert starving.made == [1] * frames
    torch.testing.assert_close(outcome, expected, rtol=0, atol=1e-4)


def test_a_frame_that_does_not_fit_fails_its_request(load_pipe: LoadPipe) -> None:
    outcome, starving = served(*video(load_pipe, 2), room=0)
    assert isinstance(outcome, torch.OutOfMemoryError)
    assert not starving.made


@pytest.mark.parametrize("images", [1, 2])
def test_an_image_is_decoded_in_tiles(load_pipe: LoadPipe, images: int) -> None:
    pipe = load_pipe("sd")
    side = 2 * pipe.vae.tile_sample_min_size
    request = text(1, 1, height=side, width=side, num_images_per_prompt=images)
    pipe.vae.enable_tiling()
    expected = alone(pipe, request)
    pipe.vae.disable_tiling()
    assert not torch.equal(expected, alone(pipe, request))
    outcome, _ = served(pipe, request, room=4 * pipe.vae.tile_latent_min_size**2)
    torch.testing.assert_close(outcome, expected, rtol=0, atol=1e-5)
    assert not pipe.vae.use_tiling
