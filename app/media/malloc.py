"""Has the C library keep the memory that pictures leave behind, for the next ones.

A picture of 1024x1024 takes some 20 MB on its way in and out, a few times 4 MB at once. By default
glibc gives such pieces back to the system as soon as they are free, and the system fills those of
the next picture with zeros, page by page: a third of the time that is spent on a picture.
"""

from __future__ import annotations

import ctypes

# The parameters' numbers, from glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8

_KEPT_BYTES = 64 << 20
_LARGEST_KEPT_BYTES = 32 << 20  # more is refused by older versions of glibc


def keep_freed_memory() -> None:
    """Keep up to 64 MB that are free, in pieces of up to 32 MB; nothing where there is no glibc.

    All threads share that one reserve: with one each, a machine of many cores would keep gigabytes.
    Threads that run already keep their own.
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return
    library.mallopt(_ARENA_MAX, 1)
    library.mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
    library.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
