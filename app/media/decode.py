"""Untrusted uploads to pixels: everything that is not plainly one still picture is refused.

PNG, JPEG, WebP and BMP are read. The file's signature picks the one Pillow plugin that sees it, and
its header's size is checked before anything of that size is allocated. Not read, on purpose: GIF
(Pillow allocates a frame while it opens the file, before its size can be checked), TIFF
(several pages, dozens of encodings), HEIC and AVIF.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from app.errors import ImageInvalid
from app.media.appearance import as_shown
from app.media.parts import check_jpeg, check_png
from app.media.png_file import SIGNATURE
from app.media.png_read import quick_pixels

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

    from app.media.pixels import Pixels

_REMEDY = "send one still picture as PNG, JPEG, WebP or BMP."

# A progressive JPEG takes about ten scans. Each costs a pass over all pixels but only some forty
# bytes, so that a few megabytes of them would keep a core busy for minutes.
_JPEG_SCAN = b"\xff\xda"
_MAX_JPEG_SCANS = 100

_PNG_BIT_DEPTH = 24  # where IHDR keeps it


@dataclass(frozen=True, slots=True)
class ImageUpload:
    """An image file whose header has been read and found good; to be decoded once."""

    _image: ImageFile
    _data: bytes

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as it is stored, in pixels; a viewer may show it turned."""
        return self._image.size

    def pixels(self) -> Pixels:
        """Decode it into a C-contiguous (height, width, 3) uint8 RGB array.

        The picture comes out as a viewer shows it: turned upright by its EXIF orientation,
        converted to sRGB by its ICC profile (a broken or mismatched one is ignored), CMYK and grey
        widened to RGB, 16 bits a sample scaled to 8, transparency laid over white. A phone's
        multi-picture JPEG gives its first picture.

        Raises:
            ImageInvalid: it is damaged. Nothing else is raised.
        """
        image, data = self._image, self._data
        with _explaining():
            quick = quick_pixels(image, data) if isinstance(image, PngImageFile) else None
            stored = _load(image, data) if quick is None else _with_info_of(image, quick)
            shown = as_shown(stored)
            if quick is not None and shown is stored:
                return quick  # nothing was to be done to it: two copies less
            return np.asarray(shown)


def open_image(data: bytes, *, max_pixels: int) -> ImageUpload:
    """Read the header of an image file, before anything of the size that it claims is allocated.

    Args:
        data: the file's bytes.
        max_pixels: the largest width times height that is accepted.

    Raises:
        ImageInvalid: the bytes are not one still image of an accepted format and size. Nothing
            else is raised.
    """
    plugin = _plugin(data)
    with _explaining():
        image = plugin(BytesIO(data))
        _check_size(image.size, max_pixels)
        _check_still(image)
        _check_coding(image)
        return ImageUpload(image, data)


def decode_image(data: bytes, *, max_pixels: int) -> Pixels:
    """Read and decode an image file; see `open_image` and `ImageUpload.pixels`."""
    return open_image(data, max_pixels=max_pixels).pixels()


@contextmanager
def _explaining() -> Iterator[None]:
    """Around work with a decoder, which may raise anything on bytes made to break it."""
    try:
        yield
    except ImageInvalid:
        raise
    except Exception as cause:
        raise _explain(cause) from cause


def _plugin(data: bytes) -> Callable[[BytesIO], ImageFile]:
    """Return the reader for the file's signature."""
    if not data:
        raise ImageInvalid(f"The image is empty: {_REMEDY}")
    if data.startswith(SIGNATURE):
        check_png(data)
        return PngImageFile
    if data.startswith(b"\xff\xd8\xff"):
        _check_scans(data)
        check_jpeg(data)
        return JpegImageFile
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WebPImageFile
    if data.startswith(b"BM"):
        return BmpImageFile
    raise ImageInvalid(f"{_describe(data)}: {_REMEDY}")


def _describe(data: bytes) -> str:
    """Say what a refused file seems to be."""
    if data.startswith(b"GIF8"):
        return "GIF images are not accepted"
    if data.startswith((b"II*\0", b"MM\0*")):
        return "TIFF images are not accepted"
    if data[4:8] == b"ftyp":
        return "HEIC, AVIF and video files are not accepted"
    return "The file is not an image of a known format"


def _check_scans(data: bytes) -> None:
    if data.count(_JPEG_SCAN) > _MAX_JPEG_SCANS:
        raise ImageInvalid(
            f"The JPEG has more than {_MAX_JPEG_SCANS} scans: save it as a baseline JPEG or a PNG."
        )


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ImageInvalid(f"The image has no pixels ({width}x{height}): {_REMEDY}")
    if width * height > max_pixels:
        raise ImageInvalid(
            f"The image is too large: {width}x{height} is more than {max_pixels} pixels "
            "(MAX_UPLOAD_PIXELS); scale it down."
        )


def _check_still(image: ImageFile) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise ImageInvalid(f"The image is animated ({frames} frames): {_REMEDY}")


def _check_coding(image: ImageFile) -> None:
    """Pillow undoes a BMP's run lengths in Python; some files have millions that say nothing."""
    if image.tile and image.tile[0][0] == "bmp_rle":
        raise ImageInvalid("The BMP is compressed: save it as a PNG.")


def _load(image: ImageFile, data: bytes) -> Image.Image:
    image.load()
    _rescale_transparent_colour(image, data)
    return image


def _with_info_of(image: ImageFile, pixels: Pixels) -> Image.Image:
    """A picture of `pixels` with what the header of `image` says about them."""
    picture = Image.fromarray(pixels)
    picture.info = image.info
    return picture


def _rescale_transparent_colour(image: ImageFile, data: bytes) -> None:
    """Bring a PNG's transparent colour to 8 bits, as Pillow does with the pixels only."""
    transparent = image.info.get("transparency")
    if not isinstance(image, PngImageFile) or transparent is None:
        return
    depth = data[_PNG_BIT_DEPTH]
    if image.mode == "L" and depth < 8:
        image.info["transparency"] = transparent * 255 // (2**depth - 1)
    elif image.mode == "RGB" and depth == 16:
        image.info["transparency"] = tuple(sample >> 8 for sample in transparent)


def _explain(cause: Exception) -> ImageInvalid:
    """Say in a client's words why a decoder gave up."""
    reason = str(cause).lower()
    if "truncated" in reason:
        return ImageInvalid("The image is truncated: the file ends early; send all of it.")
    if "text chunk" in reason or "decompressed data too large" in reason:
        return ImageInvalid("The image carries too much metadata: save it without.")
    return ImageInvalid(f"The image is damaged or of an unusual kind and cannot be read: {_REMEDY}")
