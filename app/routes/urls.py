"""Whether an answer carries its media or leads to them, and where clients reach this service."""

from __future__ import annotations

from fastapi import Request

from app.engine.encoding import Output
from app.errors import FieldInvalid
from app.routes.state import runner_of, services_of

_CHOICES = {"url": True, "data_url": False}


def answers_by_url(request: Request) -> bool:
    """Whether media are to be answered by URL: as the query's `response` says, or the setting.

    Raises:
        FieldInvalid: `response` is neither `url` nor `data_url`.
    """
    asked = request.query_params.get("response")
    if asked is None:
        return runner_of(request.app).settings.response_urls
    if asked not in _CHOICES:
        raise FieldInvalid(f"response is {asked!r}: choose {' or '.join(_CHOICES)}.", "response")
    return _CHOICES[asked]


def base_url(request: Request) -> str:
    """PUBLIC_URL, or where this request was sent; without a slash at its end.

    Behind a proxy that is trusted (uvicorn's FORWARDED_ALLOW_IPS), it is where the proxy was
    asked.
    """
    public_url = runner_of(request.app).settings.public_url
    return (public_url or str(request.base_url)).rstrip("/")


async def publish(request: Request, output: Output) -> Output:
    """Keep the files of an output for clients to fetch; those without room stay as they are."""
    publisher = services_of(request.app).publisher
    return await publisher.publish_output(output, base_url(request))
