"""Exports of histories: artists counted whatever the pieces are cut into; what is not an export is refused."""

from __future__ import annotations

import json

import pytest

from lastfm_dask.serve import history
from lastfm_dask.serve.problems import Problem

PLAYED = ["björk", "björk", 'say "a, b"; c', "emoji 🎵", "björk", "\\", "x\ty"]
COUNTS = {name: PLAYED.count(name) for name in PLAYED}


def spotify():
    return json.dumps(
        [
            {"endTime": "2026-01-01 00:00", "artistName": name, "trackName": '"artistName": "x"'}
            for name in PLAYED
        ]
    )


def spotify_extended():
    rows = [
        {"ts": "2026", "master_metadata_album_artist_name": name, "spotify_episode_uri": None}
        for name in PLAYED
    ]
    return json.dumps([*rows, {"master_metadata_album_artist_name": None}], indent=1, ensure_ascii=False)


def listenbrainz():
    rows = [
        {"track_metadata": {"artist_name": name, "additional_info": {"artist_names": ["other"]}}}
        for name in PLAYED
    ]
    return "\n".join(json.dumps(row) for row in rows)


def lastfm_api():
    return json.dumps(
        {
            "recenttracks": {
                "track": [{"artist": {"mbid": "m", "#text": name}, "name": "t"} for name in PLAYED]
            }
        }
    )


def lastfm_stats():
    return json.dumps(
        {"username": "u", "scrobbles": [{"track": "t", "artist": name, "date": 1} for name in PLAYED]}
    )


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def table_without_heads():
    return "".join(f'{quoted(name)},"album, x",title,"01 Jan 2026 00:00"\r\n' for name in PLAYED)


def table_with_heads():
    return "uts,utc_time,artist,album\n" + "\n".join(f"1,2,{quoted(name)},a" for name in PLAYED)


def table_of_semicolons():
    return "Artist;Album;Track;Date#u\n" + "\n".join(f"{quoted(name)};a;t;1" for name in PLAYED)


FORMATS = [
    spotify,
    spotify_extended,
    listenbrainz,
    lastfm_api,
    lastfm_stats,
    table_without_heads,
    table_with_heads,
    table_of_semicolons,
]


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize("export", FORMATS, ids=lambda export: export.__name__)
def test_artists_are_counted_however_an_export_is_cut(export, size):
    data = (
        b"\xef\xbb\xbf" + export().encode() if size > 1 and export is table_with_heads else export().encode()
    )
    reader = history.Reader()
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
    found = reader.plays()
    assert found == COUNTS
    assert next(iter(found)) == "björk"
    assert reader.n_rows == len(PLAYED)
    assert reader.format


def read(*pieces: bytes) -> dict[str, int]:
    reader = history.Reader()
    for piece in pieces:
        reader.feed(piece)
    return reader.plays()


@pytest.mark.parametrize(
    "data",
    [b"", b"  \n ", b"{}", b"[]", b"PK\x03\x04", b"one word", b"\0\xff" * 50, b"[" * 999, b'[{"artist": 3}]'],
)
def test_what_is_no_export_is_refused(data):
    with pytest.raises(Problem) as caught:
        read(data)
    assert (caught.value.status, caught.value.code) == (415, "not_a_history")


def test_an_endless_line_and_too_many_artists_are_refused(monkeypatch):
    with pytest.raises(Problem):
        read(b"artist,b\n", *[b"a" * (1 << 16)] * 40)
    monkeypatch.setattr(history, "MAX_ARTISTS", 3)
    with pytest.raises(Problem) as caught:
        history.Reader().feed(b"artist,b\n" + b"".join(b"%d,x\n" % i for i in range(9)))
    assert caught.value.status == 413
