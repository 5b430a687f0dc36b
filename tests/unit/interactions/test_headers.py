"""What a first look at a file says: columns by a header's names, contradictions, marks, a format's shape."""

from __future__ import annotations

import pytest

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.formats import FORMATS, SHAPES, SOURCES, SchemaOptions
from lastfm_dask.interactions.headers import resolve
from lastfm_dask.sources.files import find


def schema_of(folder, *files: bytes, **options):
    paths = [folder / f"{number}.txt" for number in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    return resolve(find(paths), SchemaOptions(**options))


def refused(folder, *files: bytes, **options) -> str:
    with pytest.raises(BadInputError) as caught:
        schema_of(folder, *files, **options)
    return str(caught.value)


NAMED = ("user=userID", "artist=artistID", "plays=weight")


@pytest.mark.parametrize(
    ("header", "delimiter", "quote", "columns"),
    [
        (b"userID\tartistID\tweight\r\n", None, None, ("user", "artist", "plays")),
        (b"\xef\xbb\xbfweight,tag,artistID,userID\n", ",", None, ("plays", "-", "artist", "user")),
        (b'"weight","a\nb","artistID","userID"\n', ",", '"', ("plays", "-", "artist", "user")),
        (b"weight::artistID::userID", "::", None, ("plays", "artist", "user")),
        ("weight,artistID,userID\n".encode("utf-16"), ",", None, ("plays", "artist", "user")),
    ],
)
def test_columns_by_name_are_found_where_the_header_has_them(tmp_path, header, delimiter, quote, columns):
    found = schema_of(tmp_path, header, delimiter=delimiter, quote=quote, columns=NAMED)
    assert (found.columns, found.header) == (columns, True)


def test_a_header_of_role_names_maps_itself(tmp_path):
    found = schema_of(tmp_path, b"artist,x,user,plays\n", delimiter=",", header=True)
    assert found.columns == ("artist", "-", "user", "plays")


def test_a_header_in_another_order_is_refused_with_the_fix(tmp_path):
    message = refused(
        tmp_path, b"artist,user,plays\n", delimiter=",", header=True, columns=("user", "artist", "plays")
    )
    assert "0.txt, line 1" in message
    assert "--header --columns user=user,artist=artist,plays=plays" in message
    message = refused(
        tmp_path, b"artistID,userID,n\n", delimiter=",", header=True, columns=("user", "artist", "plays")
    )
    assert "user=userID,artist=artistID" in message


@pytest.mark.parametrize("header", [b"a,b,c\n", b"name,song,count\n", b"who knows\n", b"User,Item,Plays\n"])
def test_a_header_that_contradicts_nothing_is_skipped(tmp_path, header):
    columns = ("user", "artist", "plays")
    assert schema_of(tmp_path, header, delimiter=",", header=True, columns=columns).columns == columns


def test_a_header_with_other_columns_is_refused(tmp_path):
    message = refused(
        tmp_path, b"user,artist,song,plays\n", delimiter=",", header=True, columns=("user", "artist", "plays")
    )
    assert "4 columns" in message


def test_a_name_that_the_header_lacks_is_refused_with_those_it_has(tmp_path):
    message = refused(tmp_path, b"user_id,artist,weight\n", delimiter=",", columns=NAMED)
    assert "'userID'" in message
    assert "user=user_id,artist=artist,plays=weight" in message
    assert "once each" in refused(tmp_path, b"x\n", columns=("user=a", "artist", "plays=b"))


def test_all_files_have_one_header_and_one_encoding(tmp_path):
    files = (b"userID,artistID,weight\n", b"artistID,userID,weight\n")
    assert "1.txt" in refused(tmp_path, *files, delimiter=",", columns=NAMED)
    assert "utf-16-le" in refused(tmp_path, b"u\ta\t1\n", "u\ta\t1\n".encode("utf-16"), format="msd")
    assert schema_of(tmp_path, b"", files[1], delimiter=",", columns=NAMED).columns[0] == "artist"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_decides_whatever_was_said(tmp_path, encoding):
    found = schema_of(tmp_path, "u\ta\t1\n".encode(encoding), format="msd", encoding="latin-1")
    assert found.encoding == {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}[encoding]


@pytest.mark.parametrize(
    ("line", "shape"),
    [
        (b"196\t242\t3\t881250949\n", 0),
        (b"1::1193::5::978300760\n", 1),
        (b"userId,movieId,rating,timestamp\n", 2),
    ],
)
def test_movielens_is_told_by_its_first_line(tmp_path, line, shape):
    assert schema_of(tmp_path, line, format="movielens") == SHAPES["movielens"][shape]


def test_every_format_names_its_source():
    assert FORMATS.keys() == SOURCES.keys() == SHAPES.keys()


@pytest.mark.parametrize(
    "rows",
    [
        b"196\t242\t3\t881250949\n186\t302\t3\t891717742\n",
        b"ann\tmuse\t3\t1241478537\nbob\tair\t4\t1241478538\n",
    ],
)
def test_four_columns_of_another_kind_are_not_read_as_the_default_format(tmp_path, rows):
    message = refused(tmp_path, rows)
    assert "0.txt, line 1" in message
    assert "lastfm-dask inspect" in message
    assert schema_of(tmp_path, rows, format="lastfm-360k").columns == ("user", "mbid", "artist", "plays")


MBID = b"0d1e2f3a-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    "rows", [b"u\t" + MBID + b"\t311\t4\n", b"u\t\t311\t4\n", b"u\tx\tmuse\t4\n", b"u\tm\t311\n"]
)
def test_the_default_format_is_read_where_artists_are_called_by_numbers(tmp_path, rows):
    assert schema_of(tmp_path, rows).columns == ("user", "mbid", "artist", "plays")
