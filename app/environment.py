"""Settings that are read from the environment, and one line about those that are wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from types import MappingProxyType
from typing import ClassVar, Self

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.validation import plain_reason

_ALIKE = 0.85
"""Part of their letters that two names share where one may be a slip for the other."""


class SettingsError(Exception):
    """The environment cannot be used; the message names the setting and the remedy."""


class EnvironmentSettings(BaseSettings):
    """A configuration, frozen once read.

    Each field is the environment variable of the same name in capitals. An empty variable
    counts as absent. Booleans are words: true, false, yes, no, on, off, 1, 0.

    Attributes:
        remedies: by variable, what to do where it is not set.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        env_ignore_empty=True,
        extra="ignore",
        protected_namespaces=(),
        allow_inf_nan=False,
    )
    remedies: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @classmethod
    def from_environment(cls, defaults: Mapping[str, str] = MappingProxyType({})) -> Self:
        """Read the environment.

        Args:
            defaults: by field, what holds where the environment says nothing.

        Raises:
            SettingsError: a value is missing or malformed; one line that names the settings.
        """
        present = os.environ  # noqa: TID251  # this is its only reader
        given = {key: value for key, value in defaults.items() if not present.get(key.upper())}
        return cls.of(given)

    @classmethod
    def of(cls, given: Mapping[str, object]) -> Self:
        """Read the environment, values that are given before it.

        Raises:
            SettingsError: a value is missing or malformed; one line that names the settings.
        """
        try:
            return cls(**given)  # type: ignore[arg-type]  # pydantic checks them
        except ValidationError as error:
            raise SettingsError(_explain(error, cls.remedies)) from None

    @classmethod
    def misspelt(cls) -> Mapping[str, str]:
        """Variables that are no setting but look like one, and the settings that they look like."""
        names = [name.upper() for name in cls.model_fields]
        others = os.environ.keys() - set(names)  # noqa: TID251  # see above
        near = {name: get_close_matches(name, names, 1, _ALIKE) for name in sorted(others)}
        return {name: found[0] for name, found in near.items() if found}


@contextmanager
def exit_on(*kinds: type[Exception]) -> Iterator[None]:
    """End the process with one line and a failing exit code on an error of these kinds."""
    try:
        yield
    except kinds as error:
        sys.exit(f"error: {error}")


def _explain(error: ValidationError, remedies: Mapping[str, str]) -> str:
    """One line for all that is wrong, each part naming its setting and what it may be."""
    parts = []
    for entry in error.errors():
        if not entry["loc"]:  # not one setting's fault
            parts.append(plain_reason(entry["msg"]))
            continue
        name = str(entry["loc"][0]).upper()
        if entry["type"] == "missing":
            parts.append(f"{name} is not set: {remedies.get(name, 'set it in the environment')}")
        else:
            parts.append(f"{name}={entry['input']!r} is not valid: {plain_reason(entry['msg'])}")
    return "; ".join(parts)
