"""What becomes of an upload before there is a job."""

from __future__ import annotations

import asyncio
import io
import threading
import time

import numpy as np
import pytest
from PIL import Image

from app.engine.admission import Admission
from app.engine.uploads import Uploads
from app.media.decode import ImageUpload
from app.media.pool import CodecPool
from app.settings import Settings
from tests.conftest import MakeSettings
from tests.pictures import picture


def read(settings: Settings, *files: bytes) -> list[np.ndarray]:
    """The pixels of uploads that come at once."""

    async def main() -> list[np.ndarray]:
        codecs = CodecPool(threads=4)
        uploads = Uploads(settings, Admission(settings), codecs)
        try:
            return await asyncio.gather(*(uploads.read(file, None) for file in files))
        finally:
            codecs.close()

    return asyncio.run(main())


def test_no_more_is_worked_on_than_may_be_generated(make_settings: MakeSettings) -> None:
    settings = make_settings(pipeline="image-to-video", max_pixels=10_000)
    large, small = read(settings, picture(400, 300), picture(100, 100))
    assert large.shape == (86, 115, 3)
    assert small.shape == (100, 100, 3)


def test_a_photo_taken_upright_keeps_its_proportions(make_settings: MakeSettings) -> None:
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.new("RGB", (400, 300)).save(file, "JPEG", exif=exif)
    (pixels,) = read(make_settings(pipeline="image-to-image", max_pixels=10_000), file.getvalue())
    assert pixels.shape == (112, 80, 3)


@pytest.mark.parametrize(("max_pixels", "in_turns"), [(256, True), (4096, False)])
def test_large_ones_are_decoded_in_turns(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, max_pixels: int, in_turns: bool
) -> None:
    together, most, gate = 0, 0, threading.Lock()

    def pixels(_: ImageUpload) -> np.ndarray:
        nonlocal together, most
        with gate:
            together += 1
            most = max(most, together)
        time.sleep(0.1)
        with gate:
            together -= 1
        return np.zeros((40, 48, 3), np.uint8)

    monkeypatch.setattr(ImageUpload, "pixels", pixels)
    settings = make_settings(pipeline="image-to-image", max_pixels=max_pixels)
    read(settings, *[picture(48, 40)] * 4)
    assert (most == 1) is in_turns
