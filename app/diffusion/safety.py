"""Flags images that may be offensive or harmful; never touches their pixels.

The network and its thresholds are those of Stable Diffusion's safety checker
(CompVis/stable-diffusion-safety-checker). Its own `forward` blackens what it flags, runs in a
Python loop and wants images from PIL; here its decision is taken for the whole batch from
tensors that may already lie on the GPU.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from torch.nn import functional

from app.diffusion.devices import is_gpu, named_device
from app.diffusion.weights import FP16, SAFETY_CHECKER, is_fp16
from app.errors import ModelNotLoaded
from app.settings import Settings
from app.wording import on_one_line

_CARE = 0.01
"""How much nearer every concept counts once a special-care concept is near (as in diffusers)."""

_LONGEST = 8
"""Times its width that a picture may be high, or the other way round, and be scaled whole. What
lies farther out is cut off first: it is never seen, and scaled it could fill any memory."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What a CLIP image processor does; the defaults are those of OpenAI's CLIP.

    Attributes:
        shortest_edge: pixels that the shorter side is scaled to.
        crop: (height, width) of the centre that is kept.
        mean: of each channel, in 0…1.
        std: of each channel, in 0…1.
    """

    shortest_edge: int = 224
    crop: tuple[int, int] = (224, 224)
    mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Turn images (N, H, W, 3) uint8 into the network's input (N, 3, height, width) float32.

        Scaled as PIL does, on whose results the checker was calibrated: bicubic with
        antialiasing, first the rows and then the columns, each rounded to whole levels, half
        up. The results are seldom a level apart.
        """
        pixels = _middle(images.movedim(-1, 1)).float()
        height, width = pixels.shape[2:]
        short = min(height, width)
        size = [int(self.shortest_edge * side / short) for side in (height, width)]
        for step in ([height, size[1]], size):
            if step != list(pixels.shape[2:]):
                pixels = functional.interpolate(pixels, step, mode="bicubic", antialias=True)
                pixels = pixels.add_(0.5).floor_().clamp_(0, 255)
        top, left = ((side - kept) // 2 for side, kept in zip(size, self.crop, strict=True))
        pixels = pixels[:, :, top : top + self.crop[0], left : left + self.crop[1]]
        mean, std = (pixels.new_tensor(it).view(3, 1, 1) for it in (self.mean, self.std))
        return (pixels / 255 - mean) / std


class SafetyChecker:
    """Decides for each image whether it may be offensive or harmful.

    The weights are loaded when they are first needed, or by `warm_up`.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Note where the weights are.

        Args:
            folder: see `app.diffusion.store.safety_checker_path`.
            device: where to run.
        """
        self._folder = folder
        self._preprocessing = read_preprocessing(folder)
        self._device = device
        self._dtype = torch.float16 if is_gpu(device) else torch.float32
        self._model: Any = None

    def warm_up(self) -> None:
        """Load the weights now if that must not happen beside a generation.

        While transformers loads a model, the model's type is the default of the whole process,
        and schedulers compute their steps in it: in half precision, they would be wrong ones.

        Raises:
            ModelNotLoaded: the weights cannot be used.
        """
        if self._dtype is not torch.get_default_dtype():
            self.flag(torch.zeros(1, 8, 8, 3, dtype=torch.uint8))

    @torch.no_grad()
    def flag(self, images: torch.Tensor) -> tuple[bool, ...]:
        """Decide for each image.

        Args:
            images: (N, H, W, 3) uint8 RGB on any device; not changed.

        Raises:
            ModelNotLoaded: the weights cannot be used.
        """
        if len(images) == 0:
            return ()
        model = self.load()
        # One by one: at full size, and as floats, they need not all fit into memory.
        small = [self._preprocessing(image[None].to(self._device)) for image in images]
        pixels = torch.cat(small).to(model.dtype)
        embeddings = model.visual_projection(model.vision_model(pixels)[1]).float()
        special = _excess(embeddings, model.special_care_embeds, model.special_care_embeds_weights)
        concepts = _excess(embeddings, model.concept_embeds, model.concept_embeds_weights)
        needs_care = (_thousandths(special) > 0).any(dim=1, keepdim=True)
        flags = (_thousandths(concepts + _CARE * needs_care) > 0).any(dim=1)
        return tuple(bool(flag) for flag in flags.tolist())

    def load(self) -> Any:
        """Load the weights if they are not yet: in half precision on a GPU, else in single.

        Raises:
            ModelNotLoaded: they are damaged or incomplete.
        """
        if self._model is None:
            self._model = _load_model(self._folder, self._dtype).to(self._device).eval()
        return self._model


def _middle(images: torch.Tensor) -> torch.Tensor:
    """Images (N, 3, H, W) without what makes them longer than `_LONGEST`."""
    most = _LONGEST * min(images.shape[2:])
    for dim in (2, 3):
        size = images.shape[dim]
        kept = min(size, most)
        images = images.narrow(dim, (size - kept) // 2, kept)
    return images


def checker_device(settings: Settings, model: torch.device) -> torch.device:
    """The device of the safety checker: SAFETY_CHECKER_DEVICE, or the model's own.

    Raises:
        ModelNotLoaded: SAFETY_CHECKER_DEVICE is no device that can be used here.
    """
    if not settings.safety_checker_device:
        return model
    return named_device(settings.safety_checker_device, "SAFETY_CHECKER_DEVICE")


def read_preprocessing(folder: Path) -> Preprocessing:
    """The preprocessing that a checker's `preprocessor_config.json` asks for.

    A checker inside of a pipeline's folder has it in the neighbour `feature_extractor`.

    Raises:
        ModelNotLoaded: the file is there and cannot be used.
    """
    places = [folder]
    if folder.name == SAFETY_CHECKER:
        places.append(folder.parent / "feature_extractor")
    for place in places:
        path = place / "preprocessor_config.json"
        if path.is_file():
            try:
                return _parse_preprocessing(json.loads(path.read_text("utf-8")))
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                raise ModelNotLoaded(
                    f"The safety checker's {path} cannot be used ({error}): download it again."
                ) from error
    return Preprocessing()


def _parse_preprocessing(config: dict[str, Any]) -> Preprocessing:
    default = Preprocessing()
    size = config.get("size", default.shortest_edge)
    crop = config.get("crop_size", default.crop[0])
    return Preprocessing(
        shortest_edge=int(size["shortest_edge"] if isinstance(size, dict) else size),
        crop=(crop["height"], crop["width"]) if isinstance(crop, dict) else (crop, crop),
        mean=tuple(config.get("image_mean", default.mean)),
        std=tuple(config.get("image_std", default.std)),
    )


def _load_model(folder: Path, dtype: torch.dtype) -> Any:
    problem: Exception | None = None
    try:
        model, info = StableDiffusionSafetyChecker.from_pretrained(
            folder,
            dtype=dtype,
            variant=_variant(folder),
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
        if not info["missing_keys"]:  # those would be random
            return model
        reason = f"{len(info['missing_keys'])} tensors are missing"
    except Exception as error:  # the libraries raise whatever a damaged file leads them to
        problem, reason = error, on_one_line(error)
    raise ModelNotLoaded(
        f"The safety checker in {folder} cannot be loaded ({reason}): download it again with "
        "dl_checkpoints.sh."
    ) from problem


def _variant(folder: Path) -> str | None:
    """Which weights to read: the halved ones only where there are no others."""
    names = [path.name for path in folder.glob("*.safetensors")]
    return FP16 if names and all(map(is_fp16, names)) else None


def _excess(embeddings: torch.Tensor, concepts: torch.Tensor, limits: torch.Tensor) -> torch.Tensor:
    """By how much each image is nearer to each concept than its limit, as cosines (N, concepts)."""
    images = functional.normalize(embeddings)
    return images @ functional.normalize(concepts.float()).T - limits.float()


def _thousandths(scores: torch.Tensor) -> torch.Tensor:
    """Scores in whole thousandths: diffusers rounds them to three digits."""
    return (scores * 1000).round()
