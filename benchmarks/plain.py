"""The loop that everybody writes first: diffusers, one request after another, no service.

Run by `benchmarks.baseline`: reads one JSON line with the model, then one per request, and
answers each with a line.
"""

from __future__ import annotations

import json
import sys
import time

import torch

from app.diffusion.accelerators.catalogue import CATALOGUE
from app.diffusion.loading import LoadedPipeline, load
from app.pipelines import PIPELINES
from app.settings import Settings
from benchmarks.work import Work, input_image, params_of


def main() -> None:
    """Load the model without accelerators, then make each request that comes in."""
    settings = Settings(**json.loads(sys.stdin.readline()) | _switched_off())
    loaded = load(settings)
    _answer(0.0)
    for line in sys.stdin:
        start = time.perf_counter()
        _generate(loaded, settings.pipeline, Work(**json.loads(line)))
        _answer(time.perf_counter() - start)


def _switched_off() -> dict[str, object]:
    """Every accelerator's setting at its default, whatever the environment says."""
    names = (row.name.lower() for row in CATALOGUE)
    return {name: Settings.model_fields[name].default for name in names}


def _answer(seconds: float) -> None:
    print(json.dumps({"seconds": seconds}), flush=True)


def _generate(loaded: LoadedPipeline, pipeline: str, work: Work) -> None:
    """Make the images, as Pillow images in memory."""
    kind = PIPELINES[pipeline]
    arguments = kind.arguments(params_of(pipeline, work))
    image = input_image(work) if kind.takes_image else None
    if image is not None:
        arguments["image"] = image
    own_size = image.size if image is not None and "width" not in arguments else None
    call, _ = loaded.prepare(arguments, own_size)
    seeds = range(work.seed, work.seed + work.images)
    generators = [torch.Generator(loaded.device).manual_seed(seed) for seed in seeds]
    loaded.pipe(**call, generator=generators if len(generators) > 1 else generators[0])


if __name__ == "__main__":
    main()
