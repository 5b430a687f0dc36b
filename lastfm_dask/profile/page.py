"""One self-contained page about a dataset or a model: text, tables and charts, and no reference to the network.

The template is `page.html`; Jinja2 escapes whatever comes from data. The library that draws the charts is written
into the page, and a content security policy forbids the browser to fetch anything else.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.files import complete_or_absent
from lastfm_dask.errors import BadInputError
from lastfm_dask.profile import words
from lastfm_dask.profile.receipts import exceeded, rows_per_s, share_of_projected, within_sight
from lastfm_dask.profile.reconciliation import reconciliation

if TYPE_CHECKING:
    from pathlib import Path

    from lastfm_dask.profile.receipts import Profile

_TOP_ROWS = 10
_TILES = {
    "rows_read": "rows read",
    "users": "users",
    "artists": "artists",
    "nnz": "values in the matrix",
    "plays_total": "plays in all",
}


def write_page(profile: Profile, file: Path) -> None:
    """Write the page to a file; whatever stood there is replaced at once, when all is written.

    Raises
    ------
    BadInputError
        If the libraries that draw are not installed.
    StoreError
        If the file can't be written.
    """
    text = render(profile)
    with complete_or_absent(file, replace=True) as part:
        part.write_text(text, encoding="utf-8")


def render(profile: Profile) -> str:
    """Return the page as HTML; raises BadInputError if the libraries that draw are not installed."""
    try:
        from bokeh.embed import components
        from bokeh.resources import Resources
        from jinja2 import Environment
    except ImportError as error:
        msg = f"the page needs {error.name or 'bokeh'}, which is not installed: pip install 'lastfm_dask[profile]', or leave out --html"
        raise BadInputError(msg) from error
    charts, captions = _charts(profile)
    script, places = components(charts)
    folder = files("lastfm_dask.profile")
    environment = Environment(autoescape=True)
    for function in (words.number, words.size, words.seconds, words.sentence):
        environment.filters[function.__name__] = function
    template = environment.from_string((folder / "page.html").read_text(encoding="utf-8"))
    return template.render(
        **_facts(profile),
        charts=places,
        captions=captions,
        css=(folder / "page.css").read_text(encoding="utf-8"),
        libraries=Resources(mode="inline", components=["bokeh"]).render_js(),
        script=script,
    )


def _facts(profile: Profile) -> dict[str, Any]:
    """Return what the template shows of the directory, as plain values."""
    manifest, document = profile.manifest, profile.document
    sources = manifest.content.get("source", {}).get("files", [])
    top = profile.statistics.get("top_artists", [])[:_TOP_ROWS]
    return {
        "name": profile.path.name,
        "kind": "dataset" if profile.is_dataset else "model",
        "made": manifest.created.replace("T", " ").replace("+00:00", " UTC"),
        "sources": sources,
        "source_bytes": sum(file["size_bytes"] for file in sources),
        "trained_on": None if profile.is_dataset else manifest.content.get("dataset", {}).get("name"),
        "exceeded": exceeded(profile),
        "peak": max(stage["measured_bytes"] for stage in profile.stages),
        "allowed": document.get("allowed_bytes"),
        # The name of a control group's file is enough; the receipts have its path.
        "allowed_source": str(document.get("allowed_source", "")).rpartition("/")[2],
        "within_sight": within_sight(profile),
        "allocator": str(document.get("allocator", "unknown")),
        "threads": document.get("threads"),
        "tiles": _tiles(profile),
        "stages": [
            {
                "projected_bytes": None,
                "read_bytes": None,
                "written_bytes": None,
                "threads": None,
                "block_bytes": None,
            }
            | stage
            | {"pace": rows_per_s(stage), "share": share_of_projected(stage)}
            for stage in profile.stages
        ],
        "workers": [
            (
                worker.get("address", ""),
                words.number(worker.get("n_blocks")),
                words.size(worker.get("peak_held_bytes")),
            )
            for worker in profile.workers
        ],
        "top_artists": top,
        "most_listeners": max([1, *(row["listeners"] for row in top)]),
        "balance": reconciliation(profile),
        "versions": manifest.versions,
        "fingerprint": manifest.fingerprint,
    }


def _tiles(profile: Profile) -> list[tuple[str, str]]:
    """Return the numbers at the head of the page, each with its label before it."""
    statistics = profile.statistics
    tiles = [(label, words.number(statistics[key])) for key, label in _TILES.items() if key in statistics]
    tiles.append(("in all stages", words.seconds(profile.wall_s)))
    if profile.is_dataset:
        first = profile.stages[0]
        tiles.append((f"rows a second in {first['stage']}", words.number(rows_per_s(first))))
    else:
        tiles += _training_tiles(profile)
    tiles.append(("held at most", words.size(max(stage["measured_bytes"] for stage in profile.stages))))
    return tiles


def _training_tiles(profile: Profile) -> list[tuple[str, str]]:
    settings = profile.manifest.content.get("settings") or {}
    tiles = [
        (name, words.number(settings[name]))
        for name in ("factors", "iterations")
        if isinstance(settings.get(name), int)
    ]
    fit = next((stage for stage in profile.stages if stage["stage"] == "fit"), None)
    if fit and isinstance(settings.get("iterations"), int) and settings["iterations"]:
        tiles.append(("an iteration", words.seconds(fit["wall_s"] / settings["iterations"])))
    return tiles


def _charts(profile: Profile) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the charts and their captions by name; users and artists are counted from the tables, batch by batch."""
    from lastfm_dask.profile import figures
    from lastfm_dask.profile.counts import histogram, rank_curve, read_counts

    listeners = read_counts(profile.path / layout.ARTISTS, "listeners")["listeners"]
    users = read_counts(profile.path / layout.USERS, "n_artists", "median_plays")
    curve = rank_curve(listeners)
    n_artists, medians = users["n_artists"], users["median_plays"]
    charts = {
        "time_line": figures.time_line(profile),
        "popularity": figures.popularity(curve, words.named_artists(profile)),
        "artists_per_user": figures.bars(
            histogram(n_artists), figures.Words("artists of a user"), n_artists.median(), figures.BLUE
        ),
        "median_plays": figures.bars(
            histogram(medians, logarithmic=True),
            figures.Words("median plays of a user's artists"),
            medians.median(),
            figures.GREEN,
        ),
    }
    captions = {
        "popularity": words.popularity_caption(curve),
        "artists_per_user": words.artists_caption(n_artists),
        "median_plays": words.plays_caption(medians),
    }
    return charts, captions
