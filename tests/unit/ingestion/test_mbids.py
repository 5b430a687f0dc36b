"""An artist's MBIDs: the most frequent one, the first seen of equals, none for none."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from reference import map_rows, read_log
from stages import Work, indexed

from lastfm_dask.ingestion.mbids import Mbids
from lastfm_dask.interactions.formats import FORMATS

SCHEMA = replace(FORMATS["lastfm-360k"], with_mbid=True)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("block_bytes", [12, 200, 10_000])
def test_the_most_frequent_one_is_kept(tmp_path, seed, block_bytes):
    rng = random.Random(seed)
    mbids, artists = ["", "m", "n", "o"][: seed + 1], ["a", "A", "b", "c"]
    lines = [f"u\t{rng.choice(mbids)}\t{rng.choice(artists)}\t1\n" for _ in range(60)]
    data = "".join(lines).encode()
    found, _, _ = indexed(tmp_path, [data], SCHEMA, Work(block_bytes, batch_names=5))
    mapped = map_rows(read_log(data, SCHEMA).rows, SCHEMA)
    chosen, n_mbids = found.mbids.most_frequent(len(found.artists))
    wanted = [mapped.mbid_of(artist) for artist in range(len(mapped.artists))]
    assert list(zip(chosen.to_pylist(), n_mbids.tolist(), strict=True)) == wanted


def test_no_mbid_at_all_is_null():
    chosen, n_mbids = Mbids().most_frequent(3)
    assert chosen.to_pylist() == [None] * 3
    assert n_mbids.tolist() == [0] * 3
    assert n_mbids.dtype == np.int64
