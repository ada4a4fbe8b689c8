"""Keeps one worker process alive: starts it, hears it, replaces it when it dies or hangs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from typing import Protocol, cast

from app.engine.channel import Channel
from app.engine.messages import Configure, FromWorker, LoadFailed, Logged, Ready, ToWorker
from app.engine.process import WORKER_COMMAND, WorkerProcess
from app.settings import Settings

logger = logging.getLogger(__name__)

FIRST_BACKOFF = 0.2
"""Seconds before the first restart; doubled for each further death without a ready worker."""
LONGEST_BACKOFF = 30.0
LOAD_ATTEMPTS = 3
"""Deaths in a row while loading after which the model counts as impossible to load."""
START_ATTEMPTS = 10
"""Failures in a row to start a process, some two minutes of them."""


class WorkerState(StrEnum):
    """What the worker is doing."""

    LOADING = "loading"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"


class Listener(Protocol):
    """Who hears of the worker; called on the event loop."""

    def on_message(self, message: FromWorker, pixels: memoryview | None) -> None:
        """The worker said something."""

    def on_death(self, reason: str) -> None:
        """The worker ended unasked; a new one is on its way."""

    def on_failure(self, message: str) -> None:
        """No worker can load the model; there will be no other."""


class Supervisor:
    """Owns the worker process.

    `state`, `restarts` and `ready` (what the worker said of itself) may be read at any time.
    """

    def __init__(
        self,
        settings: Settings,
        listener: Listener,
        command: Sequence[str] = WORKER_COMMAND,
        first: WorkerProcess | None = None,
    ) -> None:
        """Prepare.

        Args:
            settings: what the worker is to serve.
            listener: who hears of it.
            command: what to start as the worker.
            first: a worker that runs already, to begin with.
        """
        self._settings = settings
        self._listener = listener
        self._command = command
        self._first = first
        self._worker: WorkerProcess | None = None
        self._task: asyncio.Task[None] | None = None
        self._load_deaths = 0
        self._failed_starts = 0
        self._kill_reason = ""
        self.state = WorkerState.LOADING
        self.restarts = 0
        self.ready: Ready | None = None

    def start(self) -> None:
        """Start the first worker; returns at once."""
        self._task = asyncio.create_task(self._supervise())
        self._task.add_done_callback(self._note_end)

    @property
    def takes_jobs(self) -> bool:
        """Whether there is a worker, and it is ready."""
        return self._worker is not None and self.state is WorkerState.READY

    async def stop(self) -> None:
        """End the worker and stop replacing it."""
        self.state = WorkerState.STOPPED
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})

    def send(self, message: ToWorker, pixels: memoryview | None = None) -> None:
        """Tell the worker something; a worker that is just dying does not hear it.

        Raises:
            OSError: this process lacks what it takes (memory or descriptors, for pixels).
        """
        if self._worker is None:
            return
        try:
            self._worker.channel.send(message, pixels)
        except ConnectionError:
            pass  # its death is reported by `on_death`
        except TimeoutError:
            self.replace("it reads no messages")

    def replace(self, reason: str) -> None:
        """Kill a worker that does not answer; `on_death` follows with this reason."""
        if self._worker:
            self._kill_reason = reason
            self._worker.kill()

    async def _supervise(self) -> None:
        while self.state is not WorkerState.FAILED:
            died = asyncio.Event()
            try:
                worker = self._employ(died)
            except (OSError, RuntimeError) as error:  # no memory, process or thread is to be had
                await self._recover_start(error)
                continue
            self._failed_starts = 0
            try:
                await died.wait()
            except asyncio.CancelledError:  # it is not waited for: it may be importing torch
                worker.kill()
                raise
            finally:
                reason = await self._reap(worker)
            await self._recover(reason)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        """Without this task no worker would ever be replaced."""
        if not task.cancelled() and (error := task.exception()):
            logger.error("the worker cannot be supervised any more", exc_info=error)
            self._fail(f"The worker cannot be supervised any more ({error}): start it anew.")

    async def _recover(self, reason: str) -> None:
        """Report a death and wait out the back-off before the next start."""
        if self.state is WorkerState.FAILED:
            return
        was_ready = self.state is WorkerState.READY
        self._load_deaths = 0 if was_ready else self._load_deaths + 1
        logger.error("worker ended: %s", reason)
        if self._load_deaths >= LOAD_ATTEMPTS:
            self._fail(
                f"MODEL_ID={self._settings.model_id}: the worker ended {LOAD_ATTEMPTS} times while "
                f"loading ({reason}). Choose a smaller model or a machine with more memory."
            )
            return
        self.state = WorkerState.RESTARTING if self.ready else WorkerState.LOADING
        self.restarts += 1
        self._listener.on_death(reason)
        await _back_off(self._load_deaths)

    async def _recover_start(self, error: Exception) -> None:
        """Wait before another try to start a process; the machine may have room for it soon."""
        self._failed_starts += 1
        logger.error("the worker could not be started: %s", error)
        if self._failed_starts >= START_ATTEMPTS:
            self._fail(
                f"the worker could not be started {START_ATTEMPTS} times ({error}). Look for what "
                "takes this machine's memory or processes."
            )
            return
        await _back_off(self._failed_starts)

    def _employ(self, died: asyncio.Event) -> WorkerProcess:
        """Start a worker, or take the one that runs already, and tell it what to serve."""
        worker, self._first = self._first or WorkerProcess.start(self._command), None
        try:
            loop, lose = asyncio.get_running_loop(), partial(self._lose, died)
            threading.Thread(
                target=_listen,
                args=(loop, worker.channel, self._hear, lose),
                name="worker-listener",
                daemon=True,
            ).start()
        except RuntimeError:
            worker.kill()
            worker.end()
            raise
        self._worker, self._kill_reason = worker, ""
        self.send(Configure(self._settings))
        return worker

    def _lose(self, died: asyncio.Event) -> None:
        """The worker's channel is closed: it gets no more jobs, however long its end takes."""
        self._worker = None
        died.set()

    def _hear(self, message: FromWorker, pixels: memoryview | None) -> None:
        match message:
            case Ready():
                self.ready, self.state, self._load_deaths = message, WorkerState.READY, 0
            case LoadFailed(reason):
                self._fail(reason)
                return
            case Logged():
                _log(message)
                return
            case _:
                pass
        self._listener.on_message(message, pixels)

    def _fail(self, message: str) -> None:
        self.state = WorkerState.FAILED
        self._listener.on_failure(message)

    async def _reap(self, worker: WorkerProcess) -> str:
        """End the process if it still runs, and say how it ended."""
        self._worker = None
        try:
            how = await asyncio.to_thread(worker.end)
        except RuntimeError:  # no thread is to be had, and it need not be waited for
            worker.kill()
            how = worker.end()
        return self._kill_reason or how


async def _back_off(failures: int) -> None:
    await asyncio.sleep(min(FIRST_BACKOFF * 2**failures, LONGEST_BACKOFF))


def _listen(
    loop: asyncio.AbstractEventLoop,
    channel: Channel,
    hear: Callable[[FromWorker, memoryview | None], None],
    end: Callable[[], None],
) -> None:
    """Body of the listening thread: hand every message to the event loop until the end."""
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
        try:
            while True:
                message, pixels = channel.receive()
                loop.call_soon_threadsafe(hear, cast("FromWorker", message), pixels)
        except EOFError:
            loop.call_soon_threadsafe(end)


def _log(line: Logged) -> None:
    """Write a line of the worker's as if it were of this process."""
    fields = {
        "name": line.logger,
        "levelno": line.level,
        "levelname": logging.getLevelName(line.level),
        "msg": line.text,
        "created": line.time,
        "msecs": line.time % 1 * 1000,
    }
    logging.getLogger(line.logger).handle(logging.makeLogRecord(fields))
