"""`python -m simulation`: what a fleet holds at a target, and what gives out first.

python -m simulation                               1, 10 and 1,000 GPUs with SDXL
python -m simulation --workload sd-turbo --gpus 1 4
python -m simulation --bench one.json four.json    with step times of your own GPU
python -m simulation --policies                    how much the choice of a replica matters
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from simulation.capacity import capacity, requests_for
from simulation.fleet import p95
from simulation.limits import limits
from simulation.routing import POLICIES
from simulation.workload import WORKLOADS, NotMeasured, Workload, measured, with_mixed_sizes

STALE_FRONTS = 8
"""Front ends of the table of policies, where each knows of its own requests only."""
LOAD = 0.85
"""Of the GPUs' most, at which policies are compared."""
POLICY_GPUS = 16


def main() -> int:
    """Print the tables that the command line asks for; the process's exit code."""
    options = _parse(sys.argv[1:])
    try:
        workload = measured(options.bench) if options.bench else WORKLOADS[options.workload]
    except NotMeasured as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    target = options.target or 2 * workload.alone_seconds
    _print_workload(workload, target)
    if options.policies:
        _print_policies(with_mixed_sizes(workload))
        return 0
    per_gpu = _print_fleets(workload, options.gpus, target, options.policy)
    _print_limits(workload, per_gpu)
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--workload", choices=WORKLOADS, default="sdxl")
    add("--bench", type=Path, nargs="+", metavar="FILE", help="what bench.py --json wrote")
    add("--gpus", type=int, nargs="+", default=[1, 10, 1000])
    add("--target", type=float, default=0.0, help="p95 in seconds; default twice a lone request")
    add("--policy", choices=POLICIES, default="like-sizes")
    add("--policies", action="store_true", help="compare the policies instead")
    return parser.parse_args(arguments)


def _print_workload(workload: Workload, target: float) -> None:
    print(f"{workload.name}, {workload.width}x{workload.height}, {workload.steps} steps")
    print(f"times: {workload.source}")
    print(
        f"alone {workload.alone_seconds:.3g} s; a full GPU {workload.most_per_second:.3g}/s; "
        f"target p95 {target:.3g} s\n"
    )


def _print_fleets(workload: Workload, gpus: list[int], target: float, policy: str) -> float:
    """The table of fleet sizes; requests per second and GPU of the largest."""
    print("| GPUs | requests/s | p95, s | of what the GPUs could do |\n|---|---|---|---|")
    per_gpu = workload.most_per_second
    for count in gpus:
        found = capacity(workload, count, target, POLICIES[policy])
        print(f"| {count:,} | {found.rate:.3g} | {found.p95:.3g} | {found.share:.0%} |")
        per_gpu = found.rate / count or per_gpu
    return per_gpu


def _print_limits(workload: Workload, per_gpu: float) -> None:
    print("\n| part | requests/s | GPUs that it feeds | basis |\n|---|---|---|---|")
    for limit in limits(workload):
        print(f"| {limit.part} | {limit.rate:,.0f} | {limit.gpus(per_gpu):,} | {limit.basis} |")


def _print_policies(workload: Workload) -> None:
    rate = LOAD * POLICY_GPUS * workload.most_per_second
    requests = 2 * requests_for(POLICY_GPUS)
    print(f"{workload.name}: p95 in seconds, {POLICY_GPUS} GPUs, {LOAD:.0%} of their most\n")
    print(f"| policy | one front end | {STALE_FRONTS} front ends |\n|---|---|---|")
    for name, policy in POLICIES.items():
        one, many = (
            p95(workload, POLICY_GPUS, rate, policy, requests=requests, fronts=fronts)
            for fronts in (1, STALE_FRONTS)
        )
        print(f"| {name} | {one:.3g} | {many:.3g} |")


if __name__ == "__main__":
    sys.exit(main())
