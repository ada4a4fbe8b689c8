"""The documents of the generating routes."""

from __future__ import annotations

from app.engine.runner import File, Output
from app.media.data_url import to_data_url
from app.routes.json_body import Verbatim


def document(output: Output) -> dict[str, object]:
    """A `VideoResponse` where there are frames, else an `ImageResponse`."""
    images = [_media(file) for file in output.images]
    if not output.frames:
        return {"images": images}
    return {
        "frames": [[_media(file) for file in video] for video in output.frames],
        "images": images,
    }


def _media(file: File) -> dict[str, object]:
    """A `Media`; a data URL has no character that JSON escapes."""
    url = file.url or Verbatim(to_data_url(file.data, file.media_type), "ascii")
    return {"url": url, "seed": file.seed, "nsfw": file.nsfw}
