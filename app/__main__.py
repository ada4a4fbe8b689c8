"""`python -m app`: serve on HOST and PORT."""

from __future__ import annotations

import sys

from app.engine.process import WorkerProcess
from app.garbage import made_to_stay


def main() -> int:
    """Serve until told to stop; the process's exit code."""
    # The worker imports torch while this process imports FastAPI: a second sooner ready.
    with WorkerProcess.start() as first_worker:
        with made_to_stay():
            from app.main import create_app_from_environment
            from app.serving import serve
        return serve(create_app_from_environment(first_worker))


if __name__ == "__main__":
    sys.exit(main())
