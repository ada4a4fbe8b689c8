"""A short request among long ones: `python -m benchmarks.latency`.

Clients keep 50-step requests of the demo model running while 4-step requests arrive at a fixed
pace. The 95th percentile of the short ones' latency is compared with first come, first served:
the same requests at the same times through the same server, sent one at a time in the order of
their arrival, as a server without continuous batching would run them.
"""

from __future__ import annotations

import argparse
import threading
import time
from functools import partial
from statistics import quantiles

from benchmarks.http_clients import Client, timed_threads
from benchmarks.targets import DEMO
from benchmarks.verdict import verdict
from benchmarks.work import Work

LONG, SHORT = 50, 4
LONG_REQUESTS, SHORT_REQUESTS = 4, 12


class Turns:
    """Lets callers pass in the order in which they came, one at a time, or all at once."""

    def __init__(self, in_turn: bool) -> None:
        self._in_turn = in_turn
        self._changed = threading.Condition()
        self._next = self._serving = 0

    def take(self) -> int:
        """A place in the order."""
        with self._changed:
            self._next += 1
            return self._next - 1

    def wait(self, place: int) -> None:
        """Until all earlier places are done."""
        with self._changed:
            self._changed.wait_for(lambda: not self._in_turn or self._serving == place)

    def done(self) -> None:
        """The next one may go."""
        with self._changed:
            self._serving += 1
            self._changed.notify_all()


def short_latencies(url: str, pace: float, in_turn: bool) -> list[float]:
    """Latencies of the short requests, one of which arrives every `pace` seconds."""
    turns, latencies = Turns(in_turn), []
    start = time.perf_counter()

    def request(work: Work, arrival: float) -> None:
        time.sleep(max(0.0, start + arrival - time.perf_counter()))
        place, arrived = turns.take(), time.perf_counter()
        turns.wait(place)
        client = Client(url)
        client.generate(work)
        client.close()
        turns.done()
        if work.num_inference_steps == SHORT:
            latencies.append(time.perf_counter() - arrived)

    longs = [(Work(128, 128, LONG, seed=i), i * pace / 10) for i in range(LONG_REQUESTS)]
    shorts = [(Work(128, 128, SHORT, seed=i), (i + 1) * pace) for i in range(SHORT_REQUESTS)]
    timed_threads([partial(request, *it) for it in [*longs, *shorts]])
    return latencies


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ratios = []
    with DEMO.server() as server:
        server.wait_ready(600)
        client = Client(server.url)
        client.generate(Work(128, 128, SHORT))
        pace = client.generate(Work(128, 128, LONG)) * LONG_REQUESTS / SHORT_REQUESTS
        for _ in range(options.rounds):
            turns = p95(short_latencies(server.url, pace, in_turn=True))
            batched = p95(short_latencies(server.url, pace, in_turn=False))
            ratios.append(batched / turns)
            print(f"p95 of {SHORT}-step requests: in turn {turns:.2f} s, here {batched:.2f} s")
    print(verdict("p95 against first come, first served", ratios, 0.4, at_least=False))


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return quantiles(values, n=20, method="inclusive")[18]


if __name__ == "__main__":
    main()
