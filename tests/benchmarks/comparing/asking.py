"""Answers: from a fresh process each, one after the other from an open model, and for all_users."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from comparing.contest import HEADS, Contestant, markdown
from comparing.ingesting import last_json, ours, peer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from comparing.contest import Entry

_OPEN = Path(__file__).with_name("open_recommender.py")


def fresh_contestants(dataset: Path, model: Path, npz: Path) -> list[Contestant]:
    """Return the commands that answer, and implicit loading its own model for one answer."""
    users = pq.read_table(dataset / "users.parquet", columns=["user"])["user"]
    user = users[len(users) // 2].as_py()
    statistics = json.loads((dataset / "manifest.json").read_text(encoding="utf-8"))["content"]["statistics"]
    artist = statistics["top_artists"][0]["artist"]
    questions: dict[str, Sequence[str]] = {
        "recommend --user": ("recommend", str(model), "--user", user),
        "recommend --like": ("recommend", str(model), "--like", artist),
        "similar": ("similar", str(model), artist),
        "score": ("score", str(model), "--user", user, "--artist", artist),
        "stats": ("stats", str(dataset)),
    }

    def asking(name: str, arguments: Sequence[str]) -> Contestant:
        return Contestant(f"lastfm-dask {name}", lambda _: ours(*arguments, "--json"))

    found = [asking(name, arguments) for name, arguments in questions.items()]
    return [
        *found,
        Contestant(
            "implicit: load, recommend", lambda _: peer("implicit_answers", "one", str(npz), str(dataset))
        ),
    ]


def fresh_table(entries: Mapping[str, Entry]) -> str:
    """Return the Markdown table of answers from process start."""
    rows = [[cell for i, cell in enumerate(entry.row(None)) if i != 2] for entry in entries.values()]
    for row, entry in zip(rows, entries.values(), strict=True):
        if not entry.failed:
            walls = [run.wall_s for run in entry.runs]
            row[1] = f"{entry.wall_s:.2f} ({min(walls):.2f}–{max(walls):.2f})"
            row[2] = f"{entry.cpu_s:.2f}"
    return markdown([head for i, head in enumerate(HEADS) if i != 2], rows)


def open_contestants(dataset: Path, model: Path, npz: Path) -> list[Contestant]:
    """Return an open model of ours and of implicit."""
    return [
        Contestant("Recommender, open", lambda _: [sys.executable, str(_OPEN), str(model)], last_json),
        Contestant(
            "implicit, all in memory",
            lambda _: peer("implicit_answers", "open", str(npz), str(dataset)),
            last_json,
        ),
    ]


def open_table(entries: Mapping[str, Entry]) -> str:
    """Return the Markdown table of answers from an open model."""
    rows = []
    for entry in entries.values():
        values = [entry.median_of("answer_ms"), entry.median_of("slow_answer_ms")]
        rows.append(
            [entry.name, *("" if value is None else f"{value:.1f}" for value in values), *entry.row(None)[4:]]
        )
    return markdown(["how", "ms an answer", "ms, slowest twentieth", *HEADS[4:]], rows)


def all_users_contestants(dataset: Path, model: Path, npz: Path) -> list[Contestant]:
    """Return ours and implicit's batch call, both writing Parquet."""
    return [
        Contestant(
            "lastfm-dask recommend --all-users",
            lambda folder: ours(
                "recommend", str(model), "--all-users", "--parquet", str(folder / "out.parquet"), "--json"
            ),
            last_json,
        ),
        Contestant(
            "implicit's batch recommend",
            lambda folder: peer(
                "implicit_answers", "all_users", str(npz), str(dataset), str(folder / "out.parquet")
            ),
            last_json,
        ),
    ]


def all_users_table(entries: Mapping[str, Entry]) -> str:
    """Return the Markdown table of answers for all_users."""
    base_s = next(iter(entries.values())).wall_s
    rows = [[*entry.row(base_s), f"{entry.median_of('users_per_s') or 0:,.0f}"] for entry in entries.values()]
    return markdown([*HEADS, "users a second"], rows)
