"""The `input` of a job, as RunPod's clients write it, to what the runner takes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.errors import FieldInvalid, ImageInvalid
from app.jobs.outbound import Outbound
from app.media.data_url import decode_base64_image
from app.pipelines.base import Params, Pipeline
from app.validation import ignored_fields, params_of

_URL = re.compile(r"\s*(http|(?!data:)[a-z][a-z0-9+.-]{0,30}:)", re.IGNORECASE)
"""How a URL begins, whether it can be called or not: base64 has no colon."""
_ACCEPTED = "a data URL, base64 or an https URL"


@dataclass(frozen=True, slots=True)
class JobInput:
    """What a job is to be made of.

    Attributes:
        params: of the loaded pipeline.
        image: the input image's file, where the pipeline takes one.
        warnings: what the client should know of it.
    """

    params: Params
    image: bytes | None
    warnings: tuple[str, ...]


async def read_input(
    pipeline: Pipeline, given: object, outbound: Outbound, max_bytes: int
) -> JobInput:
    """Read a job's input, fetching its image where that is a URL.

    Args:
        pipeline: the loaded one.
        given: value of `input`: the pipeline's parameters; `image` is a data URL, base64 or an
            https URL.
        outbound: fetches such a URL.
        max_bytes: largest image file.

    Raises:
        BadRequest: what is wrong with the input.
    """
    if not isinstance(given, Mapping):
        raise FieldInvalid("`input` must be an object of parameters.", "input")
    params = params_of(pipeline, given)
    if not pipeline.takes_image:
        return JobInput(params, None, ignored_fields(given, pipeline.params))
    warnings = ignored_fields(given, pipeline.params, also=("image",))
    image = given.get("image")
    if image is not None and not isinstance(image, str):
        raise ImageInvalid(f"`image` must be text: {_ACCEPTED}.")
    if not image or image.isspace():
        raise ImageInvalid(f"`image` is missing: send {_ACCEPTED}.")
    return JobInput(params, await read_image(image, outbound, max_bytes), warnings)


async def read_image(text: str, outbound: Outbound, max_bytes: int) -> bytes:
    """The image file that a data URL or base64 holds, or that an https URL leads to.

    Raises:
        ImageInvalid: there is none, or it is too large.
        UrlRefused: the URL is not one to be called.
    """
    if _URL.match(text):
        return await outbound.image(text.strip(), max_bytes)
    return await asyncio.to_thread(decode_base64_image, text, max_bytes=max_bytes)
