"""`python -m tests.serverless.run_handler`: handler.py with the fake worker."""

from __future__ import annotations

import handler
from app.engine.service import LocalService
from tests.serve_fake import FAKE_WORKER

if __name__ == "__main__":
    handler.main(lambda settings: LocalService(settings, worker_command=FAKE_WORKER))
