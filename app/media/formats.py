"""The image formats that clients may choose between, under one function."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.media.pixels import Pixels


class ImageFormat(StrEnum):
    """A file format of still images."""

    PNG = "png"
    JPEG = "jpeg"
    WEBP = "webp"

    @property
    def media_type(self) -> str:
        """Its MIME type."""
        return f"image/{self.value}"


@dataclass(frozen=True, slots=True)
class Encoding:
    """How images are to be written.

    Attributes:
        format: of the files.
        quality: 1 (smallest) to 100 (best) of JPEG and WebP; None for the encoder's own choice.
    """

    format: ImageFormat = ImageFormat.PNG
    quality: int | None = None

    def encode(self, pixels: Pixels, text: Mapping[str, str] | None = None) -> bytes:
        """Encode (height, width, 3) uint8 RGB; PNGs carry `text` (see `encode_png`)."""
        from app.media.jpeg_webp import encode_jpeg, encode_webp  # the start need not wait
        from app.media.png import encode_png

        if self.format is ImageFormat.PNG:
            return encode_png(pixels, text=text)
        encode = encode_jpeg if self.format is ImageFormat.JPEG else encode_webp
        return encode(pixels) if self.quality is None else encode(pixels, self.quality)


LOSSLESS = Encoding()
"""PNG: what every protocol gives to clients that ask for nothing else."""
