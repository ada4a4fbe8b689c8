"""Measure a model as it is served: the worker, the queue and the encoders, without HTTP.

Settings of the service are read from the environment, so `SFAST=true python bench.py …` measures
with stable-fast. MODEL_ID may be `random:sd15` and its kin: see `docs/benchmarks.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from app.engine import service
from app.environment import SettingsError
from app.errors import RunnerError
from app.pipelines import PIPELINES
from benchmarks.checks import BadOption
from benchmarks.session import Options, measure


def main() -> int:
    """Run the benchmark that the command line asks for; the process's exit code."""
    options = parse(sys.argv[1:])
    logging.getLogger(service.__name__).setLevel(logging.CRITICAL)  # its errors are told below
    try:
        asyncio.run(measure(options))
    except (BadOption, RunnerError, SettingsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parse(arguments: list[str]) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench.py", description=__doc__)
    add = parser.add_argument
    add("--pipeline", required=True, choices=tuple(PIPELINES), help="what to run")
    add("--model_id", required=True, help="the model, or random:sd15 and its kin")
    add("--runs", type=_positive, default=1, help="how often to measure (default 1)")
    add("--batch_size", type=_positive, default=1, help="outputs per run (default 1)")
    add("--num_inference_steps", type=int, default=0, help="default: the model's own")
    add("--size", type=_size, help="WIDTHxHEIGHT in pixels; default: the model's own")
    add("--json", type=Path, metavar="FILE", help="write everything that was measured")
    add("--plot", type=Path, metavar="FILE.svg", help="draw a picture of it")
    add("--compare", type=_names, default=(), metavar="A,B,…", help=_COMPARE)
    add("--load", type=_positive, default=0, metavar="N", help="also N clients at once")
    add("--requests", type=_positive, default=0, help="of the load (default 4 per client)")
    add("--baseline", action="store_true", help="take turns with a plain diffusers loop")
    add("--roof", action="store_true", help="count the arithmetic and measure the device's limit")
    return Options(**vars(parser.parse_args(arguments)))


_COMPARE = "settings side by side: plain,SFAST,QUANTIZE=int8+CHANNELS_LAST"


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError("write width and height in pixels, as in 768x512")
    return _positive(width), _positive(height)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
