"""Time and size of encoders and decoders against the usual ones: `python -m benchmarks.codecs`.

Every line of a table is measured in turn within each round, so that a busy machine slows all of
them alike, and the ratios are to the first line.
"""

from __future__ import annotations

import argparse
import base64
import importlib
import importlib.util
import statistics
import time
from collections.abc import Callable
from functools import partial
from io import BytesIO

import numpy as np
from PIL import Image

from app.media.data_url import to_data_url
from app.media.decode import decode_image
from app.media.jpeg_webp import encode_jpeg, encode_webp
from app.media.malloc import keep_freed_memory
from app.media.mp4 import encode_mp4
from app.media.pixels import Pixels
from app.media.png import encode_png

Candidates = dict[str, Callable[[], bytes | str | int]]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1024, help="side of the stills (1024)")
    parser.add_argument("--runs", type=int, default=15, help="rounds of each table (15)")
    options = parser.parse_args()
    keep_freed_memory()  # as the service does
    photo = photo_like(options.size, options.size)
    noise = np.random.default_rng(0).integers(0, 256, photo.shape, np.uint8)
    for name, pixels in {"photo-like": photo, "noise": noise}.items():
        report(f"{name} {options.size}x{options.size}", stills(pixels), options.runs)
        report("the same as a PNG that Pillow made", readers(by_pillow(pixels)), options.runs)
    report("25 frames of 1024x576", clips(pan(25, 576, 1024)), min(options.runs, 3))
    report("base64 of 2 MB", texts(np.random.default_rng(0).bytes(2_000_000)), options.runs)


def photo_like(height: int, width: int) -> Pixels:
    """Return smooth gradients with blotches and a little grain."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    waves = [x / 190 + y / 310, x / 150 - y / 270, (x + y) / 230]
    smooth = np.stack([115 + 80 * np.sin(wave) for wave in waves], -1)
    cells = rng.normal(0, 4, (height // 4 + 1, width // 4 + 1, 1))
    blotches = cells.repeat(4, 0).repeat(4, 1)[:height, :width]
    grain = rng.normal(0, 2.5, (height, width, 1)) + rng.normal(0, 1, (height, width, 3))
    return np.clip(smooth + blotches + grain, 0, 255).astype(np.uint8)


def pan(count: int, height: int, width: int) -> Pixels:
    """Return a clip whose window moves over one still."""
    still = photo_like(height + count, width + 2 * count)
    return np.stack([still[n : n + height, 2 * n : 2 * n + width] for n in range(count)])


def stills(pixels: Pixels) -> Candidates:
    """Return the encoders of one image."""
    pillow = partial(by_pillow, pixels)
    candidates: Candidates = {
        "encode_png": partial(encode_png, pixels),
        "Pillow PNG": pillow,
        "Pillow PNG level 1": partial(pillow, compress_level=1),
        "Pillow PNG level 1 RLE": partial(pillow, compress_level=1, compress_type=3),
        "encode_jpeg q95": partial(encode_jpeg, pixels),
        "encode_webp q80": partial(encode_webp, pixels),
    }
    if importlib.util.find_spec("cv2"):
        candidates["OpenCV PNG"] = partial(by_opencv, pixels)
    return candidates


def readers(data: bytes) -> Candidates:
    """Return the decoders of one file; their result is the size of the pixels."""
    return {
        "decode_image": lambda: decode_image(data, max_pixels=2**31).nbytes,
        "Pillow": lambda: np.asarray(Image.open(BytesIO(data))).nbytes,
    }


def clips(frames: Pixels) -> Candidates:
    """Return the ways to send a clip."""
    return {
        "encode_mp4": partial(encode_mp4, frames, fps=7),
        "encode_png, each": lambda: sum(len(encode_png(frame)) for frame in frames),
        "Pillow PNG, each": lambda: sum(len(by_pillow(frame)) for frame in frames),
    }


def texts(data: bytes) -> Candidates:
    """Return the ways to write base64."""
    return {
        "to_data_url": lambda: to_data_url(data, "image/png"),
        "standard library": lambda: "data:image/png;base64," + base64.b64encode(data).decode(),
    }


def by_pillow(pixels: Pixels, **options: int) -> bytes:
    """Encode with Pillow's PNG writer."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


def by_opencv(pixels: Pixels) -> bytes:
    """Encode with OpenCV's PNG writer at its defaults."""
    cv2 = importlib.import_module("cv2")
    return bytes(cv2.imencode(".png", pixels[..., ::-1])[1])


def report(title: str, candidates: Candidates, runs: int) -> None:
    """Measure the candidates and print one table."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    sizes: dict[str, int] = {}
    for _ in range(runs + 1):
        for name, encode in candidates.items():
            start = time.perf_counter()
            result = encode()
            seconds[name].append(time.perf_counter() - start)
            sizes[name] = result if isinstance(result, int) else len(result)
    # The first round warms up.
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    time_unit, size_unit = next(iter(medians.values())), next(iter(sizes.values()))
    print(f"\n{title} ({runs} runs)\n{'':24}{'ms':>10}{'ratio':>8}{'kB':>10}{'ratio':>8}")
    for name, median in medians.items():
        size = sizes[name]
        print(
            f"{name:24}{median * 1e3:10.2f}{median / time_unit:8.2f}"
            f"{size / 1e3:10.1f}{size / size_unit:8.2f}"
        )


if __name__ == "__main__":
    main()
