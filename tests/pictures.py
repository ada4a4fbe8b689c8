"""Pictures as tests send and get them."""

from __future__ import annotations

import base64
import io

from PIL import Image


def picture(width: int = 48, height: int = 40, color: str = "red") -> bytes:
    """A PNG of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, "PNG")
    return buffer.getvalue()


def opened(text: str) -> Image.Image:
    """The picture that is there in base64, by itself or as a data URL."""
    return Image.open(io.BytesIO(base64.b64decode(text.rpartition(",")[2])))
