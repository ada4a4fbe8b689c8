"""Entry of the worker process: `python -m app.worker DESCRIPTOR`."""

from __future__ import annotations

import sys

from app.worker.main import main

if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
