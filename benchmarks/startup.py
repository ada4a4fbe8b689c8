"""How soon the service answers, and how soon the demo model: `python -m benchmarks.startup`.

Both count from the start of the process; the first start of all also compiles Python's files, and
does not count.
"""

from __future__ import annotations

import argparse
import time
import urllib.error
import urllib.request
from pathlib import Path

from benchmarks.targets import DEMO
from benchmarks.verdict import verdict
from tests.server import ServerProcess
from tests.waiting import wait_until


def health(url: str) -> int:
    """The status of /health."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def resident_mib(server: ServerProcess) -> float:
    """Memory of the API process in MiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def start() -> tuple[float, float, float]:
    """Seconds to the first answer and to a ready model, and the memory then."""
    with DEMO.server() as server:
        health(server.url)
        first = time.monotonic() - server.started
        wait_until(lambda: health(server.url) == 200, 600)
        return first, time.monotonic() - server.started, resident_mib(server)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    start()
    first, ready, memory = zip(*(start() for _ in range(options.rounds)), strict=True)
    print(verdict("first answer of /health in s", first, 1, at_least=False))
    print(verdict("demo model ready in s", ready, 8, at_least=False))
    print(verdict("memory of the API process in MiB", memory, 120, at_least=False))


if __name__ == "__main__":
    main()
