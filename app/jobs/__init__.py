"""Asynchronous jobs that survive the process: their queue on disk and what serves it."""
