"""The most that this device does: large matrix products, `python -m benchmarks.roof`.

Prints one JSON line, `{"flops_per_second": …}`. It runs in a process of its own, so that what
it allocates is not counted with the model's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

import torch

SIDES = {"cuda": (4096, 8192, 12288), "cpu": (1024, 2048)}
"""Sides of the square matrices that are tried; the fastest counts."""
REPEATS = 10


def measure(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP per second of the fastest matrix product."""
    sides = SIDES.get(device.type, SIDES["cpu"])
    return max(2 * side**3 / _seconds(side, device, dtype) for side in sides)


def _seconds(side: int, device: torch.device, dtype: torch.dtype) -> float:
    """Shortest of a few products' times."""
    matrix = torch.randn(side, side, device=device, dtype=dtype)
    times = []
    for _ in range(REPEATS):
        _synchronize(device)
        start = time.perf_counter()
        _ = matrix @ matrix
        _synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


async def roof(device: str, dtype: str) -> float:
    """FLOP per second of the device, measured in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.roof", "--device", device, "--dtype", dtype),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return float(json.loads(output)["flops_per_second"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="bfloat16")
    options = parser.parse_args()
    rate = measure(torch.device(options.device), getattr(torch, options.dtype))
    print(json.dumps({"flops_per_second": rate}))


if __name__ == "__main__":
    main()
