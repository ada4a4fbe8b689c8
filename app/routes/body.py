"""Files as the generating routes word them."""

from __future__ import annotations

import pybase64

from app.engine.encoding import File, Output
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


def link(file: File) -> dict[str, object]:
    """The address of a file, or a data URL, which has no character that JSON escapes."""
    kind, data = file.media_type.encode(), file.data
    return {"url": file.url or Verbatim(b"data:%b;base64,%b" % (kind, pybase64.b64encode(data)))}


def facts(file: File) -> dict[str, object]:
    """What made it, and what it shows."""
    return {"seed": file.seed, "nsfw": file.nsfw}


def _media(file: File) -> dict[str, object]:
    return link(file) | facts(file)
