"""Lines of logs, for tests of `ingest` and what goes with it."""

from __future__ import annotations

import random


def lines(n_users: int = 40, per_user: int = 25, seed: int = 0) -> list[bytes]:
    """Return lines of a log in the published format: users in runs, plays falling, names of all kinds."""
    rng = random.Random(seed)
    artists = [
        "radiohead",
        "Sigur Rós",
        "björk",
        '"weird al" yankovic',
        "nan",
        "null",
        "n/a",
        "=",
        "U2",
        "u2",
    ]
    artists += [f"artist {i}" for i in range(3 * per_user)]
    found = []
    for _ in range(n_users):
        user = f"{rng.getrandbits(160):040x}"
        plays = sorted((rng.randint(1, 900) for _ in range(per_user)), reverse=True)
        for artist, n in zip(rng.sample(artists, per_user), plays, strict=True):
            mbid = "" if rng.random() < 0.1 else f"{rng.choice(artists)}-{rng.randint(0, 3)}".encode().hex()
            found.append(f"{user}\t{mbid}\t{artist}\t{n}\n".encode())
    return found
