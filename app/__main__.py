"""`python -m app`: serve on HOST and PORT."""

from __future__ import annotations

import sys

from app.garbage import made_to_stay

with made_to_stay():
    import uvicorn

    from app.engine.runner import Runner
    from app.main import create_app_from_environment, exit_code

LAST_ANSWERS = 5
"""Seconds that clients get to read their answers after the last job, before the process ends."""


def main() -> int:
    """Serve until told to stop; the process's exit code."""
    app = create_app_from_environment()
    runner: Runner = app.state.runner
    host, port = runner.settings.host, runner.settings.port
    uvicorn.run(
        app,
        host=host,
        port=port,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=LAST_ANSWERS,
    )
    return exit_code(app)


if __name__ == "__main__":
    sys.exit(main())
