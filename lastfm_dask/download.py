"""Downloads published data sets: over https, resumed after an interruption, checked before a file gets its name.

What has arrived stands in a work directory beside the file, with the version that the server named. A later try asks
only for the rest of that version; a file that changed in between starts over. The final name appears by one rename,
after the MD5 was compared with the published one.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import ipaddress
import json
import os
import shutil
import time
import urllib.error
import urllib.request
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lastfm_dask.dataset.files import clear_left, complete_or_absent
from lastfm_dask.dataset.store import clear_finished, work_directory
from lastfm_dask.dataset.writing import flush, refuse_existing
from lastfm_dask.errors import BadInputError, StoreError
from lastfm_dask.sources.published import ARCHIVE, PublishedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import PathLike
    from typing import BinaryIO

_CHUNK_BYTES = 256 << 10
_SILENCE_S = 30.0
"""Seconds without a byte after which a connection counts as stalled."""
_TRIES = 5
"""Connections in a row that bring nothing new before it is given up."""
_FIRST_WAIT_S = 0.5
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_TERMS = "The publisher makes this data available for non-commercial use only."


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set that can be fetched.

    Attributes
    ----------
    file : PublishedFile
        The file's name, MD5 and size.
    url : str
        Where it is published.
    page : str
        Where it is described.
    terms : str
        What its publisher allows, in a sentence.
    members : tuple of str
        Of a zip archive: the files that ingest reads, which are unpacked beside it.
    """

    file: PublishedFile
    url: str
    page: str
    terms: str = _TERMS
    members: tuple[str, ...] = ()


DATA_SETS = {
    "lastfm-360k": DataSet(
        ARCHIVE,
        "https://zenodo.org/records/6090214/files/lastfm-dataset-360K.tar.gz?download=1",
        "https://doi.org/10.5281/zenodo.6090214",
    ),
    "hetrec-2k": DataSet(
        PublishedFile("hetrec2011-lastfm-2k.zip", "296d61afe4e8632b173fc2dd3be20ce2"),
        "https://files.grouplens.org/datasets/hetrec2011/hetrec2011-lastfm-2k.zip",
        "https://grouplens.org/datasets/hetrec-2011/",
        members=("user_artists.dat", "artists.dat"),
    ),
}


def download(
    name: str,
    folder: str | PathLike[str],
    *,
    url: str | None = None,
    proxy: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Path]:
    """Fetch a published data set into a folder and return its files: the archive, then what was unpacked of it.

    Parameters
    ----------
    name : str
        One of `DATA_SETS`.
    folder : path
        Where it goes; made where it is missing.
    url : str, optional
        A mirror's address, https (or on this machine). The MD5 is compared all the same.
    proxy : str, optional
        A proxy's address; the environment's `https_proxy` unless given.
    progress : callable, optional
        Called with what is fetched, the bytes that are here, and how many there will be.

    Raises
    ------
    BadInputError
        The data set is unknown, the address is not https, the server can't be reached or does not have the file, or
        the file's MD5 is not the published one.
    StoreError
        The folder can't be written, another run fetches the same file, or the disk is full.
    """
    if name not in DATA_SETS:
        msg = f"{name!r} is not a data set that can be fetched: choose one of {', '.join(DATA_SETS)}"
        raise BadInputError(msg)
    wanted = DATA_SETS[name]
    address = url or wanted.url
    _refuse_insecure(address)
    target = Path(folder) / wanted.file.name
    with _store_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (target.exists() and _md5(target) == wanted.file.md5):
            if os.path.lexists(target):
                msg = f"{target} exists and is not the published file (its MD5 differs): remove it, or choose another folder"
                raise StoreError(msg, path=str(target))
            _fetch(address, target, wanted, _opener(proxy), progress or (lambda *_: None))
        clear_finished(target)
        return [target, *(_unpack(target, member) for member in wanted.members)]


def _refuse_insecure(address: str) -> None:
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise _unusable(address, str(error)) from error
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname and _is_loopback(parts.hostname):
        return
    msg = f"{address}: only https:// addresses are fetched (http:// only on this machine)"
    raise BadInputError(msg, path=address)


def _unusable(address: str, why: str) -> BadInputError:
    return BadInputError(f"{address}: {why}: check the address, or give a mirror (--url)", path=address)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        _refuse_insecure(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(proxy: str | None) -> urllib.request.OpenerDirector:
    proxies = urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else None)
    return urllib.request.build_opener(proxies, _SecureRedirects())


