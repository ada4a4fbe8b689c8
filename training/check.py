"""Checks a text-to-image model on captions it was never trained on, and prints the table.

``python -m training.check --model demo/image --captions 200 --steps 8``
"""

import argparse
import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from training.captions import Caption, write_caption
from training.checker import Table, tabulate
from training.landscapes import render
from training.measure import Picture
from training.scene import Scene, sample_held_out_scene

Asked = list[tuple[Scene, Caption]]
SEED = 11


def held_out_captions(count: int, seed: int = SEED) -> Asked:
    """Return ``count`` complete captions of held-out attribute combinations."""
    rng = random.Random(seed)
    scenes = [sample_held_out_scene(rng) for _ in range(count)]
    return [(scene, write_caption(scene, rng, complete=True)) for scene in scenes]


def load_pipeline(folder: Path) -> StableDiffusionPipeline:
    """Load the model in single precision for the processor."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generate(
    pipeline: StableDiffusionPipeline, captions: list[str], steps: int, guidance: float,
    negative: str = "", first_seed: int = 0,
) -> Iterator[Picture]:  # fmt: skip
    """Make one picture a caption, each from its own seed."""
    for start in range(0, len(captions), 8):
        batch = captions[start : start + 8]
        seeds = range(first_seed + start, first_seed + start + len(batch))
        result = pipeline(
            batch,
            negative_prompt=[negative] * len(batch),
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            output_type="np",
        )
        for picture in result.images:
            yield (picture * 255).round().astype(np.uint8)


def rendered(asked: Asked) -> list[Picture]:
    """Return the renderer's own pictures of what the captions say."""
    return [render(scene, 70_000 + index) for index, (scene, _) in enumerate(asked)]


def validate_checker(asked: Asked) -> tuple[Table, Table]:
    """Check the checker: on true pictures, and on the true pictures of other captions."""
    truth = rendered(asked)
    shifted = truth[1:] + truth[:1]
    return tabulate(truth, asked), tabulate(shifted, asked)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("demo/image"))
    parser.add_argument("--captions", type=int, default=200)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--guidance", type=float, default=3.0)
    options = parser.parse_args()
    asked = held_out_captions(options.captions)
    truth, others = validate_checker(asked)
    print(f"checker on rendered pictures: {100 * truth.rate():.1f} % right")
    print(
        f"checker on pictures of other captions: {100 * others.rate():.1f} % right, "
        f"{100 * others.perfect / others.pictures:.1f} % of the captions entirely"
    )
    pipeline = load_pipeline(options.model)
    start = time.monotonic()
    captions = [caption.text for _, caption in asked]
    pictures = list(generate(pipeline, captions, options.steps, options.guidance))
    seconds = (time.monotonic() - start) / len(captions)
    print(f"{options.steps} steps, guidance {options.guidance}, {seconds:.2f} s a picture\n")
    print("\n".join(tabulate(pictures, asked).lines()))


if __name__ == "__main__":
    main()
