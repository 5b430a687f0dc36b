"""Bytes of nasty lines against an oracle in plain Python; archives that are cut, flipped, and packed in each other."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed
from ingesting import lines
from nasty import short_lines
from property.ingestion.test_ingest_properties import check, logs, works
from stages import build

from campaigns import forking
from campaigns.table import Table, count, seed
from lastfm_dask.dataset import layout
from lastfm_dask.sources.archives import ARCHIVE_MEMBER

PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def run_logs(n: int) -> None:
    table = Table("fuzzed logs: counts, reasons, order, matrix, whatever the block size")

    @hypothesis_seed(seed())
    @settings(max_examples=n, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None)
    @given(log=logs(), work=works)
    def one(log, work) -> None:
        schema, files = log
        with tempfile.TemporaryDirectory() as folder, short_lines():
            built = build(Path(folder), files, schema, work)
            check(built, files, schema)
        rejects = len(built.found.rejects)
        table.add(f"{len(files)} files", f"{min(rejects, 3)}{'+' if rejects > 2 else ''} reasons")

    one()
    table.show()


def packed(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Return a log, packed in one way or two, and the ending of its name."""
    ending = rng.choice(["", ".tar"])
    if ending:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as archive:
            members = [(ARCHIVE_MEMBER, data), ("a", rng.randbytes(rng.randrange(9999)))]
            rng.shuffle(members)
            for name, content in members:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        data = file.getvalue()
    kind = rng.choice([".gz", ".bz2", ".xz"])
    data = PACK[kind](data)
    if rng.random() < 0.2:
        data = PACK[kind](data)
    return ending + kind, data


def damaged(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    found = bytearray(data)
    place = rng.randrange(len(found))
    how = rng.choice(["whole", "cut", "flipped", "zeroed", "grown", "twice"])
    if how == "cut":
        del found[place:]
    elif how == "flipped":
        found[place] ^= 1 << rng.randrange(8)
    elif how == "zeroed":
        found[place : place + 500] = bytes(len(found[place : place + 500]))
    elif how == "grown":
        found += rng.randbytes(rng.randrange(1, 3000))
    elif how == "twice":
        found += bytes(found)
    return how, bytes(found)


def run_archives(folder: Path, n: int) -> None:
    forking.import_all()
    table = Table("archives")
    log = b"".join(lines(30, 20))
    right: dict[bool, str] = {}
    for number in table.cases(range(n)):
        rng = random.Random(f"{seed()}-{number}")
        ending, data = packed(log, rng)
        how, data = damaged(data, rng)
        place = Path(tempfile.mkdtemp(dir=folder))
        source, output = place / f"log{ending}", place / "x.dataset"
        source.write_bytes(data)
        case = f"{number}: {ending} {how}"
        try:
            ended = forking.run("ingest", source, "-o", output)
        except TimeoutError:
            table.fail(f"{case}: hangs")
            continue
        table.add(how, ended.code)
        if ended.code not in (0, 3) or ended.traceback:
            table.fail(f"{case}: {ended.code}: {ended.err[-300:]}")
        if ended.code == 0:
            manifest = json.loads((output / layout.MANIFEST).read_text())
            # Streams that are one after the other are one log, so "twice" may double a plain one.
            is_double = how == "twice" and manifest["content"]["statistics"]["rows_read"] > 600
            print_ = manifest["fingerprint"]
            if right.setdefault(is_double, print_) != print_:
                table.fail(f"{case}: other data")
        elif forking.leftovers(place, source.name):
            table.fail(f"{case}: leaves {forking.leftovers(place, source.name)}")
    table.show()


@pytest.mark.slow
def test_a_few_fuzzed_logs():
    run_logs(60)


@pytest.mark.slow
def test_a_few_archives(tmp_path):
    run_archives(tmp_path, 60)


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_many_fuzzed_logs():
    run_logs(count("fuzz", 5000))


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_many_archives(tmp_path):
    run_archives(tmp_path, count("archives", 1000))
