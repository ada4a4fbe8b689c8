"""Messages and pixels between two processes' ends."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import pytest

from app import errors
from app.engine.channel import Channel
from app.engine.messages import Cancel, Failed


def pair() -> tuple[Channel, Channel]:
    ours, theirs = Channel.pair()
    return ours, Channel(theirs)


def test_messages_arrive_in_order_with_their_pixels() -> None:
    ours, theirs = pair()
    pixels = os.urandom(5_000_000)
    sender = threading.Thread(
        target=lambda: [ours.send(Cancel("a"), memoryview(pixels)), ours.send(Cancel("b"))]
    )
    sender.start()
    message, received = theirs.receive()
    assert message == Cancel("a")
    assert bytes(received) == pixels
    assert theirs.receive() == (Cancel("b"), None)
    sender.join()


def test_pixels_cannot_be_written_by_the_receiver() -> None:
    ours, theirs = pair()
    ours.send(Cancel("a"), memoryview(b"abc"))
    _, received = theirs.receive()
    assert received.readonly


def test_descriptors_do_not_leak() -> None:
    ours, theirs = pair()
    before = descriptors_of_pixels()
    for _ in range(20):
        ours.send(Cancel("a"), memoryview(b"abc"))
        theirs.receive()
    # A mapping holds its own duplicate until it is collected; none may be left beyond that.
    assert descriptors_of_pixels() <= before + 1


def descriptors_of_pixels() -> int:
    """Open ones of this process; other tests' sockets come and go."""
    count = 0
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            count += "memfd:pixels" in os.readlink(file)
    return count


def test_closing_ends_the_other_side() -> None:
    ours, theirs = pair()
    ours.close()
    with pytest.raises(EOFError):
        theirs.receive()
    with pytest.raises(OSError):
        for _ in range(2):
            theirs.send(Cancel("a"), memoryview(b"abc"))


@pytest.mark.parametrize(
    "error",
    [
        errors.OutOfMemory(),
        errors.LoraInvalid("no such adapter"),
        errors.ModelMismatch("a", "b"),
        errors.Overloaded("full", 7),
    ],
)
def test_errors_keep_class_message_and_attributes(error: errors.RunnerError) -> None:
    ours, theirs = pair()
    ours.send(Failed("a", error))
    message, _ = theirs.receive()
    assert type(message.error) is type(error)
    assert message.error.message == error.message
    assert vars(message.error) == vars(error)


def test_closing_our_end_in_the_middle_of_a_message_ends_it() -> None:
    """What `Supervisor` does to a worker that it replaces, seen from its listening thread."""
    ours, theirs = Channel.pair()
    ended = threading.Event()

    def listen() -> None:
        with pytest.raises(EOFError):
            ours.receive()
        ended.set()

    theirs.sendall((1000).to_bytes(8, "big") + b"the beginning of a message")
    listener = threading.Thread(target=listen)
    listener.start()
    ours.close()
    listener.join()
    assert ended.is_set()
