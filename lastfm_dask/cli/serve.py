"""`serve`: a web page and a JSON API on one model."""

from __future__ import annotations

import threading
import webbrowser
from typing import TYPE_CHECKING, Any

import click

from lastfm_dask.cli.options import PATH, json_option, memory_option, threads_option
from lastfm_dask.cli.output import echo_json
from lastfm_dask.errors import BadInputError

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("model", type=PATH)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Listen on this address; 0.0.0.0 or :: means all.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 picks a free port."
)
@click.option("--open", "open_browser", is_flag=True, help="Open the page in a browser.")
@click.option(
    "--watch", is_flag=True, help="Load a new model as soon as it appears at MODEL; SIGHUP loads it once."
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Also answer under this host name, besides localhost and addresses. Repeatable.",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="URL",
    help="Let pages of this site read answers (CORS), such as https://example.org. Repeatable.",
)
@click.option(
    "--max-requests",
    type=click.IntRange(1, 4096),
    default=64,
    show_default=True,
    help="Answer this many requests at once; more get 503.",
)
@memory_option
@threads_option
@json_option
def command(
    model: Path,
    open_browser: bool,
    hosts: tuple[str, ...],
    origins: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Serve a web page and a JSON API that recommend artists.

    MODEL is what `train` made. Only this machine can connect unless --host allows more. Ctrl-C stops it.
    """
    try:
        import jinja2  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        msg = f"serving needs {error.name}, which is not installed: pip install 'lastfm_dask[serve]'"
        raise BadInputError(msg) from error
    from lastfm_dask.memory import allocator
    from lastfm_dask.serve.guard import Access
    from lastfm_dask.serve.run import Settings, plan_for, serve

    allocator.give_back_at_once()
    access = Access(frozenset(name.lower() for name in hosts), frozenset(origins))
    settings = Settings(**options, access=access)
    plan = plan_for(model, settings)
    if not as_json:
        click.echo(plan.line(), err=True)

    def ready(url: str) -> None:
        if as_json:
            echo_json({"url": url, "model": str(model), "plan": plan.to_dict()})
        else:
            click.echo(f"serving {model} at {url} (Ctrl-C stops it)")
        if open_browser:
            # On a thread: a browser in the terminal returns when it is closed, and the page comes from this process.
            threading.Thread(target=_open, args=(url,), daemon=True).start()

    serve(model, settings, plan, ready)


def _open(url: str) -> None:
    try:
        found = webbrowser.open(url)
    except (OSError, webbrowser.Error):
        found = False
    if not found:
        click.echo(f"no browser could be opened: go to {url}", err=True)
