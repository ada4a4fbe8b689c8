"""The plain loop (`benchmarks.plain`) as a process that can take turns with the service."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from benchmarks.work import Work


class PlainLoop:
    """The process of the plain loop; an async context manager."""

    def __init__(self, pipeline: str, model_id: str) -> None:
        self._model = {"pipeline": pipeline, "model_id": model_id}
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.plain",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        await self._ask(self._model)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def run(self, work: Work) -> float:
        """Seconds that the pipeline's call took, to images in memory."""
        return float((await self._ask(asdict(work)))["seconds"])

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the plain loop ended; its error is above")
        answer: dict[str, Any] = json.loads(line)
        return answer
