"""Ray Serve: the service on many GPUs and machines. See docs/scaling.md.

    pip install -r requirements-ray.txt
    serve run ray_app:app                 on this machine, or from a node of a cluster
    serve deploy serve.yaml               on a cluster that runs

Settings are the environment's: those of the service, and those of `RaySettings`.
"""

from __future__ import annotations

from app.environment import SettingsError, exit_on
from app.ray_backend.deployment import ray_application
from app.ray_backend.ray_settings import RaySettings
from app.settings import Settings

with exit_on(SettingsError):
    app = ray_application(Settings.from_environment(), RaySettings.from_environment())
