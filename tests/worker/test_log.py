"""What the worker's libraries log reaches the API process, in the log's own form."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from app.engine.channel import Channel
from app.worker.log import UNSAID, ChannelHandler, log_libraries, log_to
from tests.server import ServerProcess, settings_of

LIBRARIES = (diffusers_logging, transformers_logging)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Channel]:
    """The API process's end of a worker's log."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    ours, theirs = Channel.pair()
    log_to(Channel(theirs))
    log_libraries()
    yield ours
    for library in LIBRARIES:
        library.enable_default_handler()
        library.disable_propagation()


@pytest.mark.parametrize("name", ["diffusers.models", "transformers.models"])
def test_libraries_log_as_all_others_do(
    lines: Channel, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for beginning in UNSAID:
        logging.getLogger(name).error(f"{beginning}: and so on")
    logging.getLogger(name).error("something is amiss")
    line, _ = lines.receive()
    assert (line.logger, line.text) == (name, "something is amiss")  # type: ignore[union-attr]
    assert capsys.readouterr().err == ""


def test_a_slip_in_a_librarys_own_call_ends_nothing() -> None:
    ours, theirs = Channel.pair()
    handler = ChannelHandler(Channel(theirs))
    for text, argument in (("this is deprecated", FutureWarning), ("the next %s", "line")):
        handler.handle(
            logging.LogRecord("some.model", logging.ERROR, "", 0, text, (argument,), None)
        )
    line, _ = ours.receive()
    assert line.text == "the next line"  # type: ignore[union-attr]


def test_the_demo_starts_without_remarks(tmp_path: Path) -> None:
    with ServerProcess(settings_of(tmp_path, "image-to-video", MODEL_ID="demo")) as server:
        server.wait_ready()
    assert UNSAID[0] not in server.log
