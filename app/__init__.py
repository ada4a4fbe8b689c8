"""The runner: one diffusion pipeline behind an HTTP API."""
