"""Entry of the worker process: `python -m app.worker DESCRIPTOR PARENT`."""

from __future__ import annotations

import sys

from app.worker.process import die_with_parent, ignore_group_signals

if __name__ == "__main__":
    # Before anything that takes time.
    die_with_parent(int(sys.argv[2]))
    ignore_group_signals()
    from app.worker.main import main

    sys.exit(main(int(sys.argv[1])))
