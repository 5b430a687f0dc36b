"""Every contestant runs to its end and does the same work; the tables are printed. No figure passes or fails.

python -m pytest -m benchmark tests/benchmarks -s
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

import compare
import pytest
from comparing import scaling
from comparing.contest import MIB

from lastfm_dask.sources import published
from lastfm_dask.synthesis import LogSize, write_log

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.benchmark


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "log.tsv"
    write_log(path, LogSize.for_users(3_000), seed=1)
    return path


@pytest.mark.parametrize("part", [part for part in compare.PARTS if part != "scale"])
def test_contestants_do_the_same_work(part: str, source: Path, tmp_path: Path) -> None:
    if part == "ingest":
        pytest.importorskip("duckdb")
        pytest.importorskip("polars")
    save = tmp_path / "figures"
    dirty = source.with_name("dirty.tsv")
    if not dirty.exists():
        write_log(dirty, LogSize.for_users(3_000, n_rejects=300), seed=1)
    options = argparse.Namespace(
        source=source, with_rejects=dirty, rounds=1, iterations=2, only="", save=save, parts=part
    )
    compare.compare(options, tmp_path)
    for file in save.iterdir():
        found = json.loads(file.read_text())
        if not file.name.startswith("ingest-rejects"):
            assert all(run["exit_code"] == 0 for runs in found["runs"].values() for run in runs), found
        assert all(run["peak_held_bytes"] > 0 for runs in found["runs"].values() for run in runs)
    if part == "ingest":
        _same_counts(json.loads((save / f"ingest-{source.stem}.json").read_text())["said"])
        (ours,) = json.loads((save / f"ingest-rejects-{dirty.stem}.json").read_text())["said"][
            "lastfm-dask ingest"
        ]
        # The table shows what peers make of these lines; pandas and dask.dataframe give up at the first of them.
        assert sum(ours["rejects"].values()) == 300


def test_scale_says_how_each_stage_grows(source: Path, tmp_path: Path) -> None:
    save = tmp_path / "figures"
    options = argparse.Namespace(source=source, rounds=1, scales="0.004,0.002", save=save, parts="scale")
    compare.compare(options, tmp_path)
    sizes = [scaling.Size(**size) for size in json.loads((save / "scale.json").read_text())]
    assert [size.scale for size in sizes] == [0.002, 0.004]
    assert all(size.rows == pytest.approx(size.scale * published.N_LINES, rel=1e-3) for size in sizes)
    assert set(sizes[0].held_bytes) == {"scan", "index", "assemble", "summarize", "publish"}
    assert "bokeh" in (save / "scale.html").read_text().lower()
    assert {path.name for path in (tmp_path / "scale").iterdir()} == {"synth", "ingest"}


def test_a_size_that_is_refused_gets_the_memory_that_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(scaling, "MEMORY_BYTES", 48 * MIB)
    size = scaling.measure(0.002, 1, tmp_path, note=[].append)
    assert size.memory_bytes > 48 * MIB
    assert all(held <= size.memory_bytes for held in size.held_bytes.values())


def test_growth_is_carried_on_along_a_line_on_logarithmic_scales() -> None:
    square = [(2.0, 12.0), (10.0, 300.0)]
    assert scaling.exponent(*square) == pytest.approx(2)
    assert scaling.carried_on(*square, 100) == pytest.approx(3 * 100**2)


def _same_counts(said: dict[str, list[dict[str, int]]]) -> None:
    ours = said["lastfm-dask ingest"][0]
    for name in ("Polars, streaming", "dask.dataframe, a worker a processor"):
        assert all(
            said[name][0][key] == ours[key] for key in ("rows_kept", "users", "artists", "nnz", "plays_total")
        )
        for key in ("artists_per_user", "median_plays_per_user"):
            assert said[name][0][key] == pytest.approx(ours[key], rel=1e-12)
    # These lose rows, which the table shows: to bare carriage returns, to quotes.
    for name in ("DuckDB, memory_limit 4 GB", "pandas, as in the notebook"):
        assert 0.9 * ours["rows_kept"] < said[name][0]["rows_kept"] <= ours["rows_kept"]


def test_the_command_line_has_every_option_that_the_parts_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["compare.py", "--source", "log.tsv"])
    options = vars(compare.parsed())
    assert {"source", "with_rejects", "rounds", "iterations", "only", "save", "parts", "work"} <= set(options)
