"""Ray Serve: the service on many GPUs and machines. See docs/scaling.md.

    pip install -r requirements-ray.txt
    serve run ray_app:app                 on this machine, or from a node of a cluster
    serve deploy serve.yaml               on a cluster that runs

Settings are the environment's: those of the service, and those of `RaySettings`.
"""

from __future__ import annotations

import sys

from pydantic import ValidationError

from app.ray_backend.deployment import ray_application
from app.ray_backend.ray_settings import RaySettings
from app.settings import Settings, SettingsError

try:
    app = ray_application(Settings.from_environment(), RaySettings())
except (SettingsError, ValidationError) as error:
    sys.exit(f"error: {error}")
