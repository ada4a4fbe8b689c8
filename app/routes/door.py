"""What a protocol brings to the service."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter

from app.error_table import Dialect
from app.routes.gates import Guard
from app.settings import DoorName


@dataclass(frozen=True, slots=True)
class Door:
    """One protocol, which DOORS may leave shut.

    Attributes:
        name: its name in DOORS.
        router: its routes.
        guard: which requests are only for those with the token.
        dialect: how it words errors; None for the Livepeer way.
    """

    name: DoorName
    router: APIRouter
    guard: Guard
    dialect: Dialect | None = None
