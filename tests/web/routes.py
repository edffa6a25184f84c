"""Every route of an application, found in the application itself: who adds one need not think of these tests."""

import re
from collections.abc import Iterator

from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

ENDLESS = "/api/v1/events"
"""Its answer has no end; it is heard elsewhere."""


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    """Method and path of each, with parameters as ``{name}``; of a mounted folder, one of its files."""
    return sorted(set(_found(app.routes)))


def filled(path: str, value: str = "0" * 32) -> str:
    """The path with ``value`` for each parameter."""
    return re.sub(r"\{[^}]*\}", lambda _: value, path)


def _found(routes: list[BaseRoute]) -> Iterator[tuple[str, str]]:
    for route in routes:
        if isinstance(route, Route):
            yield from ((method, route.path) for method in route.methods or ())
        elif isinstance(route, Mount):
            yield "GET", f"{route.path}/base.css"
        elif not isinstance(route, WebSocketRoute):
            # FastAPI keeps the routers that it includes.
            yield from _found(route.original_router.routes)  # type: ignore[attr-defined]
