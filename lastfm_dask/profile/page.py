"""One self-contained page about a dataset or a model: text, tables and charts, and no reference to the network.

Everything that comes from data is escaped. The charts' library is written into the page, and a content security
policy forbids the browser to fetch anything else.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset import layout
from lastfm_dask.dataset.store import disk_full_is_store_error
from lastfm_dask.errors import BadInputError, StoreError
from lastfm_dask.profile import sections

if TYPE_CHECKING:
    from pathlib import Path

    from lastfm_dask.profile.receipts import Profile


def write_page(profile: Profile, file: Path) -> None:
    """Write the page to a file; whatever stood there is replaced at once, when all is written.

    Raises
    ------
    BadInputError
        Where the library that draws is not installed.
    StoreError
        Where the file can't be written.
    """
    text = render(profile)
    part = file.with_name(f".{file.name}.part")
    try:
        with disk_full_is_store_error(file):
            part.write_text(text, encoding="utf-8")
            part.replace(file)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        msg = f"{file} can't be written ({error.strerror}): choose a file in a folder that exists and is writable"
        raise StoreError(msg, path=str(file)) from error
    finally:
        part.unlink(missing_ok=True)


def render(profile: Profile) -> str:
    """Return the page as HTML; raises BadInputError where the library that draws is not installed."""
    try:
        from bokeh.embed import components
        from bokeh.resources import Resources
    except ImportError as error:
        msg = "the page needs bokeh, which is not installed: pip install 'lastfm_dask[profile]', or leave out --html"
        raise BadInputError(msg) from error
    charts = _charts(profile)
    script, places = components({name: chart.plot for name, chart in charts.items()})
    drawn = {name: sections.Drawn(places[name], chart.caption) for name, chart in charts.items()}
    folder = files("lastfm_dask.profile")
    kind = "dataset" if profile.is_dataset else "model"
    return Template((folder / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(f"{profile.path.name} · {kind} profile"),
        css=(folder / "page.css").read_text(encoding="utf-8"),
        eyebrow=f"lastfm_dask · {kind} profile",
        name=escape(profile.path.name),
        lead=sections.lead(profile),
        verdict=sections.verdict(profile),
        tiles=sections.tiles(profile),
        sections="\n".join(sections.all_sections(profile, drawn)),
        footer=sections.footer(profile),
        libraries=Resources(mode="inline", components=["bokeh"]).render_js(),
        script=script,
    )


class _Chart:
    def __init__(self, plot: Any, caption: str = "") -> None:
        self.plot = plot
        self.caption = caption


def _charts(profile: Profile) -> dict[str, _Chart]:
    """Return the charts by name; those of users and artists are counted from the tables, batch by batch."""
    from lastfm_dask.profile import figures
    from lastfm_dask.profile.counts import histogram, rank_curve, read_counts

    listeners = read_counts(profile.path / layout.ARTISTS, "listeners")["listeners"]
    users = read_counts(profile.path / layout.USERS, "n_artists", "median_plays")
    curve = rank_curve(listeners)
    n_artists, medians = users["n_artists"], users["median_plays"]
    artists_chart = figures.bars(
        histogram(n_artists), figures.Words("artists of a listener"), n_artists.median(), figures.BLUE
    )
    plays_chart = figures.bars(
        histogram(medians, logarithmic=True),
        figures.Words("median plays of a listener's artists"),
        medians.median(),
        figures.GREEN,
    )
    return {
        "time_line": _Chart(figures.time_line(profile)),
        "popularity": _Chart(
            figures.popularity(curve, sections.named_artists(profile)), sections.popularity_caption(curve)
        ),
        "artists_per_user": _Chart(artists_chart, sections.artists_caption(n_artists)),
        "median_plays": _Chart(plays_chart, sections.plays_caption(medians)),
    }
