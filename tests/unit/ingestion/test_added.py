"""A user added by hand: names found in any case, unknown ones with near ones, and what is refused before work."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lastfm_dask.dataset.likes import read_likes
from lastfm_dask.errors import BadInputError, UnknownNameError
from lastfm_dask.ingestion.added import added_rows, refuse_incomplete
from lastfm_dask.ingestion.names import Names
from lastfm_dask.interactions.encoding import column
from lastfm_dask.interactions.schema import Schema


def names(*arrays: list[str]) -> Names:
    result = Names()
    # In several chunks, as blocks leave them.
    for array in arrays:
        result.merge([pa.array(array, pa.string())])
    return result


USERS = names(["ann", "bob"])
ARTISTS = names(["sigur rós", "black eyed peas"], ["a=b", "a", "radiohead"], ["Ärzte"])


def added(*likes: str, user: str = "zimin", keep_case: bool = False) -> dict[str, list]:
    batch = added_rows(
        user, read_likes(likes), USERS, ARTISTS, Schema(("user", "artist", "plays"), keep_case=keep_case)
    )
    lists = ("users", "user_rows", "user_plays", "artists", "artist_rows", "artist_plays", "plays", "counts")
    found = {name: column(batch, name) for name in lists}
    assert column(batch, "artist_codes").tolist() == list(range(len(likes)))
    return {name: values.tolist() for name, values in found.items()}


def test_favourites_become_rows():
    found = added("Black Eyed PEAS=30", "SIGUR RÓS", "a=b=30", "A=1")
    assert found["artists"] == ["black eyed peas", "sigur rós", "a=b", "a"]
    assert found["plays"] == found["artist_plays"] == [30, 30, 30, 1]
    assert (found["users"], found["user_rows"], found["user_plays"]) == (["zimin"], [4], [91])
    assert found["counts"] == [-1, 4, 1]


def test_case_counts_where_it_is_kept():
    assert added("Ärzte=2", keep_case=True)["artists"] == ["Ärzte"]
    with pytest.raises(UnknownNameError):
        added("ärzte", keep_case=True)


def test_all_unknown_names_are_told_with_near_ones():
    with pytest.raises(UnknownNameError) as caught:
        added("sigur ros", "a", "radiohaed=4", "nobody like this at all", "\udcff")
    message = str(caught.value)
    assert "'sigur ros': did you mean 'sigur rós'" in message
    assert "'radiohead'" in message
    assert "nobody like this at all" in message
    assert (caught.value.name, caught.value.near[0]) == ("sigur ros", "sigur rós")


def test_a_known_listener_is_refused():
    with pytest.raises(UnknownNameError, match="'bob' is in the log already"):
        added("a", user="bob")


@pytest.mark.parametrize("like", ["a=0", "a=2147483648", "", " =3"])
def test_plays_out_of_range_and_no_name_are_bad_input(like):
    with pytest.raises(BadInputError):
        added(like)


@pytest.mark.parametrize(
    ("user", "likes"),
    [
        ("z", []),
        (None, ["a"]),
        ("", ["a"]),
        ("a\tb", ["a"]),
        ("a\n", ["a"]),
        ("a\0", ["a"]),
        ("\udcff", ["a"]),
    ],
)
def test_what_makes_no_listener_is_refused_before_work(user, likes):
    with pytest.raises(BadInputError):
        refuse_incomplete(user, read_likes(likes))


def test_nothing_and_a_whole_listener_pass():
    refuse_incomplete(None, {})
    refuse_incomplete("жимин 1", {"a": 30})
