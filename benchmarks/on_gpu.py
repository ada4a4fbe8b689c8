"""All that is wanted of a GPU, the most wanted first: `python -m benchmarks.on_gpu`.

Each measurement is a process of its own with a time limit, and what it found is in the file as
soon as it is over. What the file has is not measured again, but for what failed, when all else
is done: so a machine that is lent for minutes at a time gets further with each call.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu_plan import FULL, Measurement, Model, plan
from tests import checkpoints

TAIL = 3_000
"""Characters of a process's last words that are kept."""

Found = dict[str, Any]


def measure(it: Measurement, limit: float) -> Found:
    """Run it; what it found, and its last words."""
    with tempfile.TemporaryDirectory() as folder:
        report, log = Path(folder, "report.json"), Path(folder, "log")
        more = ("--json", str(report)) if it.command[0] == "bench.py" else ()
        settings = [f"{name}={value}" for name, value in it.environment]
        start = time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(
                ("env", *settings, sys.executable, *it.command, *more),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            code = _wait(process, limit)
        return {
            "code": code,
            "seconds": round(time.monotonic() - start, 1),
            "command": " ".join(it.command),
            "environment": dict(it.environment),
            "report": json.loads(report.read_text()) if report.exists() else None,
            "output": log.read_text("utf-8", "replace")[-TAIL:],
        }


def _wait(process: subprocess.Popen[bytes], limit: float) -> int:
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with the workers that it started
        return process.wait()


def left_to_do(measurements: list[Measurement], done: dict[str, Found]) -> list[Measurement]:
    """What was never tried, and behind it what failed."""
    failed = [it for it in measurements if done.get(it.name, {}).get("code", 0)]
    return [*(it for it in measurements if it.name not in done), *failed]


def tiny_models() -> tuple[Model, ...]:
    """Models for a CPU, which show that everything runs; made where they are not yet."""
    folder = Path(tempfile.gettempdir(), "benchmarks-on-gpu")
    environment = (("MODEL_DIR", str(folder)), ("TORCH_COMPILE_BACKEND", "eager"))
    size = ("--size", "64x64", "--num_inference_steps", "2")
    sd, flux = (checkpoints.make(family, folder) for family in ("sd", "flux"))
    return (
        Model(sd, ("CUDA_GRAPHS", "CHANNELS_LAST"), 90, size, loads=(4,), environment=environment),
        Model(flux, ("FUSE_QKV",), 90, size, loads=(), environment=environment),
    )


def main() -> None:
    """Do what is not done yet, for as long as there is time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="read and added to")
    parser.add_argument("--seconds", type=float, default=570, help="for all of it")
    parser.add_argument("--plan", action="store_true", help="only say what is left to do")
    parser.add_argument("--tiny", action="store_true", help="tiny models, for a CPU")
    options = parser.parse_args()
    done = json.loads(options.out.read_text("utf-8")) if options.out.exists() else {}
    todo = left_to_do(plan(tiny_models() if options.tiny else FULL), done)
    if options.plan:
        show(todo)
        return
    end = time.monotonic() + options.seconds
    for it in todo:
        left = end - time.monotonic()
        if left < it.seconds:
            print(f"{it.name}: {left:.0f} s are left, it takes about {it.seconds:.0f}: later")
            continue
        done[it.name] = found = measure(it, min(left, 2 * it.seconds))
        options.out.write_text(json.dumps(done, indent=1) + "\n", "utf-8")
        print(f"{it.name}: code {found['code']} after {found['seconds']} s", flush=True)


def show(todo: list[Measurement]) -> None:
    """Print commands and times."""
    for it in todo:
        settings = "".join(f"{name}={value} " for name, value in it.environment)
        print(f"{it.name}, about {it.seconds:.0f} s: {settings}python {' '.join(it.command)}")
    print(f"about {sum(it.seconds for it in todo) / 60:.0f} minutes in all, estimated")


if __name__ == "__main__":
    main()
