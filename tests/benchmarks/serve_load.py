"""Load on `lastfm-dask serve`: clients that ask in turns, the time of each kind of question, and the server's memory.

    python tests/benchmarks/serve_load.py MODEL [--clients 20] [--seconds 60] [--memory 256MiB]

Each client asks twice a second over one connection: six of ten times for a type-ahead, three times for a list by five
artists, once for artists like one. Figures are for reading: nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from statistics import quantiles
from urllib.parse import quote

from lastfm_dask import Recommender

INTERVAL_S = 0.5
POPULAR = 5_000
"""Most questions are about artists that many know: half of them are drawn from this many."""


class Client(threading.Thread):
    """Asks twice a second until a time, and keeps how long each answer took."""

    def __init__(self, port: int, names: list[str], number: int, end: float) -> None:
        super().__init__()
        self.taken: dict[str, list[float]] = defaultdict(list)
        self.failed = 0
        self._port, self._names, self._end = port, names, end
        self._draw = random.Random(number)

    def run(self) -> None:
        """Ask at fixed times, however long an answer takes."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        due = time.monotonic() + self._draw.random() * INTERVAL_S
        while due < self._end:
            time.sleep(max(0.0, due - time.monotonic()))
            kind, path, body = self._question()
            begin = time.monotonic()
            connection.request("POST" if body else "GET", path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            self.taken[kind].append(time.monotonic() - begin)
            self.failed += answer.status != http.client.OK
            due += INTERVAL_S

    def _question(self) -> tuple[str, str, bytes | None]:
        drawn = self._draw.random()
        if drawn < 0.6:
            return "type-ahead", f"/api/artists?q={quote(self._artist()[: self._draw.randint(1, 6)])}", None
        if drawn < 0.9:
            likes = {self._artist(): self._draw.randint(1, 100) for _ in range(5)}
            return "recommend", "/api/recommend", json.dumps({"likes": likes, "n": 10}).encode()
        return "similar", f"/api/similar?artist={quote(self._artist())}&n=10", None

    def _artist(self) -> str:
        most = POPULAR if self._draw.random() < 0.5 else len(self._names)
        return self._names[self._draw.randrange(min(most, len(self._names)))]


def started(model: Path, port: int, memory: str) -> tuple[subprocess.Popen[bytes], float]:
    """Start the server; return it and the seconds until it was ready."""
    begin = time.monotonic()
    command = [sys.executable, "-m", "lastfm_dask", "serve", str(model), "--port", str(port)]
    server = subprocess.Popen(
        [*command, "--memory", memory], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while server.poll() is None:
        try:
            if fetched(port, "/readyz")[0] == http.client.OK:
                return server, time.monotonic() - begin
        except OSError:
            time.sleep(0.02)
    msg = f"the server ended with {server.returncode}"
    raise RuntimeError(msg)


def fetched(port: int, path: str) -> tuple[int, str]:
    """Return the status and the text of one page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def main() -> None:
    """Print a table: milliseconds by kind of question, then what failed and what the server held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--memory", default="256MiB", help="of the server")
    options = parser.parse_args()
    opened = Recommender(options.model)
    order = (-opened.listeners).argsort(kind="stable")
    names = [opened.artists[int(i)] for i in order]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server, ready_s = started(options.model, port, options.memory)
    try:
        end = time.monotonic() + options.seconds
        clients = [Client(port, names, number, end) for number in range(options.clients)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        metrics = fetched(port, "/metrics")[1]
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
    lines = [
        "| question | asked | median ms | 95 % ms | 99 % ms | most ms |",
        "| --- | ---: " + "| ---: " * 4 + "|",
    ]
    for kind in ("type-ahead", "recommend", "similar"):
        taken = [1000 * one for client in clients for one in client.taken[kind]]
        at = quantiles(taken, n=100)
        cells = (f"{value:.1f}" for value in (at[49], at[94], at[98], max(taken)))
        lines.append(f"| {kind} | {len(taken):,} | {' | '.join(cells)} |")
    held = {
        name: int(float(found[1])) >> 20
        for name in ("measured", "projected")
        if (found := re.search(rf"^lastfm_dask_serve_{name}_bytes (\S+)$", metrics, re.MULTILINE))
    }
    lines.append(
        f"\nReady after {ready_s:.1f} s; failed: {sum(client.failed for client in clients)}; MiB: {held}"
    )
    print("\n".join(lines))  # noqa: T201 - a script's result


if __name__ == "__main__":
    main()
