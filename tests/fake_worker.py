"""A worker without torch for fast protocol tests: steps through jobs and paints their seed.

The prompt steers it: `steps=N`, `hang` (never a step), `die` (exits in the first attempt),
`always die`, `oom`, `fail`. MODEL_ID may ask for `unloadable`, `crash-on-load`, or a `pair` of jobs
at a time.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import sys
import threading
import time
from pathlib import Path

from app.engine.channel import Channel
from app.engine.messages import (
    Cancel,
    Cancelled,
    Configure,
    Failed,
    Finished,
    LoadFailed,
    Logged,
    Ready,
    Run,
    Started,
    Step,
)
from app.errors import JobFailed, OutOfMemory
from app.settings import Settings


class FakeWorker:
    """Answers orders as the real worker would."""

    def __init__(self, channel: Channel, settings: Settings) -> None:
        self._channel = channel
        self._settings = settings
        self._orders: queue.SimpleQueue[Run] = queue.SimpleQueue()
        self._cancelled: set[str] = set()

    def serve(self) -> None:
        """Work until the channel closes."""
        threading.Thread(target=self._listen, daemon=True).start()
        if "unloadable" in self._settings.model_id:
            self._channel.send(LoadFailed("MODEL_ID=unloadable is not on disk: download it."))
            return
        if "crash-on-load" in self._settings.model_id:
            os._exit(9)
        self._wait_for_gate("load")
        concurrency = 2 if "pair" in self._settings.model_id else 1
        self._channel.send(Ready("cpu", "float32", concurrency, load_seconds=0.0))
        while True:
            self._run(self._orders.get())

    def _wait_for_gate(self, name: str) -> None:
        """Where the model's folder holds a file `<name>.gate`, wait until it is removed.

        A file `<name>.waiting` tells the test that the gate was reached.
        """
        gate = Path(self._settings.model_dir) / f"{name}.gate"
        if gate.exists():
            gate.with_suffix(".waiting").touch()
        while gate.exists():
            time.sleep(0.005)

    def _listen(self) -> None:
        try:
            while True:
                message, _ = self._channel.receive()
                if isinstance(message, Run):
                    self._orders.put(message)
                elif isinstance(message, Cancel):
                    self._cancelled.add(message.job_id)
        except EOFError:
            os._exit(0)

    def _run(self, order: Run) -> None:
        prompt = getattr(order.inputs.params, "prompt", "")
        self._channel.send(Started(order.job_id))
        self._misbehave(order, prompt)
        if "oom" in prompt:
            return self._channel.send(Failed(order.job_id, OutOfMemory()))
        if "fail" in prompt:
            text = f"job {order.job_id} failed"
            self._channel.send(Logged("app.worker.loop", logging.ERROR, text, time.time()))
            return self._channel.send(
                Failed(order.job_id, JobFailed("Text-to-image pipeline error."))
            )
        steps = order.inputs.params.num_inference_steps
        for step in range(1, steps + 1):
            self._wait_for_gate("step")
            self._wait_for_gate(f"step-{step}")
            if order.job_id in self._cancelled:
                return self._channel.send(Cancelled(order.job_id))
            self._report(order, step, steps)
        return self._finish(order)

    def _report(self, order: Run, step: int, steps: int) -> None:
        """Tell of a step; a preview is a small image of the step's number."""
        if not order.preview_every or step % order.preview_every:
            self._channel.send(Step(order.job_id, step, steps))
            return
        preview = memoryview(bytes([step % 256]) * (4 * 4 * 3))
        self._channel.send(Step(order.job_id, step, steps, preview_shape=(4, 4, 3)), preview)

    def _misbehave(self, order: Run, prompt: str) -> None:
        marker = Path(self._settings.model_dir) / f"{order.job_id}.died"
        if "die" in prompt and ("always" in prompt or not marker.exists()):
            marker.touch()
            os._exit(1)
        if "hang" in prompt and not marker.exists():
            marker.touch()
            threading.Event().wait()

    def _finish(self, order: Run) -> None:
        inputs = order.inputs
        width, height = inputs.size
        frames = (2,) if inputs.pipeline == "image-to-video" else ()
        shape = (len(inputs.seeds), *frames, height, width, 3)
        size = height * width * 3 * (2 if frames else 1)
        pixels = b"".join(bytes([seed % 256]) * size for seed in inputs.seeds)
        flags = (False,) * len(inputs.seeds)
        message = Finished(order.job_id, shape, inputs.seeds, flags, inference_seconds=0.01)
        self._channel.send(message, memoryview(pixels))


def main() -> None:
    """Entry: `python -m tests.fake_worker DESCRIPTOR`."""
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    message, _ = channel.receive()
    assert isinstance(message, Configure)
    FakeWorker(channel, message.settings).serve()


if __name__ == "__main__":
    main()
