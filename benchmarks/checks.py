"""What cannot be measured, said in one line before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from app.engine.admission import Admission
from app.settings import Settings
from benchmarks.compare import PLAIN, changes_of
from benchmarks.work import Work, params_of


class BadOption(Exception):
    """The command line cannot be followed; the message says why."""


def check_names(names: Sequence[str]) -> None:
    """Refuse to compare settings that do not exist: a misspelt one would change nothing.

    Raises:
        BadOption: there is one; the message names the nearest that does.
    """
    as_written = {name.upper(): name.upper() for name in Settings.model_fields}
    as_written[PLAIN.upper()] = PLAIN
    for name in names:
        for setting in changes_of(name):
            if setting not in Settings.model_fields:
                near = get_close_matches(setting.upper(), as_written, n=1)
                remedy = f"did you mean {as_written[near[0]]}?" if near else "see README.md."
                raise BadOption(f"--compare: there is no setting {setting.upper()!r}; {remedy}")


def check_file(option: str, path: Path) -> None:
    """Refuse a file that cannot be written; it is left as it is.

    Args:
        option: that names it.
        path: of the file, which need not exist.

    Raises:
        BadOption: why it cannot be written.
    """
    if not path.parent.is_dir():
        raise BadOption(f"{option} {path}: there is no folder {path.parent}.")
    is_new = not path.exists()
    try:
        path.open("ab").close()  # permissions alone do not tell: the disk may be read-only
    except OSError as error:
        raise BadOption(f"{option} {path} cannot be written: {error.strerror}.") from error
    if is_new:
        path.unlink()


def check_work(settings: Settings, work: Work) -> None:
    """Refuse a request that the service would not take.

    Raises:
        BadRequest: why not, in the service's words.
    """
    admission = Admission(settings)
    admission.image_size(work.width, work.height)
    admission.admit(params_of(settings.pipeline, work))