def _fetch(
    address: str,
    target: Path,
    wanted: DataSet,
    opener: urllib.request.OpenerDirector,
    progress: Callable[[str, int, int], None],
) -> None:
    with work_directory(target) as work:
        descriptor = os.open(work.output, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        with os.fdopen(descriptor, "r+b") as file:
            transfer = _Transfer(address, file, work.spool / "version", opener)
            most, waited = transfer.n_bytes, 0
            while not transfer.complete:
                try:
                    transfer.go_on(lambda done, total: progress(target.name, done, total))
                except _PassingError as error:
                    # A connection that got further than any before it does not count as a failed try.
                    waited = 0 if transfer.n_bytes > most else waited + 1
                    most = max(most, transfer.n_bytes)
                    if waited >= _TRIES:
                        msg = f"{address}: {error}; {transfer.n_bytes} bytes are kept: call again and it goes on"
                        raise BadInputError(msg, path=address) from error
                    time.sleep(_FIRST_WAIT_S * 2**waited if waited else 0)
            found = _md5(work.output)
            if found != wanted.file.md5:
                msg = (
                    f"{address}: the file has {transfer.n_bytes} bytes and the MD5 {found}, the published one is"
                    f" {wanted.file.md5}: what was fetched is thrown away; try again, or another mirror (--url)"
                )
                transfer.forget()
                raise BadInputError(msg, path=address)
        flush(work.output)
        refuse_existing(target)
        work.output.rename(target)
        flush(target.parent)


class _PassingError(Exception):
    """A failure that may pass when it is tried again."""


class _Transfer:
    """One file on its way: what is here, of which version, and how many bytes there will be."""

    def __init__(
        self, address: str, file: BinaryIO, version: Path, opener: urllib.request.OpenerDirector
    ) -> None:
        self.address = address
        self.file = file
        self.version = version
        self.opener = opener
        self.n_bytes = file.seek(0, os.SEEK_END)
        self.complete = False

    def forget(self) -> None:
        """Start over."""
        self.file.truncate(0)
        self.file.seek(0)
        self.n_bytes = 0
        self.version.unlink(missing_ok=True)

    def go_on(self, progress: Callable[[int, int], None]) -> None:
        """Fetch what is missing; raises _PassingError where the connection ends before the file does."""
        known = self._known_version()
        if self.n_bytes and not known:
            # Without a version nobody can say whether the rest belongs to what is here.
            self.forget()
        request = urllib.request.Request(self.address, headers={"Accept-Encoding": "identity"})
        if self.n_bytes:
            request.add_header("Range", f"bytes={self.n_bytes}-")
            request.add_header("If-Range", known)
        try:
            with self.opener.open(request, timeout=_SILENCE_S) as response:
                self._receive(response, progress)
        except urllib.error.HTTPError as error:
            self._refused(error)
        except (ValueError, http.client.InvalidURL) as error:
            if isinstance(error, BadInputError):
                raise
            raise _unusable(self.address, str(error)) from error
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise _PassingError(str(error) or type(error).__name__) from error

    def _receive(self, response: Any, progress: Callable[[int, int], None]) -> None:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT and self.n_bytes:
            self.forget()
        version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        # A weak tag promises the same meaning, not the same bytes.
        self.version.write_text(json.dumps("" if version.startswith("W/") else version), encoding="utf-8")
        # None if the server gives no length, or one that is not a number.
        total = self.n_bytes + response.length if response.length else 0
        progress(self.n_bytes, total)
        while chunk := response.read1(_CHUNK_BYTES):
            self.file.write(chunk)
            self.n_bytes += len(chunk)
            progress(self.n_bytes, max(total, self.n_bytes))
        self.file.flush()
        if total and self.n_bytes < total:
            msg = f"the connection ended after {self.n_bytes} of {total} bytes"
            raise _PassingError(msg)
        self.complete = True

    def _refused(self, error: urllib.error.HTTPError) -> None:
        said = f"the server answered {error.code} {error.reason}"
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and self.n_bytes:
            # All of it is here already, or the file is shorter now: the MD5 tells.
            self.complete = True
            return
        if error.code in _PASSING:
            raise _PassingError(said) from error
        raise _unusable(self.address, said) from error

    def _known_version(self) -> str:
        try:
            found = json.loads(self.version.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""
        return found if isinstance(found, str) else ""


@contextmanager
def _store_errors(target: Path) -> Iterator[None]:
    """Turn what the file system refuses into a StoreError that names the place."""
    try:
        yield
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        msg = f"{target} can't be written: {error.strerror or error}; make room, or choose a folder that is writable (-o)"
        raise StoreError(msg, path=str(target)) from error


def _unpack(archive: Path, member: str) -> Path:
    """Write one file of a zip archive beside it, whole or not at all; one that is there already stays."""
    target = archive.with_name(member)
    if target.exists():
        clear_left(target)
        return target
    with (
        complete_or_absent(target) as part,
        zipfile.ZipFile(archive) as opened,
        opened.open(member) as source,
        part.open("wb") as file,
    ):
        shutil.copyfileobj(source, file, _CHUNK_BYTES)
    return target


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
