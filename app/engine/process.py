"""A worker process, and this process's end of the channel to it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Self

from app.engine.channel import Channel

WORKER_COMMAND = (sys.executable, "-m", "app.worker")
PATIENCE = 5.0
"""Seconds that a worker whose channel is closed has to end by itself."""


class WorkerProcess:
    """A running worker, which waits to be told by its first message, `Configure`, what to serve.

    As a context manager it ends with the block, however that ends.
    """

    def __init__(self, process: subprocess.Popen[bytes], channel: Channel) -> None:
        self._process = process
        self.channel = channel

    @classmethod
    def start(cls, command: Sequence[str] = WORKER_COMMAND) -> Self:
        """Start one.

        Args:
            command: what to run; the number of its socket and that of this process are added.

        Raises:
            OSError: no memory, process or descriptor is to be had.
        """
        with contextlib.ExitStack() as undo:
            channel, theirs = Channel.pair()
            undo.callback(channel.close)
            with theirs:
                process = _start(command, theirs)
            undo.pop_all()
        return cls(process, channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.end()

    def kill(self) -> None:
        """End it at once, whatever it is doing; `end` collects it."""
        self._process.kill()

    def end(self) -> str:
        """Close the channel, wait until it has ended, and say how it did."""
        self.channel.close()
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return _describe(code)


def _start(command: Sequence[str], theirs: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  # our own module
        [*command, str(theirs.fileno()), str(os.getpid())],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
    )


def _describe(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    if -code == signal.SIGKILL:
        return "killed by SIGKILL, often the system's out-of-memory killer"
    known = {number.value: number.name for number in signal.Signals}
    return f"killed by {known.get(-code, f'signal {-code}')}"
