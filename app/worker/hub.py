"""Continuous batching: requests share the denoiser's forwards, step by step.

Every request runs the ordinary diffusers call in a greenlet of its own. Where that call would
run a network, the greenlet parks and says what it wants (see `app.worker.parking`). The hub
gathers what can be run as one, runs it, and lets each greenlet go on with its own rows. So
requests join and leave between steps, whatever their prompts, steps, guidance and schedulers,
and one that fails or is cancelled takes nothing with it but its rows.

All greenlets live on one thread, within one `torch.no_grad()` of the hub's caller: grad mode
belongs to the thread, and the pipelines' own `no_grad` then changes nothing in whatever order
the greenlets enter and leave it.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from greenlet import getcurrent, greenlet

from app.engine.messages import Lora
from app.errors import JobCancelled
from app.worker.attempts import Attempts
from app.worker.calls import Call, Part, joined
from app.worker.frames import write_down_frames
from app.worker.limits import RowLimits, useful_rows
from app.worker.threads import Threads

Loras = tuple[Lora, ...]

FULL = 2
"""Tasks under way may fill as many forwards of the size beyond which more rows gain nothing."""

FEWEST = 2
"""Tasks under way however large they are, so that a short one need not wait for a long one."""


@dataclass(slots=True, eq=False)
class Task:
    """A request on its way through the hub.

    Attributes:
        body: makes the request, of which it is given the task, and takes care of its result and
            its errors.
        loras: adapters that have to be active while its networks run.
        is_cancelled: whether to stop it: at its next step, or else in its body's first lines.
        forwards: denoiser's forwards that it took part in.
        rows: rows of these forwards, those of others included.
        own_rows: its own part of them.
    """

    body: Callable[[Task], None]
    loras: Loras
    is_cancelled: Callable[[], bool]
    forwards: int = 0
    rows: int = 0
    own_rows: int = 0
    call: Call | None = None
    greenlet: Any = None

    @property
    def parked(self) -> Call:
        """The call that it waits for."""
        assert self.call is not None
        return self.call


@dataclass(slots=True, eq=False)
class Lane:
    """Tasks that wait for the same network, the one that waits for longest first.

    Attributes:
        elements: of the latents in one call, beyond which more rows gain nothing.
        divides: whether a single task's call is divided as well when others are about.
        pads: whether calls are filled up to the policy's buckets.
    """

    elements: int
    divides: bool
    pads: bool
    tasks: deque[Task] = field(default_factory=deque)


class Hub:
    """Runs tasks; `turn` does a bounded amount of their work.

    Attributes:
        forwards: forwards of the denoiser so far.
        rows: rows in all of them.
    """

    def __init__(
        self,
        limits: RowLimits,
        activate: Callable[[Loras], None],
        threads: Threads,
        most_adapters: int = sys.maxsize,
    ) -> None:
        """Prepare.

        Args:
            limits: rows per call.
            activate: puts a set of adapters on the networks; cheap if it is on already.
            threads: those of each call.
            most_adapters: that stay loaded. With more in turns, each step would load some.
        """
        self._limits = limits
        self._activate = activate
        self._attempts = Attempts(limits, threads)
        self._most_adapters = most_adapters
        self._new: deque[Task] = deque()
        self._steps = Lane(limits.policy.useful_elements, divides=False, pads=True)
        self._decodings = Lane(limits.policy.decoded, divides=True, pads=False)
        self._step_seconds = math.inf  # not known yet
        self.forwards = 0
        self.rows = 0

    def __len__(self) -> int:
        return len(self._new) + len(self._steps.tasks) + len(self._decodings.tasks)

    def add(self, task: Task) -> None:
        """Take on a task; it begins in one of the next turns."""
        self._new.append(task)

    def park_step(self, call: Call) -> Any:
        """For a task's body: have a denoiser's call made, and return its result."""
        return getcurrent().parent.switch((self._steps, call))

    def park_decoding(self, call: Call) -> Any:
        """For a task's body: have a VAE's call made, and return its result."""
        return getcurrent().parent.switch((self._decodings, call))

    def turn(self) -> None:
        """Begin some tasks, take those that wait for longest a step further, decode a little.

        Raises:
            Exception: what a task's body raises, and errors that leave the device broken.
        """
        self._drop_cancelled()
        self._begin()
        if self._steps.tasks:
            start = time.perf_counter()
            self._serve(self._steps)
            self._step_seconds = time.perf_counter() - start
        if self._decodings.tasks:
            self._serve(self._decodings)

    def _drop_cancelled(self) -> None:
        for lane in (self._steps, self._decodings):
            for task in [task for task in lane.tasks if task.is_cancelled()]:
                lane.tasks.remove(task)
                self._follow(task, task.greenlet.throw(JobCancelled()))
        for task in [task for task in self._new if task.is_cancelled()]:
            self._new.remove(task)
            self._start(task)  # its body says so

    def _begin(self) -> None:
        """Begin tasks, one at least, but hold the others up for no longer than a step takes."""
        end = time.perf_counter() + self._step_seconds
        while self._new and self._has_room() and self._finds_adapters(self._new[0]):
            self._start(self._new.popleft())
            if time.perf_counter() >= end:
                return

    def _start(self, task: Task) -> None:
        """Run a task's body until it waits for something."""
        task.greenlet = greenlet(task.body)
        # Else it begins with an empty one, in which PyTorch's settings are the default ones.
        task.greenlet.gr_context = copy_context()
        self._follow(task, task.greenlet.switch(task))

    def _has_room(self) -> bool:
        """Whether it pays to have another task under way: more only make all of them slower."""
        if len(self._steps.tasks) < FEWEST:
            return True
        under_way = sum(self._elements_of(task.parked) for task in self._steps.tasks)
        return under_way < FULL * self._steps.elements

    def _finds_adapters(self, task: Task) -> bool:
        """Whether its adapters can stay loaded beside those of the tasks under way."""
        under_way = (*self._steps.tasks, *self._decodings.tasks)
        used = {repo for other in under_way for repo, _ in other.loras}
        own = {repo for repo, _ in task.loras}
        return not (used and own) or len(used | own) <= self._most_adapters

    def _elements_of(self, step: Call) -> int:
        """Size of a step's latents; one that cannot be merged fills a forward by itself."""
        return self._steps.elements if step.roles is None else step.rows * step.row_size

    def _follow(self, task: Task, parked: tuple[Lane, Call] | None) -> None:
        """Note what a task waits for now, unless it is over."""
        if task.greenlet.dead:
            task.call = None  # its results are large, and the task may be reported for a while yet
            return
        assert parked is not None
        lane, task.call = parked
        lane.tasks.append(task)

    # Calls ------------------------------------------------------------------------------

    def _serve(self, lane: Lane) -> None:
        """Make the call that waits for longest, and those that can be made with it."""
        group = self._gather(lane)
        outcomes = self._make(lane, group)
        for task, part in group.items():
            self._hand_over(lane, task, part, outcomes.pop(part))

    def _gather(self, lane: Lane) -> dict[Task, Part]:
        """Take the tasks of the next call out of their lane."""
        first = lane.tasks[0]
        room = self._room(lane, first.parked)
        group: dict[Task, Part] = {}
        for task in lane.tasks:
            call = task.parked
            is_alike = call.signature == first.parked.signature and task.loras == first.loras
            if is_alike and (call.rows_left <= room or not group):
                part = call.next_part(room)
                group[task] = part
                room -= part.rows
        lane.tasks = deque(task for task in lane.tasks if task not in group)
        return group

    def _room(self, lane: Lane, first: Call) -> int:
        """Rows that fit into a call that begins with `first`."""
        most = self._limits.most(first.row_size, first.signature, is_step=lane.pads)
        if len(self) == 1:  # alone, a request runs exactly as it would without the hub
            return most
        worth = useful_rows(first.row_size, lane.elements)
        return min(most, worth if lane.divides else max(worth, first.rows_left))

    def _make(self, lane: Lane, group: dict[Task, Part]) -> dict[Part, Any]:
        """Results, or exceptions, of a group's parts."""
        parts = list(group.values())
        try:
            self._activate(next(iter(group)).loras)
        except Exception as error:
            write_down_frames(error)
            return dict.fromkeys(parts, error)
        rows = sum(part.rows for part in parts)
        if lane is self._steps:
            self.forwards += 1
            self.rows += rows
            for task, part in group.items():
                task.forwards += 1
                task.rows += rows
                task.own_rows += part.rows
        return self._attempts.make(parts, lane.pads)

    def _hand_over(self, lane: Lane, task: Task, part: Part, outcome: Any) -> None:
        """Let a task go on with the result of its call, once all of it is there."""
        call = task.parked
        if isinstance(outcome, Exception):
            self._follow(task, task.greenlet.throw(outcome))
            return
        call.results.append(outcome)
        call.done = part.stop
        if call.rows_left:
            lane.tasks.append(task)
        else:
            self._follow(task, task.greenlet.switch(joined(call.results)))
