"""The `output` of a finished job, as RunPod's clients read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pybase64

from app.engine.encoding import File
from app.media.data_url import to_data_url
from app.schemas import warning_headers


def job_output(files: Sequence[File], warnings: Sequence[str] = ()) -> dict[str, Any]:
    """What a job made, as JSON: the first file in `body`, all of them in `images` if several.

    Files that are fetched by URL are in `images` only.

    Args:
        files: images, or the mp4 of a video; at least one.
        warnings: what the client should know of them; a `Warning` header if there are any.
    """
    first = files[0]
    output: dict[str, Any] = {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json", **warning_headers(warnings)},
        "content_type": first.media_type,
        "seed": first.seed,
        "nsfw": first.nsfw,
    }
    if not first.url:
        output["body"] = pybase64.b64encode_as_string(first.data)
    if first.url or len(files) > 1:
        output["images"] = [_image(file) for file in files]
    return output


def _image(file: File) -> dict[str, Any]:
    url = file.url or to_data_url(file.data, file.media_type)
    return {"url": url, "seed": file.seed, "nsfw": file.nsfw}
