"""Names for artist ids: read from a file as it comes, shown so that no two are equal."""

from __future__ import annotations

import itertools
from pathlib import Path

import pyarrow as pa
import pytest

from lastfm_dask.errors import BadInputError
from lastfm_dask.ingestion.artist_names import read_names, show_names
from lastfm_dask.ingestion.names import Names
from lastfm_dask.ingestion.options import IngestOptions
from lastfm_dask.ingestion.pipeline import ingest
from lastfm_dask.interactions.formats import SchemaOptions


def test_ids_and_names_are_the_first_two_fields(tmp_path):
    path = tmp_path / "artists.dat"
    path.write_bytes(
        b'\xef\xbb\xbfid\tname\turl\r\n1\tDie \xc3\x84rzte\tx\ty\n\n2\n3\t\n\tx\n4\ta\xc2\x85b\r\n5\t"q"'
    )
    assert read_names(path, "\t", keep_case=True) == {
        "id": "name",
        "1": "Die Ärzte",
        "4": "a\x85b",
        "5": '"q"',
    }
    assert read_names(path, "\t", keep_case=False)["1"] == "die ärzte"


def test_an_ingest_reads_the_file_once(tmp_path, monkeypatch):
    log, names = tmp_path / "log.tsv", tmp_path / "artists.dat"
    log.write_bytes(b"u\t7\t3\nu\t8\t1\n")
    names.write_bytes(b"7\tBjork\n")
    read, reads = Path.read_bytes, []

    def counted(path: Path) -> bytes:
        reads.append(path)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    options = IngestOptions(SchemaOptions(columns=("user", "artist", "plays")), artist_names=names)
    dataset = ingest(log, tmp_path / "small.dataset", options)
    assert list(dataset.artists) == ["bjork", "8"]
    assert reads.count(names) == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"\xff\t1", "is not utf-8"), (b"", "no line"), (b"1,2", "no line"), (None, "can't be read")],
)
def test_a_file_without_names_is_refused(tmp_path, data, words):
    path = tmp_path / "artists.dat"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(BadInputError, match=words):
        read_names(path, "\t", keep_case=False)


def test_names_may_be_cut_otherwise_than_the_log(tmp_path):
    path = tmp_path / "names"
    path.write_bytes(b"1\tThe Band\n\n2\tA B C\nbad\n")
    assert read_names(path, " ", keep_case=True) == {"1": "The Band", "2": "A B C"}
    path.write_bytes(b'movieId,title\n1,"Fish, The",x\n2,Plain\n')
    assert read_names(path, ",", keep_case=True) == {"movieId": "title", "1": "Fish, The", "2": "Plain"}
    path.write_bytes("1::Amélie::x\n".encode("latin-1"))
    assert read_names(path, "::", keep_case=True, encoding="latin-1") == {"1": "Amélie"}


def shown(ids: list[str], names: dict[str, str]) -> tuple[list[str], int]:
    artists = Names()
    artists.merge([pa.array(ids, pa.string())])
    n_unnamed = show_names(artists, names)
    return artists.array.to_pylist(), n_unnamed


def test_the_first_keeps_a_name_and_others_get_their_id():
    assert shown(["1", "2", "3"], {"1": "a", "2": "a"}) == (["a", "a (2)", "3"], 1)


def test_names_stay_distinct_whatever_they_are():
    for ids in itertools.permutations(["1", "2", "3", "a", "a (2)"]):
        found, n_unnamed = shown(list(ids), {"1": "a", "2": "a", "3": "a (2)"})
        assert len(set(found)) == len(ids)
        assert n_unnamed == 2
