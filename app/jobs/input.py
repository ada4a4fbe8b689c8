"""The `input` of a job, as RunPod's clients write it, to what the runner takes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

from app.errors import FieldInvalid, ImageInvalid
from app.jobs.outbound import Outbound
from app.media.data_url import decode_base64_image
from app.pipelines.base import Params, Pipeline
from app.validation import params_of

_URL = re.compile(r"\s*(http|(?!data:)[a-z][a-z0-9+.-]{0,30}:)", re.IGNORECASE)
"""How a URL begins, whether it can be called or not: base64 has no colon."""
_ACCEPTED = "a data URL, base64 or an https URL"


async def read_input(
    pipeline: Pipeline, given: object, outbound: Outbound, max_bytes: int
) -> tuple[Params, bytes | None]:
    """The parameters of a job, and the file of its image where the pipeline takes one.

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
        return params, None
    image = given.get("image")
    if image is not None and not isinstance(image, str):
        raise ImageInvalid(f"`image` must be text: {_ACCEPTED}.")
    if not image or image.isspace():
        raise ImageInvalid(f"`image` is missing: send {_ACCEPTED}.")
    return params, await read_image(image, outbound, max_bytes)


async def read_image(text: str, outbound: Outbound, max_bytes: int) -> bytes:
    """The image file that a data URL or base64 holds, or that an https URL leads to.

    Raises:
        ImageInvalid: there is none, or it is too large.
        UrlRefused: the URL is not one to be called.
    """
    if _URL.match(text):
        return await outbound.image(text.strip(), max_bytes)
    return await asyncio.to_thread(decode_base64_image, text, max_bytes=max_bytes)
