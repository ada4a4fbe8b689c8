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
    taken = []
    for _ in range(12):
        before = pages()
        pixels = await pool.run(lambda: decode_image(file.getvalue(), max_pixels=1024 * 1024))
        await pool.run(LOSSLESS.encode, pixels)
        taken.append(pages() - before)
    pool.close()
    print(min(taken[-6:]))  # some depend on which thread was faster

asyncio.run(main())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="elsewhere nothing is changed")
def test_a_picture_takes_its_memory_from_the_one_before() -> None:
    command = [sys.executable, "-c", COUNT_NEW_PAGES]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert int(answer.stdout) < 300  # of 4 KB; left alone glibc takes 780 to 2,200 a picture


WATCH_A_REST = """
import asyncio, os, sys
from pathlib import Path
from app.media.pool import CodecPool

def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") >> 20

async def main():
    pool = CodecPool(1, idle=0.01)
    pieces = [b"x" * (1 << 20) for _ in range(200)]
    last = pieces[-1]
    del pieces
    before = resident_mib()
    await pool.run(len, last)
    while resident_mib() > before - 120:
        await asyncio.sleep(0.01)
    pool.close()

asyncio.run(asyncio.wait_for(main(), 60))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="elsewhere nothing is changed")
def test_memory_of_many_pictures_is_given_back_after_a_while() -> None:
    command = [sys.executable, "-c", WATCH_A_REST]
    subprocess.run(command, check=True, timeout=120)
