"""Calls that are made in smaller pieces if they fail as a whole."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from app.worker.calls import Part, joined
from app.worker.frames import write_down_frames
from app.worker.limits import RowLimits
from app.worker.memory import free_cached_memory, is_device_broken, is_out_of_memory
from app.worker.pieces import pieces_of
from app.worker.threads import Threads

logger = logging.getLogger(__name__)


class Attempts:
    """Makes calls of several parts; if one fails, halves it to find out which part is to blame.

    Memory that does not hold all rows at once often holds them in two calls. Whatever else is
    wrong with one request must not fail its neighbours.
    """

    def __init__(self, limits: RowLimits, threads: Threads) -> None:
        """Prepare.

        Args:
            limits: rows per call; told what fits.
            threads: those of each call.
        """
        self._limits = limits
        self._threads = threads

    def make(self, parts: Sequence[Part], pads: bool) -> dict[Part, Any]:
        """The result, or exception, of each part.

        Args:
            parts: rows of calls that have one signature.
            pads: whether calls are filled up to the policy's buckets: a denoiser's, not a VAE's.

        Raises:
            RuntimeError: the device is broken.
        """
        outcome = self._attempt(parts, pads)
        if not isinstance(outcome, Exception):
            return outcome
        rows = sum(part.rows for part in parts)
        if is_out_of_memory(outcome):
            free_cached_memory()
            if rows == 1:
                return self._last_attempt(parts[0], pads)
            logger.warning("out of memory with %d rows: halving them", rows)
            self._limits.did_not_fit(rows, parts[0].call.signature)
            if len(parts) == 1:
                return {parts[0]: self._together(parts[0].halves(), pads)}
        if len(parts) == 1:
            return {parts[0]: outcome}
        middle = len(parts) // 2
        return self.make(parts[:middle], pads) | self.make(parts[middle:], pads)

    def _last_attempt(self, part: Part, pads: bool) -> dict[Part, Any]:
        """Of a single row, with all the memory that could be freed; a decoding's in pieces."""
        outcome = self._attempt([part], pads)
        if not isinstance(outcome, Exception):
            return outcome
        pieces = [] if pads or not is_out_of_memory(outcome) else pieces_of(part)
        if not pieces:
            return {part: outcome}
        logger.warning("out of memory in a decoding: making it in pieces")
        free_cached_memory()
        return {part: self._together(pieces, pads)}

    def _together(self, pieces: Sequence[Part], pads: bool) -> Any:
        """Result, or exception, of what was too much for one call."""
        outcomes: dict[Part, Any] = {}
        for piece in pieces:
            outcomes |= self.make([piece], pads)
        errors = [it for it in outcomes.values() if isinstance(it, Exception)]
        return errors[0] if errors else joined([outcomes[piece] for piece in pieces])

    def _attempt(self, parts: Sequence[Part], pads: bool) -> dict[Part, Any] | Exception:
        """Results of one call of all parts, or why it failed."""
        call, rows = parts[0].call, sum(part.rows for part in parts)
        try:
            if pads:
                with self._limits.watching(rows * call.row_size):
                    outcomes = self._threads.run(parts, self._limits.padded(rows))
            else:
                outcomes = self._threads.run(parts)
        except Exception as error:
            if is_device_broken(error):
                raise
            write_down_frames(error)
            return error
        self._limits.did_fit(rows, call.signature)
        return outcomes
