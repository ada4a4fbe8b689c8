"""How many times more requests a second than one by one: `python -m benchmarks.throughput`.

Three comparisons, HTTP included on the side of the service:

- demo: 16 requests of mixed steps at once, against the same ones one by one, through the same
  server;
- tiny-64 and tiny-128: 24 requests of 6 to 14 steps by eight clients on a tiny random Stable
  Diffusion, against the plain diffusers loop without a server.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from benchmarks.http_clients import together
from benchmarks.targets import DEMO, plain_loop, tiny_model
from benchmarks.verdict import verdict
from benchmarks.work import Work

DEMO_STEPS = (8, 12, 16, 20)
TINY_STEPS = range(6, 15)


def demo(rounds: int) -> str:
    """16 requests at once against one by one."""
    works = [Work(128, 128, DEMO_STEPS[i % len(DEMO_STEPS)], seed=i) for i in range(16)]
    ratios = []
    with DEMO.server() as server:
        server.wait_ready(600)
        together(server.url, works[:4], 4)
        for _ in range(rounds):
            alone = together(server.url, works, 1)
            at_once = together(server.url, works, len(works))
            ratios.append(alone / at_once)
            print(f"demo: one by one {alone:.2f} s, at once {at_once:.2f} s", flush=True)
    return verdict("demo, 16 requests at once against one by one", ratios, 2.5)


def tiny(side: int, rounds: int, target: float) -> str:
    """Eight clients against the plain loop."""
    works = [Work(side, side, TINY_STEPS[i % len(TINY_STEPS)], seed=i) for i in range(24)]
    ratios = []
    with (
        tiny_model() as model,
        model.server() as server,
        plain_loop(model) as plain_seconds,
    ):
        server.wait_ready(600)
        together(server.url, works[:8], 8)
        plain_seconds(works[:2])
        for _ in range(rounds):
            plain = plain_seconds(works)
            served = together(server.url, works, 8)
            ratios.append(plain / served)
            print(f"tiny-{side}: plain loop {plain:.2f} s, served {served:.2f} s", flush=True)
    return verdict(f"tiny at {side}x{side}, 8 clients against the plain loop", ratios, target)


MEASUREMENTS: dict[str, Callable[[int], str]] = {
    "demo": demo,
    "tiny-64": lambda rounds: tiny(64, rounds, 2.5),
    "tiny-128": lambda rounds: tiny(128, rounds, 1.6),
}


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for line in [MEASUREMENTS[name](options.rounds) for name in options.names or MEASUREMENTS]:
        print(line)


if __name__ == "__main__":
    main()
