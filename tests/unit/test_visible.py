"""What controls a terminal is shown and never sent; JSON escapes the same characters and stays valid."""

from __future__ import annotations

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from lastfm_dask.display import to_json, visible

EVERY = [chr(code) for code in range(0x110000)]
BIDI = {"BN", "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
HOSTILE = {
    char
    for char in EVERY
    # Controls, lone surrogates, what overrides or isolates the direction, and its marks.
    if unicodedata.category(char) in ("Cc", "Cs")
    or unicodedata.bidirectional(char) in BIDI - {"BN"}
    or char in "\u200e\u200f\u061c"
}


def test_of_all_characters_the_hostile_ones_alone_are_escaped():
    assert {char for char in EVERY if visible(char) != char} == HOSTILE
    assert {char for char in EVERY if visible(char, keep_lines=True) != char} == HOSTILE - {"\n"}
    escaped = {char for char in EVERY if to_json(char) != f'"{char}"'}
    assert escaped == HOSTILE | {'"', "\\"}
    assert not HOSTILE & set("".join(map(visible, EVERY)))


@given(st.text(st.characters(codec=None)) | st.text(st.sampled_from(sorted(HOSTILE))))
def test_json_reads_back_as_it_was(text):
    for ascii_only in (False, True):
        found = to_json({"name": text}, ascii_only=ascii_only)
        # Two surrogates that happen to be a pair are one character to whoever reads JSON.
        paired = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        assert json.loads(found) == {"name": paired}
        assert found.isascii() or not ascii_only
        found.encode()


def test_a_missing_number_is_null():
    assert to_json([float("nan"), float("inf"), 0.1]) == "[null, null, 0.1]"
