"""Remote stores for tests, on loopback and free ports: moto's S3 as a process, and small web servers."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from clusters import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    # Nothing outside of this machine is asked for anything.
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """Run moto's server; gives its endpoint."""
    port = free_port()
    with (folder / "moto.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **CREDENTIALS},
        )
    try:
        until(lambda: answers(port), "moto's server", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


class WebServer(ThreadingHTTPServer):
    """Serves `files`; how it behaves is set on it by the test."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = dict(files)
        self.honours_ranges = True
        self.status: dict[str, int] = {}
        self.n_failures = 0
        """How many of the next requests are answered 503."""
        self.cuts = 0
        """How many of the next answers break off in the middle."""
        self.requests: list[tuple[str, str | None]] = []
        self.sent_bytes = 0

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def handle_error(self, request, client_address) -> None:
        """A client that goes away is what some tests want."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WebServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        server, name = self.server, self.path.lstrip("/").partition("?")[0]
        wanted = self.headers.get("Range")
        server.requests.append((name, wanted))
        if server.n_failures:
            server.n_failures -= 1
            self._send(503, b"later")
        elif name in server.status:
            self._send(server.status[name], b"no")
        elif name not in server.files:
            self._send(404, b"not here")
        elif wanted is None or not server.honours_ranges:
            self._send(200, server.files[name])
        else:
            self._send_range(server.files[name], wanted)

    def _send_range(self, data: bytes, wanted: str) -> None:
        start, end = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", wanted).groups())
        if start >= len(data):
            self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        piece = data[start : end + 1]
        content_range = f"bytes {start}-{start + len(piece) - 1}/{len(data)}"
        self._send(206, piece, {"Content-Range": content_range, "ETag": f'"{hash(data):x}"'})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if status == 206 and self.server.cuts:
            self.server.cuts -= 1
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)
        self.server.sent_bytes += len(body)


@contextmanager
def web_server(files: Mapping[str, bytes]) -> Iterator[WebServer]:
    with WebServer(files) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
