"""The OpenAPI document of the API: what every route takes and gives, with its bounds."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

from lastfm_dask.dataset.likes import MAX_PLAYS
from lastfm_dask.serve import questions
from lastfm_dask.serve.opened import MAX_SUGGESTIONS

_TEXT = {"type": "string"}
_INTEGER = {"type": "integer"}
_NUMBER = {"type": "number"}
_NAME = {"type": "string", "minLength": 1, "maxLength": questions.MAX_NAME, "pattern": r"\S"}
_N = {"type": "integer", "minimum": 1, "maximum": questions.MAX_N, "default": questions.DEFAULT_N}
_COUNT = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1, "default": 0}
_PLAYS = {"type": "integer", "minimum": 1, "maximum": MAX_PLAYS}
_LIKES = {
    "description": "Plays by name, or names alone (30 plays each).",
    "oneOf": [
        {
            "type": "object",
            "additionalProperties": _PLAYS,
            "minProperties": 1,
            "maxProperties": questions.MAX_LIKES,
        },
        {"type": "array", "items": _NAME, "minItems": 1, "maxItems": questions.MAX_LIKES},
    ],
}
_NAMES = {"type": "array", "items": _NAME, "maxItems": questions.MAX_NAMES}
_BODY_KEYS: dict[str, dict[str, Any]] = {
    "likes": _LIKES,
    "n": _N,
    "artist": _NAME,
    "artists": {**_NAMES, "minItems": 1},
    "exclude": _NAMES,
    "min_listeners": _COUNT,
    "max_listeners": _COUNT,
    "novelty": {**_SHARE, "description": "How much it counts that few know an artist."},
    "diverse": {**_SHARE, "description": "How much it counts that artists differ from each other."},
    "explain": {"type": "boolean", "description": "Whether each artist comes with its reasons."},
    "vectors": {"type": "boolean", "description": "Whether to give the vectors too."},
}


def _object(required: str = "", **properties: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "properties": properties}
    return found | ({"required": required.split()} if required else {})


def _list(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


_ARTIST_LISTENERS = _object("artist listeners", artist=_TEXT, listeners=_INTEGER)
_LIKE = _list(_object("artist plays", artist=_TEXT, plays=_INTEGER))
_UNKNOWN = _list(_object("name near", name=_TEXT, near=_list(_TEXT)))
_CONTRIBUTIONS = _list(_object("artist contribution", artist=_TEXT, contribution=_NUMBER))
_RECOMMENDED = _object(
    "artist score index listeners",
    artist=_TEXT,
    score=_NUMBER,
    index=_INTEGER,
    listeners=_INTEGER,
    contributions=_CONTRIBUTIONS,
)
_SIMILAR = _object("artist similarity listeners", artist=_TEXT, similarity=_NUMBER, listeners=_INTEGER)
_SCORED = _object("artist index score", artist=_TEXT, index=_INTEGER, score=_NUMBER)
_PLAYED = _list(_object("artist plays", artist=_TEXT, plays=_INTEGER))
_UNMATCHED = _list(_object("name plays", name=_TEXT, plays=_INTEGER))
_POINT = _object("artist x y", artist=_TEXT, x=_NUMBER, y=_NUMBER)
_VECTORS = _object(
    "user artists",
    user=_list(_NUMBER),
    artists={"type": "object", "additionalProperties": _list(_NUMBER)},
)
_ANSWERS = {
    "Artists": _object("artists near", artists=_list(_ARTIST_LISTENERS), near={"type": "boolean"}),
    "Recommendations": _object(
        "like items unknown fallback",
        like=_LIKE,
        items=_list(_RECOMMENDED),
        unknown=_UNKNOWN,
        fallback={"type": ["string", "null"]},
    ),
    "Similar": _object("artist items", artist=_TEXT, items=_list(_SIMILAR)),
    "Explanation": _object(
        "like artist score contributions remainder unknown",
        like=_LIKE,
        artist=_TEXT,
        score=_NUMBER,
        contributions=_CONTRIBUTIONS,
        remainder=_NUMBER,
        unknown=_UNKNOWN,
    ),
    "Scores": _object(
        "like scores unknown", like=_LIKE, scores=_list(_SCORED), unknown=_UNKNOWN, vectors=_VECTORS
    ),
    "Map": _object("points", points=_list(_POINT)),
    "History": _object(
        "format rows matched n_matched unmatched n_unmatched",
        format=_TEXT,
        rows=_INTEGER,
        matched=_PLAYED,
        n_matched=_INTEGER,
        unmatched=_UNMATCHED,
        n_unmatched=_INTEGER,
    ),
    "Model": _object(
        "model users artists factors", model=_TEXT, users=_INTEGER, artists=_INTEGER, factors=_INTEGER
    ),
    "Problem": _object(
        "status code message near", status=_INTEGER, code=_TEXT, message=_TEXT, name=_TEXT, near=_list(_TEXT)
    ),
}


@cache
def document() -> dict[str, Any]:
    """Return the document, OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "lastfm_dask",
            "version": version("lastfm_dask"),
            "description": "Recommendations of one model. Answers have the keys of the command line's --json.",
        },
        "paths": {
            "/api/artists": {
                "get": _get("Find artists while somebody types", "Artists", q=_TEXT, n=_suggestions())
            },
            "/api/recommend": _both("Recommend artists", "Recommendations", "likes", *_RECOMMEND_KEYS),
            "/api/similar": {
                "get": _get(
                    "List the artists most like one", "Similar", artist=_NAME, n=_N, min_listeners=_COUNT
                )
            },
            "/api/explain": _both("Say where a score comes from", "Explanation", "likes artist"),
            "/api/score": _both("Score artists", "Scores", "likes artists", "vectors"),
            "/api/map": {"post": _post("Place artists on a plane", "Map", "artists")},
            "/api/history": {"post": _history()},
            "/api/model": {"get": _get("Say which model answers", "Model")},
        },
        "components": {"schemas": _ANSWERS},
    }


