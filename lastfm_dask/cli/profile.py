"""`profile`: the time and memory of each stage of a dataset or a model, as a table or a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lastfm_dask.cli.options import PATH, json_option
from lastfm_dask.cli.output import echo

if TYPE_CHECKING:
    from pathlib import Path

    from lastfm_dask.profile.receipts import Profile


@click.command()
@click.argument("path", type=PATH)
@click.option(
    "--html", "file", type=PATH, help="Write one self-contained page with charts; overwrites the file."
)
@json_option
def command(path: Path, file: Path | None, as_json: bool) -> None:
    """Show how much time and memory each stage of PATH, a dataset or a model, took.

    Reserved, projected and measured memory count anonymous and shared pages. File pages, which the kernel can
    reclaim, are listed apart. A stage that exceeded its projection is marked.
    """
    from lastfm_dask.cli.output import echo_json
    from lastfm_dask.profile import receipts

    profile = receipts.open_profile(path)
    if file is not None:
        from lastfm_dask.profile.page import write_page

        write_page(profile, file)
    if as_json:
        echo_json(receipts.as_json(profile) | ({} if file is None else {"html": str(file)}))
    else:
        _show(profile, file)


def _show(profile: Profile, file: Path | None) -> None:
    from lastfm_dask.cli.output import print_table
    from lastfm_dask.memory.sizes import format_size
    from lastfm_dask.profile import receipts

    document = profile.document
    title = (
        f"{profile.path}: {profile.wall_s:,.1f} s in all; allowed {format_size(document['allowed_bytes'])}"
        f" ({document['allowed_source']}), allocator {document['allocator']}; sizes in MiB"
    )
    pace = ("stage", "wall s", "rows/s", "read", "written", "threads", "block")
    print_table(title, pace, [_pace(stage) for stage in profile.stages])
    memory = ("stage", "reserved", "projected", "measured", "of it", "pages of files")
    print_table("", memory, [_memory(stage) for stage in profile.stages])
    if profile.workers:
        rows = [
            (worker["address"], worker["n_blocks"], _mib(worker["peak_held_bytes"]))
            for worker in profile.workers
        ]
        print_table("workers of the scan", ("worker", "blocks", "held at most, MiB"), rows)
    for line in receipts.exceeded(profile):
        echo(line)
    if file is not None:
        echo(f"{file} written")


def _pace(stage: dict[str, object]) -> tuple[object, ...]:
    from lastfm_dask.profile import receipts

    wall_s = round(float(str(stage["wall_s"])), 2)
    moved = (_mib(stage.get(name)) for name in ("read_bytes", "written_bytes"))
    return (
        stage["stage"],
        wall_s,
        receipts.rows_per_s(stage),
        *moved,
        stage.get("threads"),
        _mib(stage.get("block_bytes")),
    )


def _memory(stage: dict[str, object]) -> tuple[object, ...]:
    from lastfm_dask.profile import receipts

    share = receipts.share_of_projected(stage)
    words = None if share is None else f"{100 * share:.0f} %{' !' if share > 1 else ''}"
    held = (_mib(stage.get(f"{name}_bytes")) for name in ("reserved", "projected", "measured"))
    return (stage["stage"], *held, words, _mib(stage.get("file_bytes")))


def _mib(value: object) -> float | None:
    return round(value / (1 << 20), 1) if isinstance(value, (int, float)) else None
