"""The application: routes, what becomes of errors, and the guard around it all."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from lastfm_dask.errors import LastfmDaskError
from lastfm_dask.serve.api import Api
from lastfm_dask.serve.guard import Access, Guard, problem_response
from lastfm_dask.serve.pages import Pages
from lastfm_dask.serve.problems import Problem, problem_of
from lastfm_dask.serve.service import log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

    from lastfm_dask.serve.service import Service

_GONE = 499
_CODES = {404: "not_found", 405: "method_not_allowed"}


def application(service: Service, access: Access, *, watch: bool = False) -> ASGIApp:
    """Return the application that answers for a service.

    Parameters
    ----------
    service : Service
        What answers.
    access : Access
        Who may ask.
    watch : bool
        Whether to take up a new model as soon as it lies there.
    """
    pages = Pages(service)

    async def on_problem(request: Request, error: Exception) -> Response:
        problem = _problem(error)
        if request.url.path.startswith("/api/") or "text/html" not in request.headers.get("accept", ""):
            return problem_response(problem)
        return pages.problem(problem)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:  # noqa: ARG001
        tasks = [asyncio.create_task(service.measure())]
        if watch:
            tasks.append(asyncio.create_task(service.watch()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            service.close()

    handlers: dict[Any, Any] = dict.fromkeys(
        (Problem, LastfmDaskError, HTTPException, ClientDisconnect, Exception), on_problem
    )
    app = Starlette(
        routes=[*Api(service).routes(), *pages.routes()], exception_handlers=handlers, lifespan=lifespan
    )
    return Guard(app, access, service.metrics)


def _problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, LastfmDaskError):
        problem = problem_of(error)
        if problem.status >= 500:
            log.error("%s: %s", problem.code, error)
        return problem
    if isinstance(error, HTTPException):
        code = _CODES.get(error.status_code, "refused")
        return Problem(error.status_code, code, f"{error.detail}: /openapi.json lists what may be asked")
    if isinstance(error, ClientDisconnect):
        return Problem(_GONE, "client_gone", "the client went away")
    return Problem(500, "internal", "this is a defect of the server: its log has the traceback")
