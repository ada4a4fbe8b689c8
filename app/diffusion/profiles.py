"""What single models need that others do not: one table, the first row that matches wins.

Every field has a neutral default, so that a model without a row runs as its own files say. The
rows carry names, never classes: this module needs no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from app.diffusion.random_models import real_id
from app.pipelines.base import Arguments

Value = str | int | float | bool
Pairs = tuple[tuple[str, Value], ...]
"""A mapping that is hashable and pickles."""

ASSUMED_STEPS = 25
"""Steps behind a `strength` where nothing says how many."""


@dataclass(frozen=True, slots=True)
class SchedulerChoice:
    """A scheduler to put in place of the model's own, built from the own one's configuration.

    Attributes:
        class_name: name of a class of diffusers.
        overrides: entries of its configuration to change.
    """

    class_name: str
    overrides: Pairs = ()


@dataclass(frozen=True, slots=True)
class UnetFile:
    """Weights that replace those of the base model's UNet.

    Attributes:
        repo: repository that holds them.
        filename: a safetensors file in it.
    """

    repo: str
    filename: str


@dataclass(frozen=True, slots=True)
class Profile:
    """The rules of one model, or of a family of them.

    Attributes:
        name: what logs call the row.
        pattern: text that MODEL_ID contains.
        exact: whether MODEL_ID must be the pattern itself.
        base: repository of the pipeline where it is not MODEL_ID itself.
        unet: weights to put into the base's UNet.
        vaes: repositories of a VAE to use in place of the model's own; the first one found.
        scheduler: scheduler to use in place of the model's own.
        gpu_dtype: torch's name of the weights' type on a GPU, where the files do not decide.
        forced: arguments whose value the model dictates.
        defaults: arguments to use where the request has none.
        start: values to begin with where a person chooses; the API's own defaults stay.
        dropped: arguments never passed on.
        native_size: (width, height) in pixels that the model was trained for.
        size_range: shortest and longest side in pixels that the model can make.
        native_fps: frames per second of a video whose request names none.
    """

    name: str
    pattern: str = ""
    exact: bool = False
    base: str | None = None
    unet: UnetFile | None = None
    vaes: tuple[str, ...] = ()
    scheduler: SchedulerChoice | None = None
    gpu_dtype: str | None = None
    forced: Pairs = ()
    defaults: Pairs = ()
    start: Pairs = ()
    dropped: frozenset[str] = frozenset()
    native_size: tuple[int, int] | None = None
    size_range: tuple[int, int] | None = None
    native_fps: int | None = None

    @property
    def default_size(self) -> tuple[int, int] | None:
        """(width, height) of a request that names none; None where the pipeline decides it."""
        return self.native_size if self.size_range else None

    @property
    def start_values(self) -> dict[str, Value]:
        """What a form begins with, by field; fields that the pipeline has not may be among them."""
        size = dict(zip(("width", "height"), self.native_size or (), strict=False))
        return {**size, **dict(self.defaults), **dict(self.start), **dict(self.forced)}

    def matches(self, model_id: str) -> bool:
        """Whether the row is for this model."""
        return model_id == self.pattern if self.exact else self.pattern in model_id

    def pipeline_repo(self, model_id: str) -> str:
        """Repository that holds the pipeline, its `model_index.json`."""
        return self.base or model_id

    def adjust(self, arguments: Arguments, default_steps: int = ASSUMED_STEPS) -> Arguments:
        """Apply the model's rules to a request's arguments.

        Besides the row's own entries, `strength` is raised for every model as far as one step
        needs (see `least_strength`): diffusers fails on none.

        Args:
            arguments: diffusers' arguments by name; not changed.
            default_steps: what the pipeline takes where neither request nor row says.

        Returns:
            New arguments.
        """
        kept = {name: value for name, value in arguments.items() if name not in self.dropped}
        adjusted = {**dict(self.defaults), **kept, **dict(self.forced)}
        if "strength" in adjusted:
            steps = adjusted.get("num_inference_steps", default_steps)
            adjusted["strength"] = max(adjusted["strength"], least_strength(steps))
        return adjusted


def least_strength(steps: int) -> float:
    """The least image-to-image strength, in 0…1, with which one of `steps` is run.

    diffusers runs `int(steps * strength)` of them, so the rounded 1/steps can be too little:
    `int(49 * (1 / 49))` is 0.
    """
    strength = 1 / steps
    while int(steps * strength) < 1:
        strength = math.nextafter(strength, 1)
    return strength


_SDXL_BASE = "stabilityai/stable-diffusion-xl-base-1.0"
_LIGHTNING = "ByteDance/SDXL-Lightning"


def _lightning(suffix: str, steps: int) -> Profile:
    """SDXL-Lightning distilled to `steps`, as its model card says to use it."""
    return Profile(
        name=f"{_LIGHTNING}{suffix}",
        pattern=f"{_LIGHTNING}{suffix}",
        base=_SDXL_BASE,
        unet=UnetFile(_LIGHTNING, f"sdxl_lightning_{steps}step_unet.safetensors"),
        scheduler=SchedulerChoice("EulerDiscreteScheduler", (("timestep_spacing", "trailing"),)),
        forced=(("guidance_scale", 0.0), ("num_inference_steps", steps)),
        native_size=(1024, 1024),
    )


def _turbo(pattern: str) -> Profile:
    """Adversarially distilled models: no guidance, one to four steps."""
    return Profile(
        name=pattern,
        pattern=pattern,
        exact=True,
        forced=(("guidance_scale", 0.0),),
        defaults=(("num_inference_steps", 4),),
        native_size=(512, 512),
    )


def _flux(pattern: str, steps: int) -> Profile:
    """FLUX.1: trained in bfloat16, no negative prompt."""
    return Profile(
        name=pattern,
        pattern=pattern,
        gpu_dtype="bfloat16",
        defaults=(("num_inference_steps", steps),),
        dropped=frozenset({"negative_prompt", "negative_prompt_2"}),
        native_size=(1024, 1024),
    )


PROFILES: tuple[Profile, ...] = (
    Profile(
        name="demo",
        pattern="demo",
        exact=True,
        start=(("num_inference_steps", 8), ("guidance_scale", 3.0)),
        native_size=(128, 128),
        size_range=(64, 192),
    ),
    _lightning("-2step", 2),
    _lightning("-4step", 4),
    _lightning("-8step", 8),
    _lightning("", 8),
    _turbo("stabilityai/sd-turbo"),
    _turbo("stabilityai/sdxl-turbo"),
    Profile(
        name="InstructPix2Pix",
        pattern="timbrooks/instruct-pix2pix",
        scheduler=SchedulerChoice("EulerAncestralDiscreteScheduler"),
        native_size=(512, 512),
    ),
    Profile(
        name="Realistic Vision without VAE",
        pattern="SG161222/Realistic_Vision_V6.0_B1_noVAE",
        vaes=("stabilityai/sd-vae-ft-mse", "stabilityai/sd-vae-ft-ema"),
        native_size=(512, 512),
    ),
    Profile(
        name="Stable Diffusion 3",
        pattern="stabilityai/stable-diffusion-3-medium-diffusers",
        dropped=frozenset({"image_guidance_scale"}),
        native_size=(1024, 1024),
    ),
    _flux("black-forest-labs/FLUX.1-schnell", 4),
    _flux("black-forest-labs/FLUX.1-dev", 28),
    Profile(
        name="Stable Video Diffusion",
        pattern="stabilityai/stable-video-diffusion",
        # All frames at once is diffusers' default and needs tens of GiB in the VAE.
        defaults=(("decode_chunk_size", 8),),
        native_size=(1024, 576),
    ),
    Profile(
        name="Wan 2.2, 5 billion",
        pattern="Wan-AI/Wan2.2-TI2V",
        gpu_dtype="bfloat16",
        native_size=(1280, 704),
        native_fps=24,
    ),
    Profile(
        name="Wan",
        pattern="Wan-AI/Wan",
        gpu_dtype="bfloat16",
        native_size=(832, 480),
        native_fps=16,
    ),
    Profile(
        name="LTX",
        pattern="Lightricks/LTX-",
        gpu_dtype="bfloat16",
        native_size=(704, 512),
        native_fps=25,
    ),
    Profile(
        name="Stable Diffusion 2.1 base",
        pattern="stable-diffusion-2-1-base",
        native_size=(512, 512),
    ),
    Profile(name="SDXL", pattern=_SDXL_BASE, native_size=(1024, 1024)),
    Profile(name="any model"),
)
"""Every rule, in the order in which they are tried; the last row matches all."""


def profile_for(model_id: str) -> Profile:
    """The rules for the model of this MODEL_ID."""
    real = real_id(model_id)
    return next(profile for profile in PROFILES if profile.matches(real))
