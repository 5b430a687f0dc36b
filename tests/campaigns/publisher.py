"""A publisher of files on this machine, in a process of its own: what is fetched comes slowly, and in ranges."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK_BYTES = 4096


@contextmanager
def publisher(body: bytes) -> Iterator[str]:
    """Serve some bytes until the block ends; yield their address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) - start))
            self.send_header("ETag", '"one"')
            self.end_headers()
            for place in range(start, len(body), _CHUNK_BYTES):
                self.wfile.write(body[place : place + _CHUNK_BYTES])
                time.sleep(0.001)

        def log_message(self, *_: object) -> None:
            pass

    class Server(HTTPServer):
        def handle_error(self, *_: object) -> None:
            """Ignore who went away."""

    with forked(Server(("127.0.0.1", 0), Handler)) as address:
        yield address


@contextmanager
def forked(server: HTTPServer) -> Iterator[str]:
    """Let a server answer in a process of its own until the block ends; yield the address of its file."""
    child = os.fork()
    if not child:
        server.serve_forever()
    server.server_close()
    try:
        yield f"http://127.0.0.1:{server.server_port}/file"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
