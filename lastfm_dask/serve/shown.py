"""What the pages show of answers, as plain values for the templates."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset.likes import DEFAULT_PLAYS
from lastfm_dask.serve.neighbourhood import place_labels
from lastfm_dask.serve.page_question import N_ANSWERS, PageQuestion
from lastfm_dask.serve.questions import Question

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lastfm_dask.serve.opened import Opened

N_SIMILAR = 20
N_FEW = 6
COLOURS = 10
"""Artists of a list that have a colour of their own."""
_KNOWN = ((0.05, "famous"), (0.01, "well known"), (0.001, "known to some"), (0.0001, "little known"))
"""From which share of all users on an artist is called so."""
_UNKNOWN = "hardly known"
_MAP_ITEMS = 16
_MAP_LIKES = 10
_LEAST_LISTENERS = 3


def number(value: float) -> str:
    """Return a number with its thousands separated."""
    return f"{value:,}"


def percent(value: float) -> str:
    """Return a share as whole per cent."""
    return f"{100 * value:.0f} %"


def short(name: str, most: int = 22) -> str:
    """Return a name that is cut where it is long."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def max_listeners(opened: Opened, unknown: int) -> int | None:
    """Return how many listeners an answer may have: the most known one's at 0, and fewer by equal factors up to 100."""
    if not unknown:
        return None
    most = max(int(opened.popular[0]["listeners"]), _LEAST_LISTENERS)
    share: float = (_LEAST_LISTENERS / most) ** (unknown / 100)
    return max(round(most * share), _LEAST_LISTENERS)


def answers(opened: Opened, question: PageQuestion) -> dict[str, Any]:
    """Return what the page of a question shows."""
    likes = dict(question.likes)
    most = max_listeners(opened, question.unknown)
    exclude = tuple(name for name in opened.model.known_artists(question.exclude) if name is not None)
    asked = Question(
        likes=likes,
        n=N_ANSWERS,
        exclude=exclude,
        max_listeners=most,
        diverse=question.variety / 100,
        explain=True,
    )
    found = opened.recommend(asked) if likes else None
    facts: dict[str, Any] = {
        "question": question,
        "likes": _likes(question, found),
        "excluded": [(name, question.with_answer(name).address()) for name in question.exclude],
        "max_listeners": most,
        "has_answers": found is not None,
        "fallback": found is not None and found["fallback"] is not None,
        "unknown": [] if found is None else _unknown(question, found["unknown"]),
        "items": [] if found is None else _items(opened, question, found),
        "examples": [] if likes else examples(opened),
        "points": [],
        "copies": {},
    }
    if found is not None and not facts["fallback"]:
        facts["points"] = _map(opened, facts["likes"], facts["items"])
        facts["copies"] = _copies(opened, question, found, most)
    return facts


