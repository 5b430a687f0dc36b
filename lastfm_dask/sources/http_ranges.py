"""Byte ranges of a file on a web server, over fsspec's HTTP session, with a check that the server honoured each range.

fsspec's own `cat_file` accepts a whole file in place of a range that the server ignored. Transient failures are
retried here; S3's library retries by itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from lastfm_dask.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_OK, _PARTIAL = 200, 206
_DENIED, _MISSING, _BEYOND = (401, 403, 407), (404, 410), 416
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_TRIES = 4
_FIRST_WAIT_S = 0.25
_CONNECT_S, _SILENCE_S = 15.0, 60.0
_PIECE_BYTES = 256 << 10


def describe(fs: Any, url: str) -> tuple[int, str]:
    """Return a file's size in bytes and its etag or modification time (empty if neither is given), from a one-byte range.

    Raises
    ------
    BadInputError
        If the server does not honour ranges.
    """
    total, version, _ = _again(fs, lambda: _get(fs, url, 0, 1))
    return total, version


def read(fs: Any, url: str, offset: int, n_bytes: int) -> bytearray:
    """Return a range of a file: fewer bytes only at its end, none beyond it."""
    total, _, data = _again(fs, lambda: _get(fs, url, offset, n_bytes))
    if len(data) != max(0, min(n_bytes, total - offset)):
        msg = f"asked for {n_bytes} bytes at {offset} of {total}, got {len(data)}"
        raise OSError(msg)
    return data


async def _get(fs: Any, url: str, offset: int, n_bytes: int) -> tuple[int, str, bytearray]:
    """Return the file's size, its version and the range's bytes."""
    from aiohttp import ClientTimeout

    session = await fs.set_session()
    headers = {"Range": f"bytes={offset}-{offset + n_bytes - 1}", "Accept-Encoding": "identity"}
    timeout = ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENCE_S)
    async with session.get(
        url, headers={**fs.kwargs.get("headers", {}), **headers}, timeout=timeout
    ) as response:
        version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        total = _total(response.headers.get("Content-Range", ""))
        if response.status == _BEYOND and total is not None and offset >= total:
            return total, version, bytearray()
        if response.status == _OK and response.headers.get("Content-Length") == "0":
            return 0, version, bytearray()
        _check_status(response, url)
        if response.status != _PARTIAL or total is None:
            # The body is not read: it may be the whole file.
            response.close()
            msg = (
                f"{url}: the server does not honour ranges (it answered {response.status} without a range of known"
                " size), so the log can't be read in blocks: download it, then name the local file"
            )
            raise BadInputError(msg, path=url)
        data = bytearray()
        async for piece in response.content.iter_chunked(_PIECE_BYTES):
            data += piece
        return total, version, data


def _check_status(response: Any, url: str) -> None:
    said = f"the server answered {response.status} {response.reason}"
    if response.status in _MISSING:
        raise FileNotFoundError(url)
    if response.status in _DENIED:
        raise PermissionError(said)
    if response.status in _PASSING:
        raise ConnectionError(said)
    if response.status >= 300:
        raise OSError(said)


def _total(content_range: str) -> int | None:
    """Return the size in `bytes 0-9/1234` or `bytes */1234`."""
    size = content_range.rpartition("/")[2]
    return int(size) if size.isdigit() else None


def _again(fs: Any, get: Callable[[], Awaitable[tuple[int, str, bytearray]]]) -> tuple[int, str, bytearray]:
    """Run a request on fsspec's loop; retry if the failure may be transient."""
    import aiohttp
    from fsspec.asyn import sync

    passing = (ConnectionError, TimeoutError, aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)

    async def run() -> tuple[int, str, bytearray]:
        for wait_s in (_FIRST_WAIT_S * 2**i for i in range(_TRIES - 1)):
            try:
                return await get()
            except passing:
                await asyncio.sleep(wait_s)
        return await get()

    found: tuple[int, str, bytearray] = sync(fs.loop, run)
    return found
