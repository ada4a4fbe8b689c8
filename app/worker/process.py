"""What concerns the worker as an operating system process."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, however it dies (Linux).

    Elsewhere the end of the channel does it, unless the process hangs in native code.

    Args:
        parent: process id of the parent, which may be dead already.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died in between
        os.kill(os.getpid(), signal.SIGKILL)


def ignore_group_signals() -> None:
    """Leave what reaches the whole process group to the API process, which drains first.

    That is Ctrl+C, and the SIGTERM of a service manager; the end of the channel ends this one.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


SPINS = b"10000"
"""Looks that an idle OpenMP thread takes at the next piece of work before it sleeps: some 0.1 ms.

With the usual 300,000, a small model was 3 to 20 times slower as soon as anything else wanted the
same two cores, such as the encoders of the API process: threads spin in place of the one that they
wait for. With none, waking them cost a fifth on idle cores.
"""


def let_idle_threads_sleep() -> None:
    """Have OpenMP's threads sleep while they wait for each other; call before torch is imported.

    A GOMP_SPINCOUNT in the environment is respected.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).setenv(b"GOMP_SPINCOUNT", SPINS, 0)


def keep_compiled(folder: Path | None) -> None:
    """Have PyTorch's compilers keep their kernels in a folder; call before they compile."""
    if folder is None:
        return
    environment = os.environ  # noqa: TID251  # they look nowhere else
    environment["TORCHINDUCTOR_CACHE_DIR"] = str(folder.absolute() / "inductor")
    environment["TRITON_CACHE_DIR"] = str(folder.absolute() / "triton")
