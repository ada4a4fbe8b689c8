"""Builds the architectures of `app.diffusion.random_models` with random weights in memory."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import diffusers
import torch
import transformers

from app.diffusion.classes import pipeline_class
from app.diffusion.random_models import PREFIX, RANDOM_MODELS, Part, RandomModel
from app.errors import ModelNotLoaded
from app.settings import Settings

_LIBRARIES = {"diffusers": diffusers, "transformers": transformers}
_CLIP_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,-'!?|"
_T5_LETTERS = "▁" + _CLIP_LETTERS
_T5_TOKENS = 512


def build_random(settings: Settings, device: torch.device, dtype: torch.dtype) -> Any:
    """The pipeline of PIPELINE's task for a random model, its weights on `device`.

    The same weights come out each time on the same kind of device.

    Raises:
        ModelNotLoaded: there is no such model, or it does not do the task.
    """
    model = random_model(settings.model_id)
    index = {"_class_name": model.pipeline}
    wanted = pipeline_class(settings.pipeline, index, settings.model_id)
    torch.manual_seed(0)
    parts = {name: build_part(part, device, dtype) for name, part in model.parts.items()}
    parts |= _tokenizers(model)
    optional = {"safety_checker": None, "feature_extractor": None, "image_encoder": None}
    optional["requires_safety_checker"] = False  # type: ignore[assignment]
    parameters = inspect.signature(wanted.__init__).parameters
    return wanted(**{k: v for k, v in {**optional, **parts}.items() if k in parameters})


def random_model(model_id: str) -> RandomModel:
    """The architecture behind `random:`.

    Raises:
        ModelNotLoaded: there is none of this name.
    """
    model = RANDOM_MODELS.get(model_id.removeprefix(PREFIX))
    if model is None:
        raise ModelNotLoaded(
            f"MODEL_ID={model_id} names no known architecture: choose one of "
            f"{', '.join(PREFIX + name for name in RANDOM_MODELS)}."
        )
    return model


def build_part(part: Part, device: torch.device, dtype: torch.dtype) -> Any:
    """One component; of a network, the weights are on `device` and of type `dtype`.

    A network on the device `meta` costs neither time nor memory.
    """
    kind = getattr(_LIBRARIES[part.library], part.class_name)
    if not part.has_weights:
        return kind(**part.config)
    with _building(device, dtype):
        is_diffusers = part.library == "diffusers"
        model = kind(**part.config) if is_diffusers else kind(kind.config_class(**part.config))
    # A few constants are made regardless of the defaults. diffusers' own `to` only adds warnings.
    return torch.nn.Module.to(model, device, dtype).eval()


@contextlib.contextmanager
def _building(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Make new tensors on the device and in the type, so that nothing is copied."""
    previous = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            yield
    finally:
        torch.set_default_dtype(previous)


def _tokenizers(model: RandomModel) -> dict[str, Any]:
    """A tokenizer beside each text encoder: single letters, as many tokens as the real one."""
    made: dict[str, Any] = {}
    for name, part in model.parts.items():
        if part.class_name == "T5EncoderModel":
            made[name.replace("text_encoder", "tokenizer")] = _t5_tokenizer()
        elif part.class_name.startswith("CLIPText"):
            made[name.replace("text_encoder", "tokenizer")] = _clip_tokenizer(part)
    return made


def _clip_tokenizer(part: Part) -> Any:
    """Letters, and the markers at the ids that the encoder's configuration names."""
    tokens = [letter + end for end in ("", "</w>") for letter in _CLIP_LETTERS]
    vocab = {token: i for i, token in enumerate(tokens)}
    vocab["<|startoftext|>"] = int(str(part.config["bos_token_id"]))
    vocab["<|endoftext|>"] = int(str(part.config["eos_token_id"]))
    return transformers.CLIPTokenizer(vocab=vocab, merges=[], model_max_length=77)


def _t5_tokenizer() -> Any:
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocab = [*special, *((letter, -1.0) for letter in _T5_LETTERS)]
    return transformers.T5TokenizerFast(vocab=vocab, extra_ids=0, model_max_length=_T5_TOKENS)
