"""Embeddings that are kept: the same numbers, and nobody's changes reach another."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from app.worker.prompts import PromptCache
from tests.worker.conftest import LoadPipe, Serving, assert_same_images, text


@pytest.fixture(scope="module")
def pipe(load_pipe: LoadPipe) -> Any:
    return load_pipe("sd")


def encode(cache: PromptCache, pipe: Any, prompt: Any, loras: object = (), **more: Any) -> Any:
    own = copy.copy(pipe)
    cache.attach(own, loras)
    with torch.no_grad():
        return own.encode_prompt(prompt, torch.device("cpu"), 1, True, "", **more)


def test_a_repeated_prompt_has_the_same_embeddings(pipe: Any) -> None:
    cache = PromptCache()
    first, again = encode(cache, pipe, "a cat"), encode(cache, pipe, "a cat")
    assert cache.hits == 1
    with torch.no_grad():
        plain = pipe.encode_prompt("a cat", torch.device("cpu"), 1, True, "")
    for kept, returned, expected in zip(first, again, plain, strict=True):
        assert torch.equal(kept, expected)
        assert torch.equal(returned, expected)


def test_what_one_request_does_to_its_embeddings_stays_with_it(pipe: Any) -> None:
    cache = PromptCache()
    for _ in range(3):
        embeddings, _ = encode(cache, pipe, "a cat")
        assert embeddings.abs().sum() > 0
        embeddings.zero_()


@pytest.mark.parametrize(
    "other", [{"prompt": "a dog"}, {"loras": (("some/lora", 1.0),)}, {"lora_scale": 0.5}]
)
def test_another_prompt_is_encoded(pipe: Any, other: dict[str, Any]) -> None:
    cache = PromptCache()
    encode(cache, pipe, "a cat")
    encode(cache, pipe, **{"prompt": "a cat", **other})
    assert cache.hits == 0


def test_ready_made_embeddings_are_left_alone(pipe: Any) -> None:
    cache = PromptCache()
    ready = torch.randn(1, 77, 32)
    for _ in range(2):
        embeddings, _ = encode(cache, pipe, None, prompt_embeds=ready)
        assert torch.equal(embeddings, ready)
    assert cache.hits == 0


def test_room_is_bounded(pipe: Any) -> None:
    size = 2 * 77 * 32 * 4  # prompt and negative prompt
    cache = PromptCache(room=2 * size)
    for prompt in ("a", "b", "a", "c", "a", "b"):  # b is the one unused for longest
        encode(cache, pipe, prompt)
    assert cache.hits == 2


def test_a_pipeline_of_unknown_kind_encodes_each_time() -> None:
    class Unknown:
        calls = 0

        def encode_prompt(self, prompt: str) -> int:
            self.calls += 1
            return self.calls

    pipe = Unknown()
    PromptCache().attach(pipe, ())
    assert [pipe.encode_prompt("a"), pipe.encode_prompt("a")] == [1, 2]


def test_images_of_repeated_prompts_are_the_same(pipe: Any) -> None:
    requests = [text(seed, 2, prompt="a cat", negative_prompt="") for seed in range(3)]
    assert_same_images(pipe, requests, Serving(pipe).serve(requests))
