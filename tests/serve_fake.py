"""`python -m tests.serve_fake`: the real service with the fake worker."""

from __future__ import annotations

import sys

from app.engine.service import LocalService
from app.log import configure_logging
from app.main import create_app
from app.serving import serve
from app.settings import Settings

FAKE_WORKER = (sys.executable, "-m", "tests.fake_worker")


def main() -> int:
    """Serve as `python -m app` does."""
    settings = Settings.from_environment()
    configure_logging(settings)
    return serve(create_app(settings, LocalService(settings, worker_command=FAKE_WORKER)))


if __name__ == "__main__":
    sys.exit(main())
