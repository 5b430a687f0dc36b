"""The pages: what they show is decided here, how it looks in `templates/` and `static/`.

Every page is whole without JavaScript: a list is a form, a change is a link. The script asks for the same addresses
with `part` and puts what comes in its place, so there is one markup, escaped in one place.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

from jinja2 import DictLoader, Environment, StrictUndefined
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from lastfm_dask.serve import data_page, shown
from lastfm_dask.serve.page_question import MAX_LIKES, PageQuestion, read_page_question
from lastfm_dask.serve.problems import Problem

if TYPE_CHECKING:
    from starlette.requests import Request

    from lastfm_dask.serve.opened import Opened
    from lastfm_dask.serve.service import Service

_TYPES = {
    "page.js": "text/javascript; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_TEMPLATES = ("base", "index", "list", "answers", "artist", "similar", "data", "problem", "macros")
_PARTS = {"all": ("list", "answers"), "answers": ("answers",)}
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}


class Pages:
    """The routes of the pages. Templates and static files are read once: no request reaches the file system.

    Parameters
    ----------
    service : Service
        What answers.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        folder = files("lastfm_dask.serve")
        self._static = {name: (folder / "static" / name).read_bytes() for name in _TYPES}
        sources = {
            f"{name}.html": (folder / "templates" / f"{name}.html").read_text(encoding="utf-8")
            for name in _TEMPLATES
        }
        self._environment = Environment(
            loader=DictLoader(sources),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(number=shown.number, percent=shown.percent, short=shown.short)
        digest = hashlib.sha256(b"".join(self._static.values())).hexdigest()[:12]
        self._environment.globals.update(version=digest, max_likes=MAX_LIKES)
        # A weak reference: the page must not keep a model that was replaced in memory.
        self._data: tuple[ReferenceType[Opened], str] | None = None

    def routes(self) -> list[Route]:
        """Return all routes."""
        return [
            Route("/", self.index),
            Route("/artist", self.artist),
            Route("/data", self.data),
            Route("/static/{name}", self.static),
            Route("/favicon.ico", self.icon),
        ]

    async def index(self, request: Request) -> Response:
        """Show the form, the list and its answers; with `part` only the parts that changed."""
        pairs = request.query_params.multi_items()
        parts = [text for name, text in pairs if name == "part"]
        question = read_page_question([pair for pair in pairs if pair[0] != "part"])
        return HTMLResponse(await self.service.ask(self._index, question, parts[0] if parts else None))

    def _index(self, question: PageQuestion, part: str | None) -> str:
        facts = shown.answers(self.service.opened, question)
        if part is None:
            return self._render("index", **facts)
        if part not in _PARTS:
            raise Problem(400, "bad_input", f"part is one of {', '.join(_PARTS)}")
        return "".join(
            f'<div data-part="{name}">{self._render(name, **facts)}</div>' for name in _PARTS[part]
        )

    async def artist(self, request: Request) -> Response:
        """Show one artist; with `part` only the artists most like it."""
        name = request.query_params.get("name", "")
        is_part = "part" in request.query_params
        return HTMLResponse(await self.service.ask(self._artist, name, is_part))

    def _artist(self, name: str, is_part: bool) -> str:
        template = "similar" if is_part else "artist"
        return self._render(template, **shown.artist(self.service.opened, name, few=is_part))

    async def data(self, request: Request) -> Response:  # noqa: ARG002
        """Show what the model was trained on."""
        return HTMLResponse(await self.service.ask(self._data_page))

    def _data_page(self) -> str:
        opened = self.service.opened
        last = self._data
        if last is None or last[0]() is not opened:
            last = self._data = (ref(opened), self._render("data", **data_page.facts(opened)))
        return last[1]

    async def static(self, request: Request) -> Response:
        """Give the script or the style sheet; their addresses change with what they hold."""
        name = request.path_params["name"]
        if name not in self._static:
            raise Problem(404, "not_found", "there is no such file")
        return Response(self._static[name], headers=_FOREVER, media_type=_TYPES[name])

    async def icon(self, request: Request) -> Response:  # noqa: ARG002
        """Give the icon."""
        return Response(self._static["icon.svg"], headers=_FOREVER, media_type=_TYPES["icon.svg"])

    def problem(self, problem: Problem) -> Response:
        """Return a problem as a page."""
        headers = {} if problem.retry_after_s is None else {"Retry-After": str(problem.retry_after_s)}
        return HTMLResponse(self._render("problem", problem=problem), problem.status, headers)

    def _render(self, name: str, **facts: Any) -> str:
        values = {"model": self.service.opened.name, **facts}
        text = self._environment.get_template(f"{name}.html").render(**values)
        # A name may hold what is not Unicode.
        return text.encode(errors="replace").decode()
