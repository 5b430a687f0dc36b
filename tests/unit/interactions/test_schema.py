"""What makes a schema, and what is refused with all that is allowed said."""

from __future__ import annotations

import itertools

import pytest

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.formats import FORMATS, SchemaOptions
from lastfm_dask.interactions.schema import REASONS, Schema


def test_reasons_stand_in_their_order_of_precedence():
    assert REASONS == (
        "line_too_long",
        "unclosed_quote",
        "invalid_json",
        "field_count",
        "invalid_utf8",
        "invalid_encoding",
        "empty_user",
        "empty_artist",
        "plays_not_a_number",
        "plays_out_of_range",
        "invalid_time",
    )


@pytest.mark.parametrize("columns", list(itertools.permutations(("user", "artist", "plays", "-", "mbid"))))
def test_roles_may_stand_in_any_order(columns):
    assert Schema(columns, with_mbid=True).columns == columns


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (("user", "artist", "count"), ["count", "plays"]),
        (("user", "artist"), ["user,artist", "plays"]),
        (("user", "artist", "plays", "user"), ["exactly one"]),
        (("mbid", "mbid", "user", "artist", "plays"), ["exactly one"]),
        ((), ["user, artist, plays"]),
        (("", "user", "artist", "plays"), ["no such column role"]),
    ],
)
def test_columns_that_make_no_row_are_refused(columns, words):
    with pytest.raises(BadInputError) as caught:
        Schema(columns)
    assert all(word in str(caught.value) for word in words)


def test_mbids_that_are_asked_for_need_a_column():
    with pytest.raises(BadInputError, match="mbid"):
        SchemaOptions(format="hetrec-2k", with_mbid=True).schema()


@pytest.mark.parametrize("delimiter", ["", "a\nb", "\n", "\r", "\ud800"])
def test_a_delimiter_holds_no_line_end(delimiter):
    with pytest.raises(BadInputError, match="one character or several"):
        SchemaOptions(delimiter=delimiter).schema()


@pytest.mark.parametrize("quote", ["ab", "é", "\n", "::", ","])
def test_a_quote_is_one_ascii_character_outside_the_delimiter(quote):
    with pytest.raises(BadInputError, match="one ASCII character"):
        SchemaOptions(delimiter=",", quote=quote).schema()


@pytest.mark.parametrize("encoding", ["nonsense", "hex", "rot13", "undefined", ""])
def test_an_encoding_is_one_that_python_reads_text_in(encoding):
    with pytest.raises(BadInputError, match="not an encoding"):
        SchemaOptions(encoding=encoding).schema()


def test_encodings_have_one_name():
    names = {
        name: Schema(("user", "artist", "plays"), encoding=name).encoding for name in ("UTF8", "latin-1")
    }
    assert names == {"UTF8": "utf-8", "latin-1": "iso8859-1"}


def test_events_need_no_plays_and_take_none():
    assert SchemaOptions(columns=("user", "artist", "time"), events=True).schema().roles == (
        "user",
        "artist",
        "time",
    )
    with pytest.raises(BadInputError, match="one listen"):
        SchemaOptions(columns=("user", "artist", "plays"), events=True).schema()
    with pytest.raises(BadInputError, match="--events"):
        SchemaOptions(columns=("user", "artist", "time")).schema()


def test_options_change_only_what_is_given():
    assert SchemaOptions().schema() == FORMATS["lastfm-360k"]
    hetrec = SchemaOptions(format="hetrec-2k").schema()
    assert hetrec == FORMATS["hetrec-2k"]
    assert hetrec.header
    changed = SchemaOptions(format="hetrec-2k", header=False, delimiter=",", keep_case=True).schema()
    assert changed == Schema(hetrec.columns, delimiter=",", keep_case=True)


def test_an_unknown_format_is_refused_with_the_known_ones():
    with pytest.raises(BadInputError, match="lastfm-360k, hetrec-2k"):
        SchemaOptions(format="lastfm").schema()
