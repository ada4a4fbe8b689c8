"""`python -m app`: serve on HOST and PORT."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext

from app.engine.process import WorkerProcess
from app.garbage import made_to_stay
from app.signals import exit_on_signals


def main() -> int:
    """Serve until told to stop; the process's exit code."""
    exit_on_signals()
    # The worker imports torch while this process imports FastAPI: a second sooner ready.
    with _first_worker() as first_worker:
        with made_to_stay():
            from app.main import create_app_from_environment
            from app.serving import serve
        return serve(create_app_from_environment(first_worker))


def _first_worker() -> AbstractContextManager[WorkerProcess | None]:
    try:
        return WorkerProcess.start()
    except OSError:  # the supervisor tries again, and says why
        return nullcontext()


if __name__ == "__main__":
    sys.exit(main())
