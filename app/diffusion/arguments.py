"""From a pipeline file's arguments to the call of the loaded model's own pipeline class."""

from __future__ import annotations

from typing import Any

from app.diffusion.classes import parameters_of
from app.diffusion.profiles import ASSUMED_STEPS, Profile
from app.errors import SizeInvalid
from app.pipelines.base import Arguments

_OTHER_NAMES = {"fps": "frame_rate"}
"""What some classes (LTX) call an argument, by the usual name."""


def prepare(
    pipe: Any, profile: Profile, arguments: Arguments, image_size: tuple[int, int] | None
) -> tuple[Arguments, frozenset[str]]:
    """Apply the model's rules, fill in what its class needs, leave out what it does not take.

    Args:
        pipe: a diffusers pipeline.
        profile: the model's rules.
        arguments: by diffusers' usual names; not changed.
        image_size: (width, height) in pixels of the input image, None without one.

    Returns:
        The call's arguments, and the names of those left out.

    Raises:
        SizeInvalid: a side is not a multiple of what the model needs, or the input image is
            smaller than that.
    """
    parameters = parameters_of(pipe)
    steps = parameters.get("num_inference_steps")
    wanted = profile.adjust(arguments, ASSUMED_STEPS if steps is None else steps.default)
    for name, other in _OTHER_NAMES.items():
        if name in wanted and name not in parameters and other in parameters:
            wanted[other] = wanted.pop(name)
    wanted.setdefault("prompt", "")  # image-to-video models that are led by text too
    multiple = size_multiple(pipe)
    if image_size is not None:
        _check_image(image_size, multiple)
        # Some classes stretch the image to the model's native size unless told otherwise.
        wanted.setdefault("width", image_size[0] // multiple * multiple)
        wanted.setdefault("height", image_size[1] // multiple * multiple)
    call = {name: value for name, value in wanted.items() if name in parameters}
    _check_size(call, multiple)
    passed = call.keys() | {name for name, other in _OTHER_NAMES.items() if other in call}
    return call, frozenset(arguments.keys() - passed)


def size_multiple(pipe: Any) -> int:
    """Pixels that both sides of the model's images are a multiple of, at least 8.

    The VAE's factor times the size of a transformer's patch; UNets take sides of any length.
    """
    names = ("vae_scale_factor", "vae_scale_factor_spatial", "vae_spatial_compression_ratio")
    multiple = max(int(getattr(pipe, name, 1)) for name in names)
    transformer: Any = getattr(pipe, "transformer", None)
    if transformer is not None:
        patch = getattr(transformer.config, "patch_size", None) or 1
        multiple *= patch if isinstance(patch, int) else patch[-1]
    return max(8, multiple)


def _check_image(size: tuple[int, int], multiple: int) -> None:
    if min(size) < multiple:
        raise SizeInvalid(
            f"The input image is {size[0]}x{size[1]} pixels; the loaded model needs at least "
            f"{multiple} on each side."
        )


def _check_size(call: Arguments, multiple: int) -> None:
    width, height = call.get("width", 0), call.get("height", 0)
    if width % multiple or height % multiple:
        raise SizeInvalid(
            f"`height` and `width` have to be divisible by {multiple} for the loaded model but "
            f"are {height} and {width}."
        )
