"""What errors keep alive: a failed forward's tensors would fill the memory of the next attempt."""

from __future__ import annotations

import traceback

_TITLE = "Raised while the hub made a call:"


def drop_frames(error: BaseException) -> None:
    """Let go of the frames that an error went through, and of the errors behind it."""
    behind = (error.__cause__, error.__context__)
    error.__traceback__ = error.__cause__ = error.__context__ = None
    for other in behind:
        if other is not None:
            drop_frames(other)


def write_down_frames(error: BaseException) -> None:
    """Do the same, but keep their text for the log; a greenlet drops what an error comes with."""
    text = "".join(traceback.format_exception(error))
    drop_frames(error)
    if _TITLE not in text:  # else it is raised once more, and would grow each time
        error.add_note(f"{_TITLE}\n{text}")
