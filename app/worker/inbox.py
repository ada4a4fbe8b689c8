"""What the API process asks of the worker, received while the worker computes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from app.engine.channel import Channel
from app.engine.messages import Cancel, Inputs, Run


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """A job to run.

    Attributes:
        job_id: its id.
        inputs: what to generate.
        image: the input image, (height, width, 3) uint8 RGB, or None.
        preview_every: bring a preview with every n-th step; 0 for none.
    """

    job_id: str
    inputs: Inputs
    image: np.ndarray | None
    preview_every: int = 0


class Inbox:
    """Orders in the order of their arrival, and which of them were cancelled since.

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
        self._cancelled: set[str] = set()

    def listen(self) -> None:
        """Start the listening thread."""
        threading.Thread(target=self._listen, name="inbox", daemon=True).start()

    def next(self, *, wait: bool) -> Order | None:
        """The next order; without `wait`, None if there is none yet."""
        try:
            return self._orders.get(block=wait)
        except queue.Empty:
            return None

    def is_cancelled(self, job_id: str) -> bool:
        """Whether this job is to stop."""
        return job_id in self._cancelled

    def forget(self, job_id: str) -> None:
        """The job is over."""
        self._cancelled.discard(job_id)

    def _listen(self) -> None:
        try:
            while True:
                message, pixels = self._channel.receive()
                match message:
                    case Run(job_id=job_id):
                        self._cancelled.discard(job_id)  # meant for an older job of this id
                        self._orders.put(_order(message, pixels))
                    case Cancel(job_id=job_id):
                        self._cancelled.add(job_id)
        except EOFError:
            self._hung_up()


def _order(message: Run, pixels: memoryview | None) -> Order:
    shape = message.inputs.image_shape
    image = None
    if pixels is not None and shape is not None:
        image = np.frombuffer(pixels, np.uint8).reshape(shape)
    return Order(message.job_id, message.inputs, image, message.preview_every)
