"""Draws many pictures on one sheet: ``python -m training.contact_sheet sheet.png``.

Without ``--model`` the renderer draws, with it the model draws the same captions.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from training.check import generate, held_out_captions, load_pipeline, rendered
from training.measure import Picture


def sheet(pictures: list[Picture], columns: int) -> Image.Image:
    """Put pictures of one size side by side, ``columns`` in a row."""
    full = len(pictures) // columns * columns
    rows = [np.concatenate(pictures[i : i + columns], axis=1) for i in range(0, full, columns)]
    return Image.fromarray(np.concatenate(rows, axis=0))


def main() -> None:
    """Draw the sheet and print its captions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--count", type=int, default=32)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--guidance", type=float, default=3.0)
    options = parser.parse_args()
    asked = held_out_captions(options.count)
    if options.model is None:
        pictures = rendered(asked)
    else:
        captions = [caption.text for _, caption in asked]
        pipeline = load_pipeline(options.model)
        pictures = list(generate(pipeline, captions, options.steps, options.guidance))
    sheet(pictures, options.columns).save(options.output)
    for number, (_, caption) in enumerate(asked):
        print(number, caption.text)


if __name__ == "__main__":
    main()
