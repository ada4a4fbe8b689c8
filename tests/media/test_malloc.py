"""What one picture leaves behind is there for the next."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

COUNT_NEW_PAGES = """
import asyncio, io, resource
from PIL import Image
from app.media.decode import decode_image
from app.media.formats import LOSSLESS
from app.media.pool import CodecPool

file = io.BytesIO()
Image.effect_noise((1024, 1024), 50).convert("RGB").save(file, "PNG")

def pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

async def main():
    pool = CodecPool(2)
    for _ in range(6):
        before = pages()
        pixels = await pool.run(lambda: decode_image(file.getvalue(), max_pixels=1024 * 1024))
        await pool.run(LOSSLESS.encode, pixels)
        taken = pages() - before
    pool.close()
    print(taken)

asyncio.run(main())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="elsewhere nothing is changed")
def test_a_picture_takes_its_memory_from_the_one_before() -> None:
    command = [sys.executable, "-c", COUNT_NEW_PAGES]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert int(answer.stdout) < 300  # of 4 KB; left alone glibc takes 780 to 2,200 a picture
