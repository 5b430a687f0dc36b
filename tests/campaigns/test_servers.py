"""`download` from servers that misbehave in random order: in the end the published bytes alone, before that exit 3 or a signal.

What a server does wrong is drawn for each request; from some request on it does all right. The command is run until it
succeeds, and sometimes ended meanwhile.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import socket
import struct
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from campaigns import forking
from campaigns.publisher import forked
from campaigns.table import Table, count, seed
from campaigns.test_crash import SIGNALS, _sender
from lastfm_dask import download
from lastfm_dask.download import DataSet
from lastfm_dask.sources.published import PublishedFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE = "log.tar.gz"
N_BYTES = 300_000
BODY = random.Random(0).randbytes(N_BYTES)
SILENCE_S = 0.3
MOST_FAULTS = 12


class Server(ThreadingHTTPServer):
    """Does wrong for some requests, and then no more."""

    daemon_threads = True

    def __init__(self, rng: random.Random) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.rng = rng
        self.n_left = rng.randint(1, MOST_FAULTS)

    def handle_error(self, *_: object) -> None:
        """Ignore who went away."""


class Handler(BaseHTTPRequestHandler):
    """One request, answered in one of the ways below."""

    server: Server

    def do_GET(self) -> None:
        self.rng = self.server.rng
        self.server.n_left -= 1
        getattr(self, self.rng.choice(FAULTS) if self.server.n_left >= 0 else "whole")()

    def whole(
        self,
        body: bytes = BODY,
        *,
        tag: str = '"one"',
        end: Callable[[], None] | None = None,
        ranges: bool = True,
        claims: str | None = "",
        shift: int = 0,
    ) -> None:
        """Send a body or the range of it that is asked for; with `end`, a random part of it and then that."""
        start, wanted = 0, self.headers.get("Range")
        if wanted and ranges and self.headers.get("If-Range") == tag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start and start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        start = max(0, min(start + shift, len(body))) if start else 0
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if claims is not None:
            self.send_header("Content-Length", claims or str(len(body) - start))
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        rest = body[start:]
        rest = rest if end is None else rest[: self.rng.randrange(len(rest))]
        step = self.rng.choice([1 << 20, 1 << 15, 50_000])
        for place in range(0, len(rest), step):
            self.wfile.write(rest[place : place + step])
            time.sleep(0.002)
        if end is not None:
            end()

    def dropped(self) -> None:
        self.whole(end=lambda: None)

    def reset(self) -> None:
        self.whole(end=self.cut_hard)

    def stalled(self) -> None:
        self.whole(end=lambda: time.sleep(3 * SILENCE_S))

    def silent(self) -> None:
        time.sleep(3 * SILENCE_S)

    def closed(self) -> None:
        self.cut_hard()

    def no_ranges(self) -> None:
        self.whole(ranges=False, end=self.rng.choice([None, lambda: None, self.cut_hard]))

    def no_tag(self) -> None:
        self.whole(tag="", end=lambda: None)

    def weak_tag(self) -> None:
        self.whole(tag='W/"one"', end=lambda: None)

    def other_version(self) -> None:
        self.whole(BODY[::-1], tag='"two"', end=self.rng.choice([None, lambda: None]))

    def other_bytes_of_the_same_version(self) -> None:
        self.whole(BODY[::-1], end=self.rng.choice([None, lambda: None]))

    def other_place(self) -> None:
        self.whole(shift=self.rng.choice([-1000, -1, 1, 1000]))

    def longer_than_claimed(self) -> None:
        self.whole(claims=str(self.rng.randrange(1, N_BYTES)))

    def shorter_than_claimed(self) -> None:
        self.whole(claims=str(N_BYTES + self.rng.randrange(1, 10**6)))

    def no_length(self) -> None:
        self.whole(claims=None, end=self.rng.choice([None, lambda: None, self.cut_hard]))

    def odd_length(self) -> None:
        self.whole(claims=self.rng.choice(["-1", "x", "1²", "9" * 5000, "1e3", " "]))

    def busy(self) -> None:
        self.send_error(self.rng.choice([429, 500, 502, 503]))

    def missing(self) -> None:
        self.send_error(self.rng.choice([403, 404, 410]))

    def beyond(self) -> None:
        self.send_error(416)

    def empty(self) -> None:
        self.send_response(self.rng.choice([200, 204, 206]))
        self.end_headers()

    def garbage(self) -> None:
        self.wfile.write(self.rng.randbytes(2000))

    def moved(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.rng.choice(["/file", "http://[", "http://example.org/", "ü", ""]))
        self.end_headers()

    def cut_hard(self) -> None:
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, *_: object) -> None:
        pass


FAULTS = [
    name
    for name in vars(Handler)
    if not name.startswith("_") and name not in ("do_GET", "cut_hard", "log_message")
]


def run_servers(folder: Path, n: int, patch: pytest.MonkeyPatch) -> None:
    forking.import_all()
    md5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
    patch.setitem(
        download.DATA_SETS, "lastfm-360k", DataSet(PublishedFile(FILE, md5), "https://x.invalid", "x")
    )
    patch.setattr(download, "_FIRST_WAIT_S", 0.01)
    patch.setattr(download, "_SILENCE_S", SILENCE_S)
    table = Table("servers that misbehave")
    for number in table.cases(range(n)):
        rng = random.Random(f"{seed()}-{number}")
        shutil.rmtree(folder, ignore_errors=True)
        with forked(Server(random.Random(rng.random()))) as address:
            command = ["download", "lastfm-360k", "-o", folder, "--accept-terms", "--url", address]
            # A run that is not ended at once asks at least once.
            for again in range(1, 4 * MOST_FAULTS):
                kind = rng.choice([None, None, *SIGNALS])
                disturb = None if kind is None else _sender(rng.uniform(0, 0.5), kind)
                ended = forking.run(*command, disturb=disturb)
                case = f"{number}: run {again}, {kind.name if kind else 'undisturbed'}"
                if ended.code not in ({0, 3} | (SIGNALS[kind] if kind else set())) or ended.traceback:
                    table.fail(f"{case}: {ended.code}: {ended.err[-300:]}")
                there = (folder / FILE).exists()
                if there and (folder / FILE).read_bytes() != BODY:
                    table.fail(f"{case}: other bytes")
                if ended.code == 0:
                    break
            table.add(f"{again} runs", ended.code)
            if ended.code or not there:
                table.fail(f"{case}: does not succeed: {ended.code}: {ended.err[-300:]}")
            elif left := forking.leftovers(folder, FILE):
                table.fail(f"{case}: leaves {left}")
    table.show()


@pytest.mark.slow
def test_a_few_servers_that_misbehave(tmp_path, monkeypatch):
    run_servers(tmp_path / "out", 10, monkeypatch)


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_many_servers_that_misbehave(tmp_path, monkeypatch):
    run_servers(tmp_path / "out", count("servers", 200), monkeypatch)
