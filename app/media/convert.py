"""From a stored PNG to the format that a client asks for."""

from __future__ import annotations

from pathlib import Path

from app.media.formats import Encoding, ImageFormat

NO_LIMIT = 2**31
"""Our own files need no limit of pixels."""


def convert_png(path: Path, image_format: ImageFormat) -> bytes:
    """Read a PNG of ours and encode it anew.

    Raises:
        FileNotFoundError: it was removed in the meantime.
    """
    from app.media.decode import decode_image  # brings NumPy, for which the start need not wait

    return Encoding(image_format).encode(decode_image(path.read_bytes(), max_pixels=NO_LIMIT))
