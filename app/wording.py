"""What libraries' errors say, for messages of one line."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """The first line; what follows it explains to those who know the library."""
    return str(error).strip().partition("\n")[0]


def on_one_line(error: BaseException, longest: int = 300) -> str:
    """All of it, up to `longest` characters; the error's name where it says nothing."""
    return " ".join(str(error).split())[:longest] or type(error).__name__
