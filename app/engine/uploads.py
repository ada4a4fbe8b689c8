"""From an uploaded file to the pixels that a job starts from, within bounds of memory."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING

from app.engine.admission import Admission
from app.errors import Overloaded
from app.media.pool import CodecPool
from app.settings import Settings

if TYPE_CHECKING:
    import numpy as np

    from app.media.decode import ImageUpload


UPLOADS_AT_ONCE = 8
"""Images that wait to be decoded may together be as large as this many of the largest."""


class Uploads:
    """Decodes uploads in the codec pool. Belongs to the event loop's thread.

    Those beyond MAX_PIXELS take turns: on its way one of 50 million pixels takes up to a gigabyte.
    """

    def __init__(self, settings: Settings, admission: Admission, codecs: CodecPool) -> None:
        self._settings = settings
        self._admission = admission
        self._codecs = codecs
        self._waiting_bytes = 0
        self._large = asyncio.Lock()

    async def read(self, upload: bytes, size: tuple[int, int] | None) -> np.ndarray:
        """Decode an upload to (height, width, 3) uint8 RGB of a size that is worked on.

        Args:
            upload: the file's bytes.
            size: (width, height) to bring it to; None for what suits the model.

        Raises:
            BadRequest: what is wrong with it.
            Overloaded: too many wait to be decoded.
        """
        self._waiting_bytes += len(upload)
        try:
            if self._waiting_bytes > UPLOADS_AT_ONCE * self._settings.max_upload_bytes:
                raise Overloaded("too many large images arrive at once.", retry_after=1)
            image = await self._codecs.run(self._open, upload)
            async with self._turn(image):
                return await self._codecs.run(self._pixels, image, size)
        finally:
            self._waiting_bytes -= len(upload)

    def _turn(self, image: ImageUpload) -> AbstractAsyncContextManager[object]:
        width, height = image.size
        return self._large if width * height > self._settings.max_pixels else nullcontext()

    # These run in the codec pool's threads, which import NumPy and Pillow when they are first
    # needed: the service answers /health before it has them.

    def _open(self, upload: bytes) -> ImageUpload:
        from app.media.decode import open_image

        return open_image(upload, max_pixels=self._settings.max_upload_pixels)

    def _pixels(self, image: ImageUpload, size: tuple[int, int] | None) -> np.ndarray:
        from app.media.resize import cover, resize

        if size:
            self._admission.check_size(*size)
            return cover(image.pixels(), *size)
        pixels = image.pixels()
        height, width, _ = pixels.shape  # upright, which the file's own size may not be
        return resize(pixels, *self._admission.image_size(width, height))
