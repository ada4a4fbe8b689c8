"""What each accelerator does to the pictures: `python -m benchmarks.quality`.

The demo model paints captions that it was never trained on, with the same seeds under every
setting. Two things are measured: how far the pixels are from those of the plain pipeline, and
how much of what the captions name the checker of `training` finds in the pictures.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch

from app.diffusion.loading import load
from app.errors import ModelNotLoaded
from benchmarks.compare import PLAIN, changes_of, pixel_difference
from benchmarks.core import settings_for
from training.check import Asked, generate, held_out_captions
from training.checker import tabulate

VARIANTS = (
    PLAIN,
    "CHANNELS_LAST",
    "FUSE_QKV",
    "VAE_SLICING",
    "VAE_TILING",
    "QUANTIZE=int8",
    "QUANTIZE=fp8-storage",
    "DEEPCACHE+DEEPCACHE_INTERVAL=2",
    "DEEPCACHE+DEEPCACHE_INTERVAL=3",
    "TORCH_COMPILE",
    "SFAST",
    "BFLOAT16",
)
"""What works on the demo model, a UNet on any device; those not installed are refused."""
GUIDANCE = 3.0


@dataclass(frozen=True, slots=True)
class Quality:
    """One line of the table: the pictures, and what of their captions is to be seen in them.

    Attributes:
        pictures: uint8 RGB, (count, height, width, 3).
        right: share of the things named that the checker found, 0 to 1.
        refusal: why the setting cannot work here; empty if it did.
    """

    pictures: np.ndarray | None = None
    right: float = 0.0
    refusal: str = ""


def judge(name: str, asked: Asked, num_inference_steps: int) -> Quality:
    """Paint the captions under a setting, and check them."""
    try:
        loaded = load(settings_for("text-to-image", "demo", changes_of(name)))
    except ModelNotLoaded as error:
        return Quality(refusal=error.message)
    pictures: list[np.ndarray] = []
    for i, (_, caption) in enumerate(asked):
        loaded.active.reset()
        pictures += generate(
            loaded.pipe, [caption.text], num_inference_steps, GUIDANCE, first_seed=i
        )
    return Quality(np.stack(pictures), tabulate(pictures, asked).rate())


def main() -> None:
    """Print the table, line by line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="SETTING", help=", ".join(VARIANTS))
    parser.add_argument("--captions", type=int, default=40)
    parser.add_argument("--num_inference_steps", type=int, default=20)
    options = parser.parse_args()
    asked = held_out_captions(options.captions)
    first: np.ndarray | None = None
    print("| setting | mean difference | largest difference | checker |")
    print("|---|---|---|---|")
    for name in options.names or VARIANTS:
        torch.compiler.reset()
        quality = judge(name, asked, options.num_inference_steps)
        if quality.pictures is None:
            print(f"| {name} | refused: {quality.refusal} | | |", flush=True)
            continue
        first = quality.pictures if first is None else first
        mean, largest = pixel_difference(first, quality.pictures)
        right = f"{100 * quality.right:.1f} %"
        print(f"| {name} | {mean:.3f} | {largest} | {right} |", flush=True)


if __name__ == "__main__":
    main()
