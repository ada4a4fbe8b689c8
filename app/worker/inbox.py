"""What the API process asks of the worker, received while the worker computes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

import numpy as np

from app.engine.channel import Channel
from app.engine.messages import Cancel, Inputs, Run


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Order:
    """A job to run.

    Attributes:
        job_id: its id.
        inputs: what to generate.
        image: the input image, (height, width, 3) uint8 RGB, or None.
        preview_every: bring a preview with every n-th step; 0 for none.
        cancelled: set when the job is to stop.
    """

    job_id: str
    inputs: Inputs
    image: np.ndarray | None
    preview_every: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)


class Inbox:
    """Orders in the order of their arrival; those that are cancelled afterwards are told.

    A thread listens, whatever the main thread is doing.
    """

    def __init__(self, channel: Channel, hung_up: Callable[[], None]) -> None:
        """Prepare.

        Args:
            channel: to the API process.
            hung_up: called on the listening thread when the API process is gone.
        """
        self._channel = channel
        self._hung_up = hung_up
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        # Weak: once a job is over, nobody has its order any more, and it cannot be cancelled.
        self._known: WeakValueDictionary[str, Order] = WeakValueDictionary()

    def listen(self) -> None:
        """Start the listening thread."""
        threading.Thread(target=self._listen, name="inbox", daemon=True).start()

    def next(self, *, wait: bool) -> Order | None:
        """The next order; without `wait`, None if there is none yet."""
        try:
            return self._orders.get(block=wait)
        except queue.Empty:
            return None

    def _listen(self) -> None:
        try:
            while True:
                self._note(*self._channel.receive())
        except EOFError:
            self._hung_up()

    def _note(self, message: object, pixels: memoryview | None) -> None:
        match message:
            case Run():
                order = _order(message, pixels)
                self._known[order.job_id] = order
                self._orders.put(order)
            case Cancel(job_id=job_id):
                if known := self._known.get(job_id):
                    known.cancelled.set()


def _order(message: Run, pixels: memoryview | None) -> Order:
    shape = message.inputs.image_shape
    image = None
    if pixels is not None and shape is not None:
        image = np.frombuffer(pixels, np.uint8).reshape(shape)
    return Order(message.job_id, message.inputs, image, message.preview_every)
