"""How commands end: signals are honoured wherever they arrive, and what the system refuses has its exit code."""

from __future__ import annotations

import errno
import re
import signal
import subprocess
import sys

import click
import pytest

from lastfm_dask import errors
from lastfm_dask.cli.ending import exit_code

PROGRAM = """
import gc, os, signal, sys, time
from lastfm_dask.cli import ending, signals

# The tests may run under nohup.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

def send():
    os.kill(os.getpid(), signal.{signal})

def in_a_callback():
    def callback(phase, info):
        gc.callbacks.remove(callback)
        send()
        for _ in range(1000):
            pass
    gc.callbacks.append(callback)
    gc.collect()

def in_a_finalizer():
    class Dying:
        def __del__(self):
            send()
            for _ in range(1000):
                pass
    Dying()

def swallowed():
    try:
        send()
        time.sleep(0.1)
    except:
        pass

def turned():
    try:
        send()
        time.sleep(0.1)
    except BaseException as error:
        raise ImportError("core failed to import") from error

def while_its_error_is_told():
    class Odd(Exception):
        def __str__(self):
            send()
            time.sleep(1)
            return "odd"
    raise Odd

def plainly():
    send()

def command():
    {place}()
    time.sleep(60)

def cleaning():
    try:
        send()
        time.sleep(60)
    finally:
        # As long as it cleans up the signal is not sent again.
        try:
            os.remove("nowhere")
        except OSError:
            time.sleep(1)
        print("cleaned", flush=True)

signals.listen()
if {place!r} == "turned":
    command = turned
sys.exit(ending.exit_code(command, verbose=False))
"""


SAID = {"SIGTERM": "terminated", "SIGINT": "interrupted", "SIGHUP": "its terminal was closed"}


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129)])
@pytest.mark.parametrize(
    "place",
    [
        "plainly",
        "in_a_callback",
        "in_a_finalizer",
        "swallowed",
        "turned",
        "while_its_error_is_told",
        "cleaning",
    ],
)
def test_a_signal_ends_the_command_wherever_it_arrives(place, name, code):
    program = PROGRAM.format(place=place, signal=name)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == code, done.stderr
    assert done.stderr == f"lastfm-dask: {SAID[name]}; nothing was left half-written\n"
    assert done.stdout == ("cleaned\n" if place == "cleaning" else "")


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129)])
def test_a_signal_ends_the_command_before_it_has_begun(name, code):
    program = f"""
import os, signal, sys, time
from lastfm_dask import cli

# The tests may run under nohup.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

def begin():
    os.kill(os.getpid(), signal.{name})
    time.sleep(60)

cli.allocator.begin = begin
sys.argv = ["lastfm-dask", "--version"]
cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == code, done.stderr
    assert done.stderr == f"lastfm-dask: {SAID[name]}; nothing was left half-written\n"


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_an_ignored_signal_stays_ignored(name):
    program = (
        PROGRAM.format(place="plainly", signal=name)
        .replace("time.sleep(60)", "pass")
        .replace("SIG_DFL", "SIG_IGN")
    )
    program = f"import signal; signal.signal(signal.{name}, signal.SIG_IGN)\n" + program
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0


def raises(error: BaseException):
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (errors.BadInputError("bad"), 3, "bad"),
        (errors.ClusterError("gone"), 7, "gone"),
        (click.UsageError("wrong \x1b"), 2, r"wrong \\x1b"),
        (click.exceptions.Exit(4), 4, "^$"),
        (BrokenPipeError(errno.EPIPE, "gone"), 0, "^$"),
        (MemoryError("40 MiB"), 4, "40 MiB"),
        (PermissionError(errno.EACCES, "Permission denied", "/x\x9b"), 5, r"/x\\x9b: Permission denied"),
        (
            OSError(errno.EMFILE, "Too many open files", b"/y"),
            5,
            "no file descriptor is left for /y: .*ulimit -n",
        ),
        (
            OSError(errno.EMFILE, "Too many open files"),
            5,
            "^lastfm-dask: no file descriptor is left: .*ulimit -n",
        ),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 4, "no more memory"),
        (ImportError("libx.so: failed to map segment from shared object"), 4, "ulimit -v"),
        (RuntimeError("odd"), 1, "unforeseen RuntimeError: odd"),
        (OSError(errno.EPROTO, "odd"), 1, "unforeseen OSError"),
    ],
)
def test_every_error_has_its_code(error, code, said, capsys):
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    assert exit_code(raises(error), verbose=False) == code
    message = capsys.readouterr().err
    assert re.search(said, message), message
    assert "\x9b" not in message
    assert {number: signal.getsignal(number) for number in handlers} == handlers
