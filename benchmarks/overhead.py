"""What HTTP costs under load: `python -m benchmarks.overhead`.

Eight clients generate with the demo model while another one asks /health twenty times a second.
Its 99th percentile is to stay below 50 ms, and the eight together are to be no slower than a
bare diffusers loop without a server.
"""

from __future__ import annotations

import argparse
import threading
from statistics import quantiles

from benchmarks.http_clients import Client, together
from benchmarks.targets import DEMO, plain_loop
from benchmarks.verdict import verdict
from benchmarks.work import Work

CLIENTS, REQUESTS, STEPS = 8, 24, 10
PACE = 0.05
"""Seconds between two questions after the health."""


def health_times(url: str, stop: threading.Event, times: list[float]) -> None:
    """Ask /health until told to stop."""
    client = Client(url)
    while not stop.wait(PACE):
        times.append(client.health())
    client.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    works = [Work(128, 128, STEPS, seed=i) for i in range(REQUESTS)]
    ratios, times = [], list[float]()
    with DEMO.server() as server, plain_loop(DEMO) as plain_seconds:
        server.wait_ready(600)
        together(server.url, works[:CLIENTS], CLIENTS)
        plain_seconds(works[:2])
        for _ in range(options.rounds):
            plain = plain_seconds(works)
            stop = threading.Event()
            asking = threading.Thread(target=health_times, args=(server.url, stop, times))
            asking.start()
            served = together(server.url, works, CLIENTS)
            stop.set()
            asking.join()
            ratios.append(plain / served)
            print(f"plain loop {plain:.2f} s, eight clients {served:.2f} s", flush=True)
    p99 = 1000 * quantiles(times, n=100, method="inclusive")[98]
    print(f"/health: {len(times)} answers, longest {1000 * max(times):.1f} ms")
    print(verdict("p99 of /health in ms", [p99], 50, at_least=False))
    print(verdict("eight clients against the bare loop", ratios, 1.0))


if __name__ == "__main__":
    main()
