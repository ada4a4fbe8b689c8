"""`python -m tests.serverless.serve_remote`: the service in front of the fake host."""

from __future__ import annotations

import uvicorn

from app.log import configure_logging
from app.serverless.remote_service import create_remote_app
from app.settings import Settings
from tests.serverless.fake_host import FakeHost

if __name__ == "__main__":
    settings = Settings.from_environment()
    configure_logging(settings)
    app = create_remote_app(settings, FakeHost(settings))
    uvicorn.run(app, host=settings.host, port=settings.port, access_log=False, log_config=None)
