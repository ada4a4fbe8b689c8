"""Entry of the worker process: `python -m app.worker DESCRIPTOR PARENT`."""

from __future__ import annotations

import sys

from app.worker.process import die_with_parent

if __name__ == "__main__":
    die_with_parent(int(sys.argv[2]))  # before anything that takes time
    from app.worker.main import main

    sys.exit(main(int(sys.argv[1])))
