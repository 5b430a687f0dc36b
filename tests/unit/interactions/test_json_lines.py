"""Values of JSON lines that are more than a text or a small number."""

from __future__ import annotations

import json

import pytest

from lastfm_dask.interactions.formats import SchemaOptions
from lastfm_dask.interactions.json_lines import read_rows
from lastfm_dask.interactions.schema import REASONS

COLUMNS = ("user=user", "artist=artist", "plays=plays", "mbid=ids.mbid")


def read(*rows: dict, **options):
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    return read_rows(lines, SchemaOptions(**options).schema(), file_start=True)


def row(plays: object = 1, **more: object) -> dict:
    return {"user": "ann", "artist": "Muse", "plays": plays, **more}


@pytest.mark.parametrize("n_digits", [20, 400])
def test_a_number_of_any_size_is_out_of_range_not_an_error(n_digits):
    found = read(row(10**n_digits), row(2), format="json-lines")
    assert [REASONS[reason] for reason in found.reject_reasons] == ["plays_out_of_range"]
    assert found.plays.tolist() == [2]


def test_mbids_are_read_from_texts_and_from_lists_of_one():
    assert not len(read(row(user=["ann"]), format="json-lines").plays)
    ids = ["x1", ["x2"], ["x3", "x4"], [], None, [7]]
    found = read(
        *(row(ids={"mbid": mbid}) for mbid in ids), format="json-lines", columns=COLUMNS, with_mbid=True
    )
    assert found.mbid.to_pylist() == ["x1", "x2", "", "", "", ""]


def test_listenbrainz_names_its_mbids():
    listens = [
        {"mbid_mapping": {"artist_mbids": ["x1"]}, "additional_info": {"artist_mbids": ["x9"]}},
        {"additional_info": {"artist_mbids": ["x2"]}},
        {},
    ]
    rows = [
        {"user_name": "ann", "listened_at": 5, "track_metadata": {"artist_name": "Muse", **listen}}
        for listen in listens
    ]
    assert read(*rows, format="listenbrainz", with_mbid=True).mbid.to_pylist() == ["x1", "x2", ""]
    assert read(*rows, format="listenbrainz").mbid is None