_RECOMMEND_KEYS = ("n", "exclude", "min_listeners", "max_listeners", "novelty", "diverse", "explain")


def _suggestions() -> dict[str, Any]:
    return {**_N, "description": f"{MAX_SUGGESTIONS} at most are given."}


def _responses(schema: str) -> dict[str, Any]:
    def answer(words: str, name: str) -> dict[str, Any]:
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
        return {"description": words, "content": content}

    return {
        "200": answer("The answer.", schema),
        "4XX": answer("The request can't be answered: the code and the message say why.", "Problem"),
        "503": answer("Too much to do: ask again after Retry-After seconds.", "Problem"),
    }


def _get(summary: str, schema: str, **parameters: Any) -> dict[str, Any]:
    listed = [
        {"name": name, "in": "query", "required": name == "artist", "schema": value}
        for name, value in parameters.items()
    ]
    return {"summary": summary, "parameters": listed, "responses": _responses(schema)}


def _post(summary: str, schema: str, required: str, *optional: str) -> dict[str, Any]:
    keys = [*required.split(), *optional]
    body = _object(required, **{key: _BODY_KEYS[key] for key in keys}) | {"additionalProperties": False}
    content = {"application/json": {"schema": body}}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": content},
        "responses": _responses(schema),
    }


def _both(summary: str, schema: str, required: str, *optional: str) -> dict[str, Any]:
    """Return both ways of asking the same: a body, or a query with `like=NAME=PLAYS` for each like."""
    parameters = []
    for key in [*required.split(), *optional]:
        name = {"likes": "like", "artists": "artist"}.get(key, key)
        value = (
            {"type": "array", "items": _TEXT} if key in ("likes", "artists", "exclude") else _BODY_KEYS[key]
        )
        parameters.append(
            {
                "name": name,
                "in": "query",
                "required": key in required.split(),
                "schema": value,
                "explode": True,
            }
        )
    get = {"summary": f"{summary}; a like is NAME or NAME=PLAYS", "parameters": parameters}
    return {
        "post": _post(summary, schema, required, *optional),
        "get": get | {"responses": _responses(schema)},
    }


def _history() -> dict[str, Any]:
    return {
        "summary": "Match the artists of an export of Last.fm, ListenBrainz or Spotify; nothing is kept",
        "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {}}}},
        "responses": _responses("History"),
    }
