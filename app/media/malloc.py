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
_LARGEST_KEPT_BYTES = 8 << 20


def keep_freed_memory() -> None:
    """Have the C library keep free memory in pieces of up to 8 MB.

    All threads share that reserve: with one each, a machine of many cores would keep gigabytes.
    Threads that run already keep their own.
    """
    if library := _glibc():
        library.mallopt(_ARENA_MAX, 1)
        library.mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        library.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


def give_back_freed_memory() -> None:
    """Return it to the system, but for 64 MB at the end of the heap; takes up to 0.1 s.

    By itself the library returns nothing that lies below a piece in use.
    """
    if library := _glibc():
        library.malloc_trim(_KEPT_BYTES)


def _glibc() -> ctypes.CDLL | None:
    """The C library, where it is the one that has these functions."""
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
