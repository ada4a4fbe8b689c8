"""What a request's body may be, decided while it comes: once it is parsed it is too late."""

from __future__ import annotations

from types import MappingProxyType

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BadRequest, RequestTooLarge, RunnerError
from app.routes.arrivals import Arrivals
from app.routes.gates import ErrorResponse, Guard
from app.routes.paths import routed_path

MOST = MappingProxyType({b",": 50_000, b"[": 50_000, b"{": 50_000, b"&": 50_000, b"%": 50_000,
                         b"\\": 400_000})  # fmt: skip
"""Signs in a JSON document or a form. Each makes a value for the parser, which holds up all else
while it works: for seconds if twenty megabytes are commas. Files in base64 have none of them, but
for the backslashes that some languages put before a slash."""
JSON_BEGINS = (b"{", b"[")
BEFORE_JSON = b" \t\r\n\0\xef\xbb\xbf\xfe\xff"
"""White space and the marks of an encoding."""
PLAIN = "identity"
"""The content encoding that is none (RFC 9110, section 12.5.3)."""
PLAIN_FORM = "application/x-www-form-urlencoded"


class BodyLimit:
    """Refuses a body that is too large, too slow or too much work, by its length or as it comes.

    Args:
        arrivals: what is on its way here.
        respond: see `ErrorResponse`.
        takes_files: where a body may be a file, whatever its type is said to be.
    """

    def __init__(
        self, app: ASGIApp, arrivals: Arrivals, respond: ErrorResponse, takes_files: Guard
    ) -> None:
        self._app = app
        self._arrivals = arrivals
        self._respond = respond
        self._takes_files = takes_files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at what the application reads."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if error := self._refusal(headers):
            await self._respond(error, routed_path(scope))(scope, receive, send)
            return
        is_form = headers.get("content-type", "").lower().startswith(PLAIN_FORM)
        is_text = is_form and not self._takes_files("POST", routed_path(scope))
        body = _Body(self._arrivals, receive, is_text)
        try:
            await self._app(scope, body.receive, send)
        finally:
            body.leave()

    def _refusal(self, headers: Headers) -> RunnerError | None:
        """What can be said before anything of the body comes."""
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self._arrivals.max_bytes:
            return self._arrivals.too_large()
        if headers.get("content-encoding", PLAIN).strip().lower() != PLAIN:
            return BadRequest("Content-Encoding is not supported: send the body as it is.")
        return None


class _Body:
    """One body, as far as it has come."""

    def __init__(self, arrivals: Arrivals, receive: Receive, is_text: bool) -> None:
        self._arrivals = arrivals
        self._receive = receive
        self._is_text: bool | None = is_text or None  # None: not known before it begins
        self._is_whole = False
        self._size = 0
        self._counted = 0
        self._signs = dict.fromkeys(MOST, 0)

    async def receive(self) -> Message:
        """The server's next message.

        Raises:
            BodyOverdue: there was none for too long.
            ShuttingDown: the server is to end.
            RequestTooLarge: the body is too large, or too much work.
            Overloaded: too much is on its way, from all clients.
        """
        if self._is_whole:
            return await self._receive()
        async with self._arrivals.pause():
            message = await self._receive()
        self._take(message.get("body", b""))
        if not message.get("more_body", False):
            self._is_whole = True
            self.leave()
        return message

    def leave(self) -> None:
        """Give up what was counted."""
        self._arrivals.make_room(-self._counted)
        self._counted = 0

    def _take(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._arrivals.max_bytes:
            raise self._arrivals.too_large()
        self._counted += len(part)
        self._arrivals.make_room(len(part))
        if self._is_text is None:
            begin = part.lstrip(BEFORE_JSON)[:1]
            self._is_text = begin in JSON_BEGINS if begin else None
        if self._is_text:
            self._count_signs(part)

    def _count_signs(self, part: bytes) -> None:
        for sign, most in MOST.items():
            self._signs[sign] += part.count(sign)
            if self._signs[sign] > most:
                raise RequestTooLarge(
                    f"The request holds more than {most} of {sign.decode()!r}: a file has to be "
                    "sent as multipart/form-data or, in JSON, as base64."
                )
