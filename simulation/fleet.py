"""Replicas that batch continuously, behind front ends that choose among them.

All requests of a replica advance together, a step a round; so it is enough to look at it when a
request comes or goes. What is left out: a new request waits half a round on average, the network,
and replicas that fail. Arrivals are Poisson's.
"""

from __future__ import annotations

import heapq
import math
from collections import deque

import numpy as np

from simulation.routing import Policy, View
from simulation.workload import Workload

WARM_UP = 0.2
"""Part of the requests whose latencies are left out: the fleet begins empty."""


class Replica:
    """One GPU. `rounds` counts the steps that everybody in it has made since the start."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._ends: list[tuple[float, int]] = []  # (rounds at which it is done, request)
        self._sizes: dict[int, int] = {}  # of each request
        self._rounds = 0.0
        self._now = 0.0
        self._round_seconds = math.inf

    @property
    def next_end(self) -> float:
        """When the first of its requests is done, if nobody else comes; infinite if it is idle."""
        if not self._ends:
            return math.inf
        return self._now + max(self._ends[0][0] - self._rounds, 0.0) * self._round_seconds

    def add(self, now: float, request: int, size: int) -> None:
        """Begin a request."""
        self._advance(now)
        heapq.heappush(self._ends, (self._rounds + self._workload.steps, request))
        self._sizes[request] = size
        self._retime()

    def finish(self, now: float) -> tuple[int, int]:
        """End the request whose turn it is: (request, size)."""
        self._advance(now)
        _, request = heapq.heappop(self._ends)
        size = self._sizes.pop(request)
        self._retime()
        return request, size

    def _advance(self, now: float) -> None:
        if self._ends:
            self._rounds += (now - self._now) / self._round_seconds
        self._now = now

    def _retime(self) -> None:
        """A forward for each size that is there, and everybody's decoder spread over the steps."""
        workload = self._workload
        work = sum(workload.sizes[size][0] for size in self._sizes.values())
        forwards = len(set(self._sizes.values()))
        fixed = len(self._sizes) * workload.fixed_seconds / workload.steps
        self._round_seconds = (
            forwards * workload.launch_seconds + work * workload.row_seconds + fixed
        )


class Fleet:
    """Replicas, what each front end knows of them, and the requests that found no room."""

    def __init__(
        self, workload: Workload, replicas: int, policy: Policy, fronts: int, seed: int
    ) -> None:
        self._workload = workload
        self._policy = policy
        self._rng = np.random.default_rng(seed)
        self._replicas = [Replica(workload) for _ in range(replicas)]
        self._rows = np.zeros((fronts, replicas))
        self._sizes = np.zeros((fronts, replicas, len(workload.sizes)))
        self._taken = np.zeros(replicas)
        self._waiting: deque[tuple[int, int, int]] = deque()
        self._ends: list[tuple[float, int]] = []
        self._front_of: dict[int, int] = {}

    def latencies(self, rate: float, requests: int) -> np.ndarray:
        """Seconds from arrival to end of each request, at `rate` requests per second."""
        arrivals = np.cumsum(self._rng.exponential(1 / rate, requests))
        shares = [share for _, share in self._workload.sizes]
        sizes = self._rng.choice(len(shares), requests, p=shares)
        fronts = self._rng.integers(len(self._rows), size=requests)
        ends = np.zeros(requests)
        for request, now in enumerate(arrivals.tolist()):
            self._run_until(now, ends)
            self._waiting.append((request, int(sizes[request]), int(fronts[request])))
            self._place(now)
        self._run_until(math.inf, ends)
        return ends - arrivals

    def _run_until(self, now: float, ends: np.ndarray) -> None:
        while self._ends and self._ends[0][0] <= now:
            end, index = heapq.heappop(self._ends)
            replica = self._replicas[index]
            if end != replica.next_end:  # somebody came or went since this was noted
                continue
            request, size = replica.finish(end)
            ends[request] = end
            self._count(self._front_of.pop(request), index, size, -1)
            self._note(index)
            self._place(end)

    def _place(self, now: float) -> None:
        """Give those who wait to replicas, in turn, while there is room."""
        while self._waiting:
            is_open = self._taken < self._workload.max_rows
            if not is_open.any():
                return
            request, size, front = self._waiting.popleft()
            view = View(self._rows[front], self._sizes[front], is_open)
            index = self._policy(view, size, self._workload, self._rng)
            self._front_of[request] = front
            self._count(front, index, size, +1)
            self._replicas[index].add(now, request, size)
            self._note(index)

    def _count(self, front: int, index: int, size: int, change: int) -> None:
        self._rows[front, index] += change
        self._sizes[front, index, size] += change
        self._taken[index] += change

    def _note(self, index: int) -> None:
        end = self._replicas[index].next_end
        if end < math.inf:
            heapq.heappush(self._ends, (end, index))


def p95(
    workload: Workload,
    replicas: int,
    rate: float,
    policy: Policy,
    *,
    requests: int,
    fronts: int = 1,
    seed: int = 0,
) -> float:
    """95th percentile of the latency in seconds, the first requests left out.

    Args:
        workload: what is asked for.
        replicas: GPUs.
        rate: requests per second.
        policy: how replicas are chosen.
        requests: how many to simulate.
        fronts: front ends, each of which knows of its own requests only, beside who has room.
        seed: of arrivals, sizes and choices.
    """
    found = Fleet(workload, replicas, policy, fronts, seed).latencies(rate, requests)
    return float(np.percentile(found[int(WARM_UP * requests) :], 95))
