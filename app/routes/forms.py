"""Routes that take a form: what is none, or not a whole one, is told so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser

from app.errors import BadRequest, FieldInvalid

MULTIPART = "multipart/form-data"
FORMS = (MULTIPART, "application/x-www-form-urlencoded")


class FormRoute(APIRoute):
    """A route with a form. FastAPI reads any other body as a form without fields.

    Attributes:
        file_field: the field that takes a picture.
    """

    file_field = "image"

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler behind a look at the content type."""
        handle = super().get_route_handler()

        async def handle_form(request: Request) -> Response:
            if _content_type(request) not in FORMS:
                raise self._not_a_form()
            return await handle(_FormRequest(request.scope, request.receive))

        return handle_form

    def _not_a_form(self) -> RequestValidationError:
        remedy = f"Send {MULTIPART}; with curl: -F {self.file_field}=@picture.png"
        return RequestValidationError([{"loc": ("body",), "msg": remedy, "type": "form_type"}])


def refuse_repeated(given: FormData, model: type[BaseModel]) -> None:
    """Refuse a form that has a field of the model twice: only the last one would count.

    Raises:
        FieldInvalid: which one.
    """
    counts = Counter(name for name, _ in given.multi_items())
    for name in model.model_fields:
        if counts[name] > 1:
            raise FieldInvalid(f"{name}: send it once; {counts[name]} were sent.", name)


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


class _FormRequest(Request):
    """A request whose multipart form is read by `_MultipartParser`."""

    async def _get_form(
        self,
        *,
        max_files: int | float = 1000,
        max_fields: int | float = 1000,
        max_part_size: int = 1024 * 1024,
    ) -> FormData:
        if self._form is None and _content_type(self) == MULTIPART:
            async with aclosing(self.stream()) as stream:
                parser = _MultipartParser(
                    self.headers,
                    stream,
                    max_files=max_files,
                    max_fields=max_fields,
                    max_part_size=max_part_size,
                )
                self._form = await parser.parse()
        return await super()._get_form(
            max_files=max_files, max_fields=max_fields, max_part_size=max_part_size
        )


class _MultipartParser(MultiPartParser):
    """Refuses what the framework's own lets pass: an early end, and text in another encoding."""

    _has_ended = False

    def on_part_end(self) -> None:
        """Take a part that is complete."""
        part = self._current_part
        if part.file is None:
            try:
                part.data.decode(self._charset)
            except UnicodeDecodeError as error:
                name = part.field_name
                raise FieldInvalid(
                    f"{name}: the text is not {self._charset.upper()}.", name
                ) from error
        super().on_part_end()

    def on_end(self) -> None:
        """Note that the last boundary has come."""
        self._has_ended = True

    async def parse(self) -> FormData:
        """The whole form.

        Raises:
            BadRequest: why it cannot be read.
        """
        try:
            form = await super().parse()
        except MultiPartException as error:
            raise BadRequest(error.message) from error
        if not self._has_ended:
            await form.close()
            raise BadRequest("The body ended early: its last boundary is missing; send all of it.")
        return form
