"""Files for requests that take a picture."""

from __future__ import annotations

import io

from PIL import Image


def picture(width: int = 48, height: int = 40, color: str = "red") -> bytes:
    """A PNG of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, "PNG")
    return buffer.getvalue()
