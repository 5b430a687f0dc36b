"""`download` against a server on this machine that drops, stalls, lies, changes its file, or knows no ranges."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import pytest
from click.testing import CliRunner

from lastfm_dask import download as module
from lastfm_dask.cli.download import command
from lastfm_dask.download import DataSet, download
from lastfm_dask.errors import BadInputError, StoreError
from lastfm_dask.sources.published import PublishedFile

BODY = bytes(i * 31 % 251 for i in range(1_000_000))
FILE = "log.tar.gz"


def md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


@pytest.fixture(autouse=True)
def data_set(monkeypatch):
    monkeypatch.setitem(
        module.DATA_SETS,
        "lastfm-360k",
        DataSet(PublishedFile(FILE, md5(BODY)), "https://nowhere.invalid/x", "page"),
    )
    monkeypatch.setattr(module, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(module, "_SILENCE_S", 0.5)


@contextmanager
def server(answer):
    """Serve with `answer(handler, number)`, the number counting requests from 0; yield the address and the requests."""
    numbers, ranges = count(), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            ranges.append(self.headers.get("Range"))
            answer(self, next(numbers))

        def log_message(self, *_):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}/{FILE}", ranges
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def send(handler, body=BODY, *, etag='"one"', n_bytes=None, ranges=True, length=None):
    """Answer as a well-behaved server; `n_bytes` breaks off after so many bytes, `length` is what is claimed."""
    start = 0
    wanted = handler.headers.get("Range")
    if wanted and ranges and handler.headers.get("If-Range") == etag:
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
    else:
        handler.send_response(200)
    handler.send_header("Content-Length", str(length or len(body) - start))
    if etag:
        handler.send_header("ETag", etag)
    handler.end_headers()
    handler.wfile.write(body[start : None if n_bytes is None else start + n_bytes])


def test_a_server_that_drops_is_asked_for_the_rest(tmp_path):
    with server(lambda handler, number: send(handler, n_bytes=None if number == 3 else 300_000)) as (
        url,
        ranges,
    ):
        (file,) = download("lastfm-360k", tmp_path, url=url)
    assert file.read_bytes() == BODY
    assert ranges == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_run_that_was_ended_goes_on_in_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_TRIES", 1)
    with (
        server(lambda handler, number: send(handler, n_bytes=400_000 if number == 0 else 0)) as (url, _),
        pytest.raises(BadInputError, match="400000 bytes are kept: call again"),
    ):
        download("lastfm-360k", tmp_path, url=url)
    with server(lambda handler, number: send(handler)) as (url, ranges):
        download("lastfm-360k", tmp_path, url=url)
    assert ranges == ["bytes=400000-"]


def test_a_server_that_stalls_is_asked_again(tmp_path):
    release = threading.Event()

    def answer(handler, number):
        send(handler, n_bytes=None if number else 100_000)
        if not number:
            handler.wfile.flush()
            release.wait(5)

    with server(answer) as (url, ranges):
        download("lastfm-360k", tmp_path, url=url)
        release.set()
    assert ranges == [None, "bytes=100000-"]


def test_a_file_that_changed_in_between_begins_anew(tmp_path):
    other = BODY[::-1]

    def answer(handler, number):
        send(
            handler,
            *((other,) if number == 0 else ()),
            etag=f'"{number > 0}"',
            n_bytes=None if number else 500_000,
        )

    with server(answer) as (url, _):
        (file,) = download("lastfm-360k", tmp_path, url=url)
    assert file.read_bytes() == BODY


@pytest.mark.parametrize("etag", ['"one"', None])
def test_a_server_without_ranges_sends_all_of_it_again(etag, tmp_path):
    with server(
        lambda handler, number: send(handler, ranges=False, etag=etag, n_bytes=None if number else 500_000)
    ) as (url, _):
        (file,) = download("lastfm-360k", tmp_path, url=url)
    assert file.read_bytes() == BODY


def test_a_server_that_claims_more_than_it_sends_is_found_out(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_TRIES", 2)
    with (
        server(lambda handler, number: send(handler, length=len(BODY) + 7)) as (url, _),
        pytest.raises(BadInputError, match=r"call again|MD5"),
    ):
        download("lastfm-360k", tmp_path, url=url)
    assert FILE not in [path.name for path in tmp_path.iterdir()]


def test_a_server_that_breaks_off_here_and_there_and_knows_no_ranges_is_given_up(tmp_path):
    def answer(handler, number):
        n_bytes = None if number > 30 else 300_000 - 100_000 * (number % 2)
        send(handler, ranges=False, n_bytes=n_bytes)

    with server(answer) as (url, ranges), pytest.raises(BadInputError, match="call again"):
        download("lastfm-360k", tmp_path, url=url)
    assert len(ranges) == 1 + module._TRIES


def test_a_length_that_is_no_number_is_left_aside(tmp_path):
    with server(lambda handler, number: send(handler, length="1²")) as (url, _):
        (file,) = download("lastfm-360k", tmp_path, url=url)
    assert file.read_bytes() == BODY


def test_other_bytes_never_get_the_name(tmp_path):
    with (
        server(lambda handler, number: send(handler, BODY[:-1] + b"!")) as (url, _),
        pytest.raises(BadInputError, match=f"published one is {md5(BODY)}"),
    ):
        download("lastfm-360k", tmp_path, url=url)
    assert FILE not in [path.name for path in tmp_path.iterdir()]
    with server(lambda handler, number: send(handler)) as (url, _):
        download("lastfm-360k", tmp_path, url=url)


@pytest.mark.parametrize("code", [404, 403])
def test_what_is_not_there_is_not_asked_for_again(code, tmp_path):
    with (
        server(lambda handler, number: handler.send_error(code)) as (url, ranges),
        pytest.raises(BadInputError, match=f"answered {code}"),
    ):
        download("lastfm-360k", tmp_path, url=url)
    assert len(ranges) == 1


def test_a_busy_server_is_asked_again(tmp_path):
    with server(lambda handler, number: send(handler) if number else handler.send_error(503)) as (
        url,
        ranges,
    ):
        download("lastfm-360k", tmp_path, url=url)
    assert len(ranges) == 2


@pytest.mark.parametrize(
    "address", ["http://example.org/x", "ftp://example.org/x", "file:///etc/passwd", "x"]
)
def test_only_https_is_fetched(address, tmp_path):
    with pytest.raises(BadInputError, match="only https"):
        download("lastfm-360k", tmp_path, url=address)


@pytest.mark.parametrize(
    "address",
    [
        "https://[x",
        "https://127.0.0.1:x/",
        "http://127.0.0.1:1/ü",
        "http://127.0.0.1:1/a b",
        "https://ü..de/",
    ],
)
def test_what_is_no_address_is_not_fetched(address, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_TRIES", 0)
    with pytest.raises(BadInputError, match="check the address"):
        download("lastfm-360k", tmp_path, url=address)


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("http://example.org/x", r"^http://example.org/x: only https.*only on this machine\)$"),
        ("https://[x", "check the address"),
    ],
)
def test_a_redirect_away_from_https_is_refused(location, said, tmp_path):
    def answer(handler, number):
        handler.send_response(302)
        handler.send_header("Location", location)
        handler.end_headers()

    with server(answer) as (url, _), pytest.raises(BadInputError, match=said):
        download("lastfm-360k", tmp_path, url=url)


def test_a_file_that_is_there_is_not_fetched_and_another_not_overwritten(tmp_path):
    (tmp_path / FILE).write_bytes(BODY)
    with server(lambda handler, number: send(handler)) as (url, ranges):
        download("lastfm-360k", tmp_path, url=url)
        assert not ranges
        (tmp_path / FILE).write_bytes(b"mine")
        with pytest.raises(StoreError, match="is not the published file"):
            download("lastfm-360k", tmp_path, url=url)
    assert (tmp_path / FILE).read_bytes() == b"mine"


def test_the_log_of_an_archive_is_unpacked_beside_it(tmp_path, monkeypatch):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("user_artists.dat", "userID\tartistID\tweight\r\n1\t2\t3\r\n")
        archive.writestr("artists.dat", "id\tname\n2\tx\n")
    body = packed.getvalue()
    known = DataSet(
        PublishedFile("h.zip", md5(body)),
        "https://x.invalid",
        "page",
        members=("user_artists.dat", "artists.dat"),
    )
    monkeypatch.setitem(module.DATA_SETS, "hetrec-2k", known)
    with server(lambda handler, number: send(handler, body)) as (url, _):
        result = CliRunner().invoke(
            command, ["hetrec-2k", "-o", str(tmp_path / "new"), "--url", url, "--accept-terms", "--json"]
        )
    assert result.exit_code == 0, result.output
    names = [file.rpartition("/")[2] for file in json.loads(result.output)["files"]]
    assert names == ["h.zip", "user_artists.dat", "artists.dat"]
    assert (tmp_path / "new" / "artists.dat").read_text() == "id\tname\n2\tx\n"
    # Killed right before it had cleaned up behind the last file.
    left = tmp_path / "new" / ".artists.dat.01234567.part"
    left.mkdir()
    (left / "lastfm-dask.lock").touch()
    (left / "artists.dat").hardlink_to(tmp_path / "new" / "artists.dat")
    download("hetrec-2k", tmp_path / "new")
    assert {path.name for path in (tmp_path / "new").iterdir()} == set(names)


@pytest.mark.parametrize("typed", ["n\n", ""])
def test_terms_are_shown_and_must_be_agreed_to(tmp_path, typed):
    result = CliRunner().invoke(command, ["lastfm-360k", "-o", str(tmp_path)], input=typed)
    assert result.exit_code == 2
    assert "non-commercial" in result.output
    assert "--accept-terms" in result.output
    assert not list(tmp_path.iterdir())


def test_the_log_of_an_archive_is_never_written_through_a_link(tmp_path, monkeypatch):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("user_artists.dat", "userID\tartistID\tweight\r\n")
    known = DataSet(
        PublishedFile("h.zip", md5(packed.getvalue())),
        "https://x.invalid",
        "page",
        members=("user_artists.dat",),
    )
    monkeypatch.setitem(module.DATA_SETS, "hetrec-2k", known)
    (tmp_path / "mine").write_text("mine")
    for name in (".user_artists.dat.part", ".h.zip.part"):
        (tmp_path / name).symlink_to("mine")
    with server(lambda handler, number: send(handler, packed.getvalue())) as (url, _):
        download("hetrec-2k", tmp_path, url=url)
    assert (tmp_path / "mine").read_text() == "mine"


def test_what_a_run_left_that_was_killed_after_it_had_finished_is_cleared(tmp_path):
    (tmp_path / FILE).write_bytes(BODY)
    (tmp_path / f".{FILE}.work" / "spool").mkdir(parents=True)
    (tmp_path / f".{FILE}.work" / "spool" / "version").write_text('"one"')
    with server(lambda handler, number: send(handler)) as (url, _):
        download("lastfm-360k", tmp_path, url=url)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
