"""Routes that take a form: what is none, or not a whole one, is told so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Coroutine
from contextlib import aclosing, suppress
from email.message import Message
from typing import Any, get_origin

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.datastructures import FormData, Headers
from starlette.formparsers import MultiPartException, MultiPartParser

from app.errors import BadRequest, FieldInvalid
from app.settings import MEBIBYTE
from app.validation import ignored_fields

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


async def ignored_in_form(
    request: Request, model: type[BaseModel], also: Collection[str] = ()
) -> tuple[str, ...]:
    """A warning for each field of the request's form that nothing reads; see `ignored_fields`.

    Raises:
        FieldInvalid: a field came twice, of which only the last one would count.
    """
    given = await request.form()
    counts = Counter(name for name, _ in given.multi_items())
    for attribute, field in model.model_fields.items():
        name = field.alias or attribute
        if counts[name] > 1 and get_origin(field.annotation) is not list:
            raise FieldInvalid(f"{name}: send it once; {counts[name]} were sent.", name)
    return ignored_fields(given, model, also)


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


class _FormRequest(Request):
    """A request whose multipart form is read by `_MultipartParser`."""

    _whole_form: FormData | None = None

    async def form(  # type: ignore[override]  # awaited only, here and by FastAPI
        self,
        *,
        max_files: int | float = 1000,
        max_fields: int | float = 1000,
        max_part_size: int = MEBIBYTE,
    ) -> FormData:
        """The form; what was read first is kept.

        Raises:
            BadRequest: why it cannot be read.
        """
        if self._whole_form is None:
            reading = super().form if _content_type(self) != MULTIPART else self._multipart
            self._whole_form = await reading(
                max_files=max_files, max_fields=max_fields, max_part_size=max_part_size
            )
        return self._whole_form

    async def _multipart(
        self, *, max_files: int | float, max_fields: int | float, max_part_size: int
    ) -> FormData:
        async with aclosing(self.stream()) as stream:
            parser = _MultipartParser(
                self.headers,
                stream,
                max_files=max_files,
                max_fields=max_fields,
                max_part_size=max_part_size,
            )
            # All stays in memory: a disk is slower, may be full and may be read-only.
            parser.spool_max_size = max_part_size
            return await parser.parse()


class _MultipartParser(MultiPartParser):
    """Refuses what the framework's own lets pass: an early end, and text in another encoding."""

    _has_ended = False

    def on_part_begin(self) -> None:
        """Begin a part."""
        super().on_part_begin()
        self._part = bytearray()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of it."""
        super().on_part_data(data, start, end)
        self._part += data[start:end]

    def on_part_end(self) -> None:
        """Take it; the framework reads text in another encoding than the form's as Latin-1."""
        super().on_part_end()
        name, value = self.items[-1]
        if isinstance(value, str):
            _check_text(name, self._part, self.headers)
        self._part = bytearray()

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


def _check_text(name: str, data: bytearray, headers: Headers) -> None:
    """Refuse a field that is not in the encoding of its form; one of an unknown one is taken."""
    content_type = Message()
    content_type["Content-Type"] = headers["content-type"]
    charset = content_type.get_content_charset("utf-8")
    with suppress(LookupError):
        try:
            data.decode(charset)
        except UnicodeDecodeError as error:
            raise FieldInvalid(f"{name}: the text is not {charset.upper()}.", name) from error
