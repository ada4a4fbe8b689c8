"""What clients send, against pydantic's models, and the words for what does not fit."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.errors import FieldInvalid
from app.pipelines.base import Params, Pipeline

_PLAIN_NAME = re.compile(r"[\w.-]{1,40}", re.ASCII)
"""Field names that can be put into a header."""
_NAMED = 5

Model = TypeVar("Model", bound=BaseModel)


def params_of(pipeline: Pipeline, fields: Mapping[str, object]) -> Params:
    """The fields that the pipeline knows, validated; others are ignored.

    Raises:
        FieldInvalid: one line that names each field that does not fit.
    """
    return validated(pipeline.params, fields)


def validated(model: type[Model], fields: Mapping[str, object]) -> Model:
    """The fields as an instance of a model.

    Raises:
        FieldInvalid: one line that names each field that does not fit.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise refusal(error.errors()) from error


def ignored_fields(
    given: Iterable[str], model: type[BaseModel], also: Collection[str] = ()
) -> tuple[str, ...]:
    """A warning for each field that a request has in vain, such as a slip; for some of many.

    Args:
        given: names of the request's fields.
        model: what reads them.
        also: names that mean something beside the model's.
    """
    known = {field.alias or name for name, field in model.model_fields.items()}.union(also)
    slips = [name for name in given if name not in known and _PLAIN_NAME.fullmatch(name)]
    return tuple(f"{it} is no field and was ignored{_hint(it, known)}" for it in slips[:_NAMED])


def _hint(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f": {near[0]} is one" if near else ""


def sized(
    fields: Mapping[str, object],
    size: tuple[int, int] | None,
    native_size: tuple[int, int] | None,
) -> Mapping[str, object]:
    """The fields with a (width, height) that stood elsewhere in the request.

    Where the request has no size at all, it is the one that the model was trained for.
    """
    if size is None and not fields.keys() & {"width", "height"}:
        size = native_size
    return fields if size is None else {**fields, "width": size[0], "height": size[1]}


def reworded(issue: Mapping[str, Any]) -> dict[str, Any]:
    """What FastAPI found, without the input; it reads a body of another type as no JSON at all."""
    kept = {key: issue[key] for key in ("loc", "msg", "type")}
    if issue["type"] in ("model_attributes_type", "missing") and issue["loc"] == ("body",):
        kept["msg"] = "Send a JSON object, with Content-Type: application/json."
    elif issue["type"] == "json_invalid":
        kept["msg"] += f": {issue['ctx']['error']}"
    elif "Expected UploadFile" in issue["msg"]:
        kept["msg"] = "Send a file; with curl: -F image=@picture.png"
    return kept


def unreadable(cause: BaseException | None) -> str | None:
    """What Python's parser could not take of a body; None if it was something else."""
    if isinstance(cause, UnicodeDecodeError):
        return "The body is not UTF-8."
    if isinstance(cause, RecursionError):
        return "The body is too deeply nested."
    if isinstance(cause, ValueError) and "digits" in str(cause):
        return "The body has too long a number."
    return None


def refusal(issues: Sequence[Mapping[str, Any]]) -> FieldInvalid:
    """pydantic's list of what is wrong as an error; the first field is the one to blame."""
    return FieldInvalid(describe_issues(issues), _field(issues[0]["loc"]))


def describe_issues(issues: Sequence[Mapping[str, Any]]) -> str:
    """pydantic's list of what is wrong, as one line that names each field."""
    return "; ".join(f"{_field(issue['loc'])}: {plain_reason(issue['msg'])}" for issue in issues)


def _field(location: Sequence[str | int]) -> str:
    """`prompt` for `("body", "prompt")`; the framework's own first part says nothing.

    A number alone is where the JSON broke off, and no field.
    """
    parts = location[1:] if location and location[0] in ("body", "query", "path") else location
    return ".".join(map(str, parts)) if any(isinstance(part, str) for part in parts) else "body"


def plain_reason(message: str) -> str:
    """Pydantic's message without what it puts before the words of our own validators."""
    return message.removeprefix("Value error, ")
