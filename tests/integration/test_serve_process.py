"""`serve` as a process: its plan, its ports, its signals, a new model under load."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from clusters import until
from serving import served_model

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return served_model(tmp_path_factory.mktemp("process"))


def command(path: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "lastfm_dask", "serve", str(path), *options]


@contextmanager
def served(path: Path, *options: str) -> Iterator[tuple[subprocess.Popen, str, int]]:
    with subprocess.Popen(
        command(path, "--port", "0", "--json", *options), stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            host, _, port = (
                json.loads(server.stdout.readline())["url"]
                .removeprefix("http://")
                .rstrip("/")
                .rpartition(":")
            )
            yield server, host.strip("[]"), int(port)
        finally:
            server.terminate()


def get(host: str, port: int, route: str, headers: dict[str, str] | None = None):
    connection = HTTPConnection(host, port, timeout=60)
    try:
        connection.request("GET", route, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def metric(text: str, name: str) -> int:
    return next(
        int(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if line.startswith(f"lastfm_dask_serve_{name} ")
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_it_says_its_address_answers_there_and_keeps_to_its_plan(path, host):
    if host == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")
    with served(path, "--host", host) as (_, name, port):
        status, text = get(name, port, "/metrics")
        assert status == 200
        held = [metric(text, f"{kind}_bytes") for kind in ("reserved", "measured", "projected", "allowed")]
        assert held == sorted(held)
        assert get(name, port, "/api/model", {"Host": "evil.example"})[0] == 400


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_a_port_in_use_a_foreign_address_and_a_small_limit_are_said(path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for options, code, words in (
            (("--port", str(taken.getsockname()[1])), 3, "in use"),
            (("--host", "192.0.2.1"), 3, "does not have the address"),
            (("--host", "no.such.host.invalid"), 3, "no such host"),
            (("--memory", "20MiB"), 4, "give it"),
        ):
            done = subprocess.run(command(path, *options), capture_output=True, text=True, timeout=60)
            assert (done.returncode, done.stdout) == (code, ""), done.stderr
            assert done.stderr.count(words) == 1
            assert "Traceback" not in done.stderr


def test_a_missing_model_is_said(tmp_path):
    done = subprocess.run(command(tmp_path / "none"), capture_output=True, text=True, timeout=60)
    assert done.returncode == 5
    assert "none" in done.stderr


def test_without_the_extra_the_line_to_install_it_is_said(path):
    code = (
        "import sys; sys.modules['uvicorn'] = None; sys.argv = ['lastfm-dask', 'serve', sys.argv[1]]\n"
        "from lastfm_dask.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "pip install 'lastfm_dask[serve]'" in done.stderr


BROWSER = """\
import sys, urllib.request
text = urllib.request.urlopen(sys.argv[1], timeout=60).read().decode()
open(sys.argv[2], "w").write(text)
"""


def test_open_shows_the_page_in_a_browser_that_the_server_does_not_wait_for(path, tmp_path, monkeypatch):
    page = tmp_path / "page.html"
    (tmp_path / "browser.py").write_text(BROWSER)
    monkeypatch.setenv("BROWSER", f"{sys.executable} {tmp_path / 'browser.py'} %s {page}")
    with served(path, "--open"):
        until(lambda: page.exists() and "</html>" in page.read_text(), "the page in the browser")


def test_where_there_is_no_browser_the_address_is_said(path, monkeypatch):
    monkeypatch.setenv("BROWSER", "/no/such/browser %s")
    monkeypatch.setenv("PATH", "")
    with subprocess.Popen(
        command(path, "--port", "0", "--open"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        said = [server.stderr.readline(), server.stderr.readline()]
        server.terminate()
    assert "plan" in said[0]
    assert said[1].startswith("no browser could be opened: go to http://127.0.0.1:")


def test_a_signal_to_load_a_new_model_does_not_end_a_server_that_still_starts(path, monkeypatch):
    with subprocess.Popen(
        command(path, "--port", "0", "--json"), stdout=subprocess.PIPE, text=True
    ) as server:
        until(lambda: ignores(server.pid, signal.SIGHUP), "the server's first steps", server)
        server.send_signal(signal.SIGHUP)
        assert "url" in json.loads(server.stdout.readline())
        server.terminate()
        assert server.wait(timeout=60) == 143


def ignores(pid: int, number: int) -> bool:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(fields["SigIgn"], 16) >> (number - 1) & 1)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_finishes_what_is_under_way(path, number, code):
    with served(path) as (server, host, port):
        connection = socket.create_connection((host, port), timeout=60)
        body = b'{"likes": {"bj\xc3\xb6rk": 3}, "n": 3}'
        head = (
            f"POST /api/recommend HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        connection.sendall(head + body[:5])
        time.sleep(0.3)
        server.send_signal(number)
        time.sleep(0.3)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, port), timeout=5).close()
        connection.sendall(body[5:])
        with connection, connection.makefile("rb") as answer:
            text = answer.read()
        assert text.startswith(b"HTTP/1.1 200")
        assert b'"items"' in text
        assert server.wait(timeout=60) == code


@pytest.mark.slow
@pytest.mark.parametrize("how", ["signal", "watch"])
def test_a_new_model_is_taken_up_and_no_request_is_dropped(path, tmp_path, how):
    second = served_model(tmp_path / "b", n_artists=70, seed=1)
    link = tmp_path / "current"
    link.symlink_to(path)
    with served(link, *(["--watch"] if how == "watch" else [])) as (server, host, port):
        seen, statuses, done = [], [], threading.Event()

        def ask() -> None:
            while not done.is_set():
                status, text = get(host, port, "/api/model")
                statuses.append(status)
                seen.append(json.loads(text)["artists"])

        asking = [threading.Thread(target=ask) for _ in range(3)]
        for thread in asking:
            thread.start()
        (tmp_path / "next").symlink_to(second)
        (tmp_path / "next").replace(link)
        if how == "signal":
            server.send_signal(signal.SIGHUP)
        ends = time.monotonic() + 60
        while 70 not in seen and time.monotonic() < ends:
            time.sleep(0.05)
        done.set()
        for thread in asking:
            thread.join()
    assert set(statuses) == {200}
    assert set(seen) == {60, 70}
