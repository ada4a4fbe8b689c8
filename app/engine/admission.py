"""What stands between a request and the queue: every check that needs no accelerator."""

from __future__ import annotations

import json
import math
import secrets
from pathlib import Path

from app import errors
from app.diffusion.accelerators.catalogue import lora_obstacle
from app.diffusion.profiles import Profile, profile_for
from app.diffusion.store import find_lora, find_model, safety_checker_path
from app.engine.messages import Inputs, Lora
from app.pipelines import PIPELINES
from app.pipelines.base import INT64_MAX, MAX_SIDE, Params, PromptParams
from app.settings import SafetyCheckerMode, Settings

SIZE_STEP = 8
"""Sizes are multiples of it: the scale of nearly every VAE; the others round by themselves."""
MAX_LORAS = 4

Shape = tuple[int, int, int]
"""(height, width, 3) of an RGB image."""


class Admission:
    """Turns a validated request into Inputs, or refuses it with a BadRequest."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pipeline = PIPELINES[settings.pipeline]
        self._profile = profile_for(settings.model_id)
        self._fixed_by = lora_obstacle(settings)

    def admit(self, params: Params, image_shape: Shape | None = None) -> Inputs:
        """Check the request and fix everything that is still open in it.

        Args:
            params: parameters of the loaded pipeline.
            image_shape: of the decoded input image, where one is taken.

        Raises:
            BadRequest: what is wrong with the request.
        """
        settings = self._settings
        if params.model_id and params.model_id != settings.model_id:
            raise errors.ModelMismatch(settings.model_id, params.model_id)
        count = getattr(params, "num_images_per_prompt", 1)
        self._check_limits(params, count)
        loras: tuple[Lora, ...] = ()
        if isinstance(params, PromptParams):
            is_blank = not params.prompt.replace("|", " ").strip()
            is_meant = self._pipeline.takes_image and not params.prompt  # no word beside an image
            if is_blank and not is_meant:
                raise errors.PromptMissing
            loras = parse_loras(params.loras, settings.model_dir)
            if loras and self._fixed_by:
                raise errors.LoraInvalid(
                    f"loras cannot be applied: this server runs with {self._fixed_by}, which fixes "
                    "the model's weights."
                )
        return Inputs(
            pipeline=self._pipeline.name,
            params=self._with_fps(self._with_size(params)),
            seeds=_seeds(params.seed, count),
            loras=loras,
            image_shape=image_shape,
            check_safety=self._wants_check(params),
        )

    def image_size(self, width: int, height: int) -> tuple[int, int]:
        """The size at which an input image is worked on: nearly its own, or one the model knows.

        A model with limits gets images of its native area, in their own proportions as far
        as its range allows. Any other gets images of at most MAX_PIXELS.

        Raises:
            BadRequest: no image of that size can be made here.
        """
        width, height = _within(self._settings.max_pixels, width, height)
        if self._pipeline.params.model_fields.keys() & {"width", "height"}:
            return width, height  # the request's size decides
        fitting = fit_size(width, height, self._profile)
        self.check_size(*fitting)
        return fitting

    def check_size(self, width: int, height: int) -> None:
        """Whether images of this size can be made here.

        Raises:
            BadRequest: why not.
        """
        if width % SIZE_STEP or height % SIZE_STEP:
            raise errors.SizeInvalid(
                f"`height` and `width` have to be divisible by {SIZE_STEP} but are {height} and "
                f"{width}."
            )
        if max(width, height) > MAX_SIDE:
            raise errors.SizeInvalid(
                f"A side has at most {MAX_SIDE} pixels; these are {width} × {height}."
            )
        if width * height > self._settings.max_pixels:
            raise errors.LimitExceeded(
                f"width × height is {width} × {height} = {width * height} pixels; this server "
                f"allows at most {self._settings.max_pixels} (MAX_PIXELS)."
            )
        self._check_range(width, height)

    def _check_limits(self, params: Params, count: int) -> None:
        settings = self._settings
        if params.num_inference_steps > settings.max_steps:
            raise errors.LimitExceeded(
                f"num_inference_steps is {params.num_inference_steps}; this server allows at "
                f"most {settings.max_steps} (MAX_STEPS)."
            )
        if count > settings.max_images_per_prompt:
            raise errors.LimitExceeded(
                f"num_images_per_prompt is {count}; this server allows at most "
                f"{settings.max_images_per_prompt} (MAX_IMAGES_PER_PROMPT)."
            )

    def _with_size(self, params: Params) -> Params:
        """Resolve and check width and height, where the pipeline has them."""
        width, height = getattr(params, "width", None), getattr(params, "height", None)
        if width is None or height is None:
            return params
        if own := self._profile.default_size:
            width = width if "width" in params.model_fields_set else own[0]
            height = height if "height" in params.model_fields_set else own[1]
        self.check_size(width, height)
        return params.model_copy(update={"width": width, "height": height})

    def _with_fps(self, params: Params) -> Params:
        """Resolve fps, where the pipeline has it: the model's own if the request names none."""
        own = self._profile.native_fps
        if own is None or not hasattr(params, "fps") or "fps" in params.model_fields_set:
            return params
        return params.model_copy(update={"fps": own})

    def _check_range(self, width: int, height: int) -> None:
        bounds = self._profile.size_range
        if bounds and not (bounds[0] <= min(width, height) and max(width, height) <= bounds[1]):
            raise errors.SizeInvalid(
                f"{self._settings.model_id} makes {self._pipeline.media}s of {bounds[0]} to "
                f"{bounds[1]} pixels a side; width × height is {width} × {height}."
            )

    def _wants_check(self, params: Params) -> bool:
        mode = self._settings.safety_checker
        if not params.safety_check or mode is SafetyCheckerMode.OFF:
            return False
        if mode is SafetyCheckerMode.REQUIRED and not self._has_safety_checker():
            raise errors.SafetyCheckerMissing
        return True

    def _has_safety_checker(self) -> bool:
        settings = self._settings
        model = find_model(settings.model_id, settings.model_dir, settings.pipeline)
        return safety_checker_path(settings.model_dir, model) is not None


