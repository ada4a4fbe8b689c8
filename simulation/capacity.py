"""How many requests per second a fleet holds with its 95th percentile below a target."""

from __future__ import annotations

from dataclasses import dataclass

from simulation.fleet import p95
from simulation.routing import Policy
from simulation.workload import Workload

HALVINGS = 6
"""Of the range in which the rate is looked for: 1.6 % of what the GPUs could do at most."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What was found.

    Attributes:
        rate: requests per second; 0 where even single requests miss the target.
        p95: seconds, at that rate.
        share: of what the GPUs could do if they were always full.
    """

    rate: float
    p95: float
    share: float


def capacity(
    workload: Workload,
    replicas: int,
    target: float,
    policy: Policy,
    *,
    requests: int = 0,
    fronts: int = 1,
) -> Capacity:
    """The highest rate at which `replicas` keep the 95th percentile below `target` seconds."""
    most = replicas * workload.most_per_second
    low, high = Capacity(0.0, workload.alone_seconds, 0.0), most
    for _ in range(HALVINGS):
        rate = (low.rate + high) / 2
        count = requests or requests_for(replicas)
        found = p95(workload, replicas, rate, policy, requests=count, fronts=fronts)
        if found <= target:
            low = Capacity(rate, found, rate / most)
        else:
            high = rate
    return low


def requests_for(replicas: int) -> int:
    """Enough that the percentile stands and the fleet is full for most of them."""
    return max(2000, 25 * replicas)
