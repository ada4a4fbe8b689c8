"""Messages with pixels attached, between the API process and the worker process.

A message is pickled behind an 8-byte header; pixels travel as a file descriptor of anonymous
shared memory (SCM_RIGHTS), so that they are neither pickled nor left behind when a process
dies. Both ends trust each other: they are one program.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import socket
import struct
import tempfile
import threading
from typing import Self

_HEADER = struct.Struct("!Q")
_PATIENCE = struct.pack("@ll", 5, 0)
"""Seconds and microseconds (a `timeval`) that this process waits for the other one to read."""


class Channel:
    """One end of a connected pair. Sending is thread-safe; one thread may receive."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._sending = threading.Lock()

    @classmethod
    def pair(cls) -> tuple[Self, socket.socket]:
        """This process's end, and the socket to pass to the other process."""
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _PATIENCE)
        return cls(ours), theirs

    def send(self, message: object, pixels: memoryview | None = None) -> None:
        """Send one message, with a copy of `pixels` (contiguous bytes) attached.

        Raises:
            ConnectionError: the other end is gone.
            TimeoutError: it has not read for some seconds, and this end is of no more use.
            OSError: there is no memory or no descriptor for the pixels.
        """
        body = pickle.dumps(message)
        header = _HEADER.pack(len(body))
        with self._sending:
            descriptors = [] if pixels is None else [_shared_copy(pixels)]
            try:
                sent = socket.send_fds(self._socket, [header], descriptors)
                self._socket.sendall(header[sent:] + body)
            except BlockingIOError as error:
                raise TimeoutError from error
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    def receive(self) -> tuple[object, memoryview | None]:
        """Wait for one message and map the pixels attached to it (read-only).

        Raises:
            EOFError: the other end is gone.
        """
        try:
            header, descriptors = self._read_header()
            pixels = _map(descriptors[0]) if descriptors else None
            (length,) = _HEADER.unpack(header)
            body = self._read(length)
        except OSError as error:  # closed on this side, or the other end was killed
            raise EOFError from error
        return pickle.loads(body), pixels  # noqa: S301  # our own process

    def close(self) -> None:
        """Close this end; the other end's `receive` raises EOFError, and so does ours."""
        with contextlib.suppress(OSError):  # the other end was faster
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _read_header(self) -> tuple[bytes, list[int]]:
        header, descriptors = b"", []
        while len(header) < _HEADER.size:
            data, fds, _, _ = socket.recv_fds(self._socket, _HEADER.size - len(header), 1)
            if not data:
                raise EOFError
            header += data
            descriptors += fds
        return header, descriptors

    def _read(self, length: int) -> bytearray:
        buffer = bytearray(length)
        view = memoryview(buffer)
        while view:
            received = self._socket.recv_into(view)
            if not received:
                raise EOFError
            view = view[received:]
        return buffer


def _shared_copy(pixels: memoryview) -> int:
    """A descriptor of anonymous memory that holds a copy of `pixels`."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("pixels", os.MFD_CLOEXEC)
    else:  # macOS: an unlinked file serves as well
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    remaining = pixels.cast("B")
    while remaining:
        remaining = remaining[os.write(descriptor, remaining) :]
    return descriptor


def _map(descriptor: int) -> memoryview:
    try:
        return memoryview(mmap.mmap(descriptor, 0, prot=mmap.PROT_READ))
    finally:
        os.close(descriptor)
