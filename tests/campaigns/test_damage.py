"""Each file of a dataset and a model damaged in every way: commands end with 5 and name the file, or are right.

What only a checksum can see may pass an ordinary command, and never `verify`. Nothing ends in a traceback or in
native code.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import succeed
from ingesting import lines
from making import accept_sizes

from campaigns import forking
from campaigns.table import Table, count, seed
from lastfm_dask.dataset import layout

NUMBERS = [0, -1, 2**31 - 1, 2**63 - 1, -(2**63)]
ODD = [None, True, -1, 1.5, 10**400, "", "../x", [], {}, [[]], {"a": None}, "\ud800"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    forking.import_all()
    folder = tmp_path_factory.mktemp("whole")
    log = b"".join(line.replace(line[:40], b"user%d" % (i // 9)) for i, line in enumerate(lines(8, 18)))
    (folder / "log.tsv").write_bytes(log + b"rejected\n")
    # In processes of their own: OpenMP's threads must not be there when this one forks.
    succeed("ingest", folder / "log.tsv", "-o", folder / "x.dataset")
    (folder / "more.tsv").write_bytes(log[: len(log) // 3])
    for name, model in {"x.model": "als", "blend.model": "blend"}.items():
        succeed("train", folder / "x.dataset", "-o", folder / name, "--factors", 8, "--model", model)
    return folder


def flip(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 3, 50])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def flip_head(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(min(128, len(data)))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def flip_tail(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[-1 - rng.randrange(min(600, len(data)))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def zero(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    start = rng.randrange(len(data))
    data[start : start + 500] = bytes(len(data[start : start + 500]))
    path.write_bytes(data)


def cut(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(path.stat().st_size))


def grow(path: Path, rng: random.Random) -> None:
    path.write_bytes(path.read_bytes() + rng.randbytes(rng.choice([1, 8, 5000])))


def empty(path: Path, rng: random.Random) -> None:
    path.write_bytes(b"")


def remove(path: Path, rng: random.Random) -> None:
    path.unlink()


def as_pickle(path: Path, rng: random.Random) -> None:
    path.write_bytes(pickle.dumps({"a": [print, 1]}))


def as_object_array(path: Path, rng: random.Random) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([print, {}], object), allow_pickle=True)


def as_folder(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.mkdir()


def as_link(path: Path, rng: random.Random) -> None:
    path.unlink()
    path.symlink_to(rng.choice(["nowhere", "/dev/zero", "/etc", path.name, "/proc/self/mem"]))


def as_pipe(path: Path, rng: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def other_array(path: Path, rng: random.Random) -> None:
    """Write an array of another shape, type or order, of the same size where that goes, or of odd values."""
    if path.suffix != ".npy":
        flip(path, rng)
        return
    array = np.load(path)
    ways = [
        lambda: array.reshape(-1)[: rng.randrange(1, array.size)],
        lambda: array.astype(rng.choice(["<f8", "<i8", "<u4", ">f4", "<f2", "S4", "<c8"])),
        lambda: np.asfortranarray(array.reshape(array.shape[0], -1)),
        lambda: array[None],
        lambda: array.reshape(-1).view(np.uint8),
        lambda: np.array(rng.choice([0, 1.0])),
        lambda: _with_odd_values(array, rng),
        lambda: _with_odd_values(array, rng),
        lambda: _with_odd_values(array, rng),
    ]
    with path.open("wb") as file:
        np.save(file, rng.choice(ways)())


def _with_odd_values(array: np.ndarray, rng: random.Random) -> np.ndarray:
    array = array.copy()
    flat = array.reshape(-1)
    for _ in range(rng.choice([1, 5])):
        place = rng.randrange(flat.size)
        if flat.dtype.kind == "f":
            flat[place] = rng.choice([np.nan, np.inf, -np.inf, -1, 0, 1e38])
        else:
            flat[place] = np.array(rng.choice(NUMBERS)).astype(flat.dtype)
    return array


def other_table(path: Path, rng: random.Random) -> None:
    """Write a Parquet file with other columns, types, rows, or missing values."""
    if path.suffix != ".parquet":
        other_array(path, rng)
        return
    table = pq.read_table(path)
    name = table.column_names[0]
    ways = [
        lambda: table.slice(1),
        lambda: pa.concat_tables([table, table]),
        lambda: table.drop_columns([name]),
        lambda: table.rename_columns([f"{n}x" for n in table.column_names]),
        lambda: table.set_column(0, name, pa.nulls(len(table), pa.string())),
        lambda: table.set_column(0, name, pa.array(range(len(table)))),
        lambda: table.set_column(0, name, pa.array([[1]] * len(table))),
        lambda: table.set_column(0, name, pa.array([b"\xff"] * len(table), pa.binary())),
        lambda: table.set_column(1, table.column_names[1], pa.array(["x"] * len(table))),
        lambda: table.set_column(1, table.column_names[1], pa.nulls(len(table), pa.int64())),
    ]
    pq.write_table(rng.choice(ways)(), path)


WAYS = [
    flip,
    flip_head,
    flip_tail,
    zero,
    cut,
    grow,
    empty,
    remove,
    as_pickle,
    as_object_array,
    as_folder,
    as_link,
    as_pipe,
    other_array,
    other_table,
]


def edit_manifest(path: Path, rng: random.Random) -> None:
    """Change one value, anywhere in the manifest."""
    manifest = json.loads(path.read_text())
    place, keys = manifest, []
    while isinstance(place, dict) and place and (not keys or rng.random() < 0.8):
        parent, key = place, rng.choice(sorted(place))
        place = place[key]
        keys.append(key)
    if rng.random() < 0.2:
        del parent[key]
    elif rng.random() < 0.2:
        parent["../../" + key] = place
    else:
        parent[key] = rng.choice(ODD)
    path.write_text(json.dumps(manifest))


def commands(folder: Path, kind: str, out: Path) -> list[list[object]]:
    """Return what is asked of a directory that was damaged."""
    path = folder / kind
    few = ["--factors", 8, "--iterations", 1]
    if kind == "x.dataset":
        return [
            ["stats", path],
            ["stats", path, "--user", "user1"],
            ["stats", path, "--top", 50, "--json"],
            ["verify", path],
            ["plan", path],
            ["profile", path],
            ["train", path, "-o", out / "m", *few],
            ["train", path, "-o", out / "m", "--model", "neighbours"],
            ["evaluate", path, *few, "--scratch", out],
            ["ingest", folder / "more.tsv", "--append-to", path, "-o", out / "more"],
            ["export", path, "--npz", out / "x.npz"],
            ["export", path, "--parquet", out / "x"],
        ]
    return [
        ["verify", path],
        ["plan", path],
        ["profile", path],
        ["recommend", path, "--user", "user2", "--json"],
        ["recommend", path, "--like", "björk", "--diverse", 0.5],
        ["recommend", path, "--all-users", "-o", out / "all.jsonl"],
        ["similar", path, "radiohead"],
        ["score", path, "--artist", "radiohead", "--user", "user3"],
        ["explain", path, "--artist", "radiohead", "--user", "user3"],
        ["export", path, "--npz", out / "x.npz"],
        ["export", path, "--parquet", out / "x"],
        ["train", folder / "x.dataset", "-o", out / "m", "--start-from", path, *few],
    ]


def damage(folder: Path, rng: random.Random) -> tuple[str, str, str]:
    """Damage one file; return which directory, which file and how."""
    kind = rng.choice(["x.dataset", "x.model", "blend.model"])
    place = folder / kind
    names = sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())
    name = rng.choice(names)
    # A model's matrix may be the dataset's, linked: only one of them is damaged.
    data = (place / name).read_bytes()
    (place / name).unlink()
    (place / name).write_bytes(data)
    if name == layout.MANIFEST and rng.random() < 0.7:
        edit_manifest(place / name, rng)
        return kind, name, "edited"
    way = rng.choice(WAYS)
    way(place / name, rng)
    how = way.__name__
    if name != layout.MANIFEST and rng.random() < 0.6:
        accept_sizes(place)
        how += ", accepted"
    return kind, name, how


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if _is_file(path) else '"checksum": "'


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def run_damage(whole: Path, scratch: Path, n: int) -> None:
    table = Table("damage")
    for number in table.cases(range(n)):
        rng = random.Random(f"{seed()}-{number}")
        folder, out = scratch / "x", scratch / "out"
        for place in (folder, out):
            shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(whole, folder, symlinks=True)
        out.mkdir()
        kind, name, how = damage(folder, rng)
        if '"checksum": "' not in _text(folder / kind / layout.MANIFEST):
            how += ", as of an older version: accepted"
        same = all(
            _is_file(folder / path.relative_to(whole))
            and path.read_bytes() == (folder / path.relative_to(whole)).read_bytes()
            for path in (whole / kind).rglob("*")
            if path.is_file()
        )
        mine = commands(folder, kind, out)
        for command in mine if n < 100 else rng.sample(mine, 4):
            case = f"{number}: {kind}/{name} {how}: {' '.join(map(str, command))}"
            try:
                ended = forking.run(*command)
            except TimeoutError:
                table.fail(f"{case}: hangs")
                continue
            table.add(how, ended.code)
            # Other names, accepted, are other names: nobody could know.
            allowed = (0, 5, 6) if "accepted" in how else (0, 5)
            if command[0] == "plan" and not _is_file(folder / kind / layout.MANIFEST):
                # Nothing says that it was one; then it is read as a log.
                allowed = (3, 5)
            if ended.code not in allowed or ended.traceback:
                table.fail(f"{case}: {ended.code}: {ended.err[-300:]}")
            elif ended.code == 5 and Path(name).name not in ended.err and " is wanted" not in ended.err:
                table.fail(f"{case}: does not name the file: {ended.err[-300:]}")
            elif ended.code == 0 and command[0] == "verify" and not same and "accepted" not in how:
                table.fail(f"{case}: verify sees nothing")
            elif ended.code and forking.leftovers(out, ".more.work"):
                table.fail(f"{case}: leaves {forking.leftovers(out)}")
            shutil.rmtree(out)
            out.mkdir()
    table.show()


@pytest.mark.slow
def test_a_few_damaged_stores(whole, tmp_path):
    run_damage(whole, tmp_path, 25)


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_many_damaged_stores(whole, tmp_path):
    run_damage(whole, tmp_path, count("damage", 500))
