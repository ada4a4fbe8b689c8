"""What ends a process before a server or an SDK has handlers of its own."""

from __future__ import annotations

import signal
import sys


def exit_on_signals() -> None:
    """End by SystemExit at SIGTERM and SIGINT, so that what was begun is put away.

    Process 1 of a container has no handler for SIGTERM, and Python's for Ctrl+C shows where the
    program is.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