def _likes(question: PageQuestion, found: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the list: each artist as it was asked for, its colour, and where it is removed."""
    missing = {name["name"] for name in found["unknown"]} if found else set()
    rows: list[dict[str, Any]] = []
    for name, plays in question.likes:
        known = name not in missing
        rows.append(
            {
                "artist": name,
                "plays": plays,
                "known": known,
                "colour": _colour(sum(1 for row in rows if row["known"])) if known else "none",
                "remove": question.without_like(name).address(),
            }
        )
    return rows


def _colour(i: int) -> str:
    return str(i) if i < COLOURS else "other"


def _unknown(question: PageQuestion, unknown: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "name": one["name"],
            "near": [(near, question.instead(one["name"], near).address()) for near in one["near"]],
        }
        for one in unknown
    ]


def _items(opened: Opened, question: PageQuestion, found: dict[str, Any]) -> list[dict[str, Any]]:
    order = {like["artist"]: i for i, like in enumerate(found["like"])}
    best = max((item["score"] for item in found["items"]), default=1.0)
    return [_item(opened, question, item, order, best) for item in found["items"]]


def _item(
    opened: Opened, question: PageQuestion, item: dict[str, Any], order: dict[str, int], best: float
) -> dict[str, Any]:
    """Return one answer: the parts of its bar fill it in proportion to its score beside the best one's."""
    reasons = [one for one in item.get("contributions", ()) if one["contribution"] > 0]
    total = sum(one["contribution"] for one in reasons)
    width = 100 * max(item["score"], 0) / best if best > 0 else 0
    parts, left = [], 0.0
    for one in reasons:
        share = one["contribution"] / total
        size = share * width
        parts.append(
            {
                "artist": one["artist"],
                "share": share,
                "x": left,
                "width": size,
                "colour": _colour(order[one["artist"]]),
            }
        )
        left += size
    name = item["artist"]
    return {
        **item,
        "parts": parts,
        "reasons": [part for part in parts[:3] if part["share"] >= 0.05],
        "known": well_known(opened, item["listeners"]),
        "add": question.with_like(name).address(),
        "not_this": question.without_answer(name).address(),
    }


def well_known(opened: Opened, listeners: int) -> dict[str, Any]:
    """Return how well known an artist is: a word by the share of users, and a place between one listener and the most."""
    most = max(int(opened.popular[0]["listeners"]), 2)
    share = listeners / max(opened.model.n_users, 1)
    word = next((word for least, word in _KNOWN if share >= least), _UNKNOWN)
    return {"share": math.log(max(listeners, 1)) / math.log(most), "word": word}


def _map(
    opened: Opened, likes: Sequence[dict[str, Any]], items: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the neighbourhood: the list and the best answers as points."""
    rows = [(like["artist"], like["colour"]) for like in likes if like["known"]][:_MAP_LIKES]
    rows += [(item["artist"], "item") for item in items[:_MAP_ITEMS]]
    return points(opened, rows)


def points(opened: Opened, rows: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return artists and their colours as points of a map of 1000 by 900, each with the place of its label."""
    if len(rows) < 3:
        return []
    found = opened.neighbourhood(tuple(name for name, _ in rows))["points"]
    names = [short(point["artist"]) for point in found]
    sizes = [6 + 10 * well_known(opened, opened.listeners_of(point["artist"]))["share"] for point in found]
    centres = [(70 + 860 * point["x"], 40 + 820 * point["y"]) for point in found]
    labels = place_labels(centres, sizes, names)
    return [
        {
            "artist": point["artist"],
            "label": name,
            "x": round(x, 1),
            "y": round(y, 1),
            "size": round(size, 1),
            "colour": colour,
            "label_x": round(label.x, 1),
            "label_y": round(label.y, 1),
            "anchor": label.anchor,
        }
        for point, name, size, (x, y), label, (_, colour) in zip(
            found, names, sizes, centres, labels, rows, strict=True
        )
    ]


def _copies(
    opened: Opened, question: PageQuestion, found: dict[str, Any], most: int | None
) -> dict[str, str]:
    """Return the answer as a text, as JSON, and as the command line that gives it."""
    lines = [f"{i}. {item['artist']}" for i, item in enumerate(found["items"], 1)]
    document = {
        **found,
        "items": [{k: v for k, v in item.items() if k != "contributions"} for item in found["items"]],
    }
    return {
        "text": "\n".join(lines),
        "json": json.dumps(document, ensure_ascii=False, indent=1),
        "command": question.command(opened.name, most),
    }


def examples(opened: Opened) -> list[dict[str, Any]]:
    """Return lists to start from, each with the address that takes it."""
    lists = (tuple((name, DEFAULT_PLAYS) for name in names) for names in opened.examples)
    return [
        {"artists": [name for name, _ in likes], "address": PageQuestion(likes).address()} for likes in lists
    ]


def artist(opened: Opened, name: str, *, few: bool) -> dict[str, Any]:
    """Return what an artist's page shows, or the few artists most like it; raises UnknownNameError."""
    found = opened.similar(name, N_FEW if few else N_SIMILAR, None)
    items = [{**item, "known": well_known(opened, item["listeners"])} for item in found["items"]]
    facts: dict[str, Any] = {"artist": found["artist"], "items": items}
    if few:
        return facts
    listeners = opened.listeners_of(found["artist"])
    rows = [(found["artist"], "0"), *((item["artist"], "item") for item in items[:_MAP_ITEMS])]
    return facts | {
        "listeners": listeners,
        "rank": opened.rank(listeners),
        "n_artists": opened.model.n_artists,
        "known": well_known(opened, listeners),
        "start": PageQuestion().with_like(found["artist"]).address(),
        "points": points(opened, rows),
    }
