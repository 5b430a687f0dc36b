"""The JSON API: what each route takes and gives. Answers have the keys that the commands print with `--json`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from lastfm_dask.serve import history, questions
from lastfm_dask.serve.guard import json_response, text_response
from lastfm_dask.serve.metrics import CONTENT_TYPE
from lastfm_dask.serve.openapi import document
from lastfm_dask.serve.opened import MAX_SUGGESTIONS
from lastfm_dask.serve.problems import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response

    from lastfm_dask.serve.service import Service

_BODY_S = 10.0
"""How long a body may take to arrive."""
RECOMMEND = ("likes", "n", "exclude", "min_listeners", "max_listeners", "novelty", "diverse", "explain")


class Api:
    """The routes of the API.

    Parameters
    ----------
    service : Service
        What answers.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._n_histories = 0

    def routes(self) -> list[Route]:
        """Return all routes."""
        both = ["GET", "POST"]
        return [
            Route("/api/artists", self.artists),
            Route("/api/recommend", self.recommend, methods=both),
            Route("/api/similar", self.similar),
            Route("/api/explain", self.explain, methods=both),
            Route("/api/score", self.score, methods=both),
            Route("/api/map", self.map, methods=["POST"]),
            Route("/api/history", self.history, methods=["POST"]),
            Route("/api/model", self.model),
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            Route("/openapi.json", self.openapi),
        ]

    async def artists(self, request: Request) -> Response:
        """Suggest artists for what was typed so far."""
        pairs = request.query_params.multi_items()
        typed = [text for name, text in pairs if name == "q"]
        if len(typed) > 1:
            raise Problem(400, "bad_input", "q stands twice in the query: give it once")
        question = questions.read_query([pair for pair in pairs if pair[0] != "q"], ("n",))
        opened, text = self.service.opened, typed[0] if typed else ""
        n = min(question.n, MAX_SUGGESTIONS)
        return json_response(await self.service.ask(opened.suggest, text, n))

    async def recommend(self, request: Request) -> Response:
        """Recommend artists for a list."""
        question = await self._question(request, RECOMMEND)
        question.some_likes()
        return json_response(await self.service.ask(self.service.opened.recommend, question))

    async def similar(self, request: Request) -> Response:
        """List the artists most like one."""
        allowed = ("artist", "n", "min_listeners")
        question = questions.read_query(request.query_params.multi_items(), allowed)
        values = question.the_artist(), question.n, question.min_listeners
        return json_response(await self.service.ask(self.service.opened.similar, *values))

    async def explain(self, request: Request) -> Response:
        """Say what each artist of a list adds to a score."""
        question = await self._question(request, ("likes", "artist"))
        values = question.the_artist(), question.some_likes()
        return json_response(await self.service.ask(self.service.opened.explain, *values))

    async def score(self, request: Request) -> Response:
        """Score artists for a list."""
        question = await self._question(request, ("likes", "artists", "vectors"))
        if not question.artists:
            raise Problem(400, "bad_input", "artists is missing or empty: name one at least")
        question.some_likes()
        return json_response(await self.service.ask(self.service.opened.score, question))

    async def map(self, request: Request) -> Response:
        """Place artists on a plane."""
        question = await self._question(request, ("artists",))
        return json_response(await self.service.ask(self.service.opened.neighbourhood, question.artists))

    async def history(self, request: Request) -> Response:
        """Match the artists of an export of somebody's history; nothing of it is kept."""
        if self._n_histories >= history.MAX_AT_ONCE:
            message = f"{history.MAX_AT_ONCE} histories are being read: send it again in some seconds"
            raise Problem(503, "busy", message, retry_after_s=5)
        self._n_histories += 1
        try:
            counted = history.Reader()
            async for chunk in _chunks(request, history.MAX_BYTES, history.MAX_S):
                await self.service.ask(counted.feed, chunk)
            plays = await self.service.ask(counted.plays)
            matched = await self.service.ask(self.service.opened.match, plays)
        finally:
            self._n_histories -= 1
        return json_response({"format": counted.format, "rows": counted.n_rows, **matched})

    async def model(self, request: Request) -> Response:  # noqa: ARG002
        """Say which model answers."""
        return json_response(self.service.opened.facts())

    async def healthz(self, request: Request) -> Response:  # noqa: ARG002
        """Say that the process answers."""
        return text_response("ok\n")

    async def readyz(self, request: Request) -> Response:  # noqa: ARG002
        """Say that the model is open: no request arrives before it is."""
        return text_response("ready\n")

    async def metrics(self, request: Request) -> Response:  # noqa: ARG002
        """Give all counters."""
        opened = self.service.opened
        labels = {"model": opened.name, "fingerprint": opened.model.manifest.fingerprint}
        return text_response(self.service.metrics.text(labels), content_type=CONTENT_TYPE)

    async def openapi(self, request: Request) -> Response:  # noqa: ARG002
        """Describe this API."""
        return json_response(document())

    async def _question(self, request: Request, allowed: tuple[str, ...]) -> questions.Question:
        if request.method == "POST":
            # Whatever it is called: nothing here changes by a request, so no site can do harm with another's.
            body = b"".join([chunk async for chunk in _chunks(request, questions.MAX_BODY_BYTES, _BODY_S)])
            return questions.read_body(body, allowed)
        pairs: Any = request.query_params.multi_items()
        return questions.read_query(pairs, allowed, self.service.opened.model.knows_artist)


async def _chunks(request: Request, most: int, most_s: float) -> AsyncIterator[bytes]:
    """Yield a body piece by piece; raises Problem where it is too large or takes too long."""
    too_large = Problem(413, "body_too_large", f"the body is larger than {most} bytes")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > most:
        raise too_large
    n_bytes = 0
    stream = request.stream()
    ends = asyncio.get_running_loop().time() + most_s
    while True:
        try:
            left = ends - asyncio.get_running_loop().time()
            chunk = await asyncio.wait_for(anext(stream, None), max(left, 0.001))
        except TimeoutError as error:
            raise Problem(408, "body_too_slow", f"the body took longer than {most_s:.0f} seconds") from error
        if chunk is None:
            return
        n_bytes += len(chunk)
        if n_bytes > most:
            raise too_large
        yield chunk