def fit_size(width: int, height: int, profile: Profile) -> tuple[int, int]:
    """The (width, height) nearest to an image's own that the model can work at."""
    if profile.native_size is None or profile.size_range is None:
        return _whole_steps(width), _whole_steps(height)
    scale = math.sqrt(math.prod(profile.native_size) / (width * height))
    low, high = profile.size_range

    def side(length: int) -> int:
        return min(max(round(length * scale / SIZE_STEP) * SIZE_STEP, low), high)

    return side(width), side(height)


def _within(pixels: int, width: int, height: int) -> tuple[int, int]:
    """A (width, height) of the same proportions that has at most so many pixels."""
    scale = min(1.0, math.sqrt(pixels / (width * height)))
    return max(1, int(width * scale)), max(1, int(height * scale))


def _whole_steps(length: int) -> int:
    """As diffusers does with images: down to what the autoencoder can divide."""
    return max(SIZE_STEP, length - length % SIZE_STEP)


def parse_loras(text: str, model_dir: Path) -> tuple[Lora, ...]:
    """Read the `loras` field: a JSON object of repository to weight, or nothing.

    Raises:
        LoraInvalid: it is not such an object, or an adapter is not in `model_dir`.
    """
    if not text.strip():
        return ()
    try:
        loras = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise errors.LoraInvalid(f"loras is not valid JSON: {error}") from error
    if not isinstance(loras, dict):
        raise errors.LoraInvalid("loras must be a JSON object of repository to weight.")
    if len(loras) > MAX_LORAS:
        raise errors.LoraInvalid(f"loras names {len(loras)} adapters; at most {MAX_LORAS} work.")
    return tuple(_lora(repo, weight, model_dir) for repo, weight in loras.items())


def _lora(repo: str, weight: object, model_dir: Path) -> Lora:
    number = _number(weight)
    if number is None or not 0 <= number < math.inf:
        raise errors.LoraInvalid(f"loras: the weight of {repo} must be a number of 0 or more.")
    if find_lora(repo, model_dir) is None:
        raise errors.LoraInvalid(
            f"loras: {repo} is not among the models of this server; download it into MODEL_DIR."
        )
    return repo, number


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _seeds(seed: int | None, count: int) -> tuple[int, ...]:
    """Seed of each image; a random one below 2**32 when the client named none."""
    first = secrets.randbelow(2**32) if seed is None else seed
    if first + count - 1 > INT64_MAX:
        raise errors.LimitExceeded(
            f"seed: image i uses seed + i, at most {INT64_MAX}; choose a smaller seed."
        )
    return tuple(first + i for i in range(count))
