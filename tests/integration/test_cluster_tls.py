"""TLS with certificates from the recipe in cluster/tls: who is let in, and that who is not ends cleanly."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
import time

import pytest
from clusters import QUICK, ROOT, cluster

RECIPE = ROOT / "cluster" / "tls" / "make-certificates.sh"

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")

CLIENT = """
import sys
import toy_tasks
from lastfm_dask.engine import open_engine
from lastfm_dask.errors import LastfmDaskError

results = {}
try:
    with open_engine(threads=1, scheduler=sys.argv[1]) as engine:
        engine.for_each(toy_tasks.Square(), range(5), results.__setitem__)
except LastfmDaskError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
print(dict(sorted(results.items())))
"""


def certificates(folder):
    subprocess.run([RECIPE, folder], check=True, capture_output=True)
    return folder


def as_client(address, certificates_folder=None):
    """Run a client of its own process, which finds its certificate by Dask's configuration alone."""
    env = {**os.environ, **QUICK, "DASK_CONFIG": str(certificates_folder or os.devnull)}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, address],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done, time.monotonic() - began


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    folder = certificates(tmp_path_factory.mktemp("certificates"))
    env = {"DASK_CONFIG": str(folder)}
    with cluster(tmp_path_factory.mktemp("cluster"), n_workers=1, env=env, host="tls://127.0.0.1") as it:
        yield it, folder


def test_the_recipe_makes_certificates_that_are_kept_private_and_renewed_under_the_same_authority(tmp_path):
    folder = certificates(tmp_path / "made")
    authority, first = (folder / "ca.pem").read_bytes(), (folder / "worker.pem").read_bytes()
    assert {path.name for path in folder.iterdir()} == {
        "dask.yaml", "ca.pem", "ca.key",
        *(f"{role}.{kind}" for role in ("scheduler", "worker", "client") for kind in ("pem", "key")),
    }  # fmt: skip
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir())
    certificates(folder)
    assert (folder / "ca.pem").read_bytes() == authority
    assert (folder / "worker.pem").read_bytes() != first
    for role in ("scheduler", "worker", "client"):
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        context.load_cert_chain(folder / f"{role}.pem", folder / f"{role}.key")


def test_a_client_with_a_certificate_of_this_authority_works(secured):
    it, folder = secured
    assert it.address.startswith("tls://")
    done, _ = as_client(it.address, folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == str({n: b"%d" % (n * n) for n in range(5)})


@pytest.mark.parametrize("kind", ["no certificate", "another authority's", "no encryption"])
def test_any_other_client_is_refused_cleanly(secured, tmp_path, kind):
    it, _ = secured
    address, folder = it.address, None
    if kind == "another authority's":
        folder = certificates(tmp_path / "other")
    elif kind == "no encryption":
        address = address.replace("tls://", "tcp://")
    done, took_s = as_client(address, folder)
    assert done.returncode == 7, done.stderr
    assert "could not connect to the Dask scheduler" in done.stderr
    assert "TLS" in done.stderr
    assert "Traceback" not in done.stderr
    # The time limit for a connection is 5 s in these tests.
    assert took_s < 60
    # The cluster is unharmed by it.
    assert it.scheduler.poll() is None


@pytest.mark.slow
def test_a_worker_of_another_authority_does_not_join(secured, tmp_path):
    it, _ = secured
    other = certificates(tmp_path / "other")
    worker = subprocess.run(
        [
            sys.executable,
            "-m",
            "dask",
            "worker",
            it.address,
            "--no-nanny",
            "--no-dashboard",
            "--death-timeout",
            "4",
        ],
        env={**os.environ, **QUICK, "DASK_CONFIG": str(other)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert worker.returncode != 0
    assert it.logs("scheduler").count("Register worker") == 1
