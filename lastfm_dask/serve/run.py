"""Runs the server: its plan, its sockets, its signals.

SIGTERM and SIGINT close the sockets, finish what is under way, and end. SIGHUP opens the model again.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import signal
import socket
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lastfm_dask.errors import BadInputError
from lastfm_dask.memory.limits import allowed_memory, cpus
from lastfm_dask.memory.meter import anon_bytes
from lastfm_dask.serve.guard import Access
from lastfm_dask.serve.plan import ServingPlan, plan_serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from uvicorn import Server

    from lastfm_dask.serve.service import Service

_BACKLOG = 256
FINISH_S = 30
"""How long requests under way may take after SIGTERM."""
_SWITCH_S = 0.001
_CONNECTIONS_BY_REQUEST = 8


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model is served."""

    host: str = "127.0.0.1"
    port: int = 8000
    max_requests: int = 64
    memory_bytes: int | None = None
    threads: int | None = None
    watch: bool = False
    access: Access = field(default_factory=Access)


def plan_for(path: Path, settings: Settings) -> ServingPlan:
    """Return the plan for a model: import the libraries, and read only the sizes of its files.

    Raises
    ------
    StoreError
        The model can't be opened.
    BudgetError
        It does not fit.
    """
    import pyarrow.compute  # noqa: F401 - what is imported counts as reserved
    import rapidfuzz.process  # noqa: F401
    import uvicorn.protocols.http.h11_impl  # noqa: F401

    from lastfm_dask.recommender.answers import Recommender
    from lastfm_dask.serve import app  # noqa: F401
    from lastfm_dask.serve.opened import shape_of

    return plan_serving(
        shape_of(Recommender(path)),
        cpus(settings.threads).count,
        settings.max_requests,
        reserved_bytes=anon_bytes(),
        allowed_bytes=allowed_memory(settings.memory_bytes).bytes,
    )


def listen(host: str, port: int) -> list[socket.socket]:
    """Return sockets that listen at every address of a host.

    Raises
    ------
    BadInputError
        The host has no address here, the port is in use, or it is one that only root may open.
    """
    where = f"{host}, port {port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        msg = f"{where}: no such host ({error}); give --host a name or an address of this machine"
        raise BadInputError(msg) from error
    sockets: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((one[0], one[4]) for one in found):
            # A port that the system chooses is the same for all addresses.
            bound = (address[0], sockets[0].getsockname()[1] if sockets else port, *address[2:])
            sockets.append(_bound(family, bound))
    except OSError as error:
        for one in sockets:
            one.close()
        raise BadInputError(f"{where}: {_why(error, port)}") from error  # noqa: EM102
    return sockets


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and address[0] != "::":
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
        one.listen(_BACKLOG)
    except BaseException:
        one.close()
        raise
    one.setblocking(False)
    return one


def _why(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use: give another with --port, or 0 for any that is free"
    if error.errno == errno.EACCES:
        return f"only root may listen at port {port}: give one from 1024 with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have the address: see --host"
    return f"can't listen there ({error.strerror})"


def url_of(settings: Settings, sockets: list[socket.socket]) -> str:
    """Return the address that a browser takes."""
    host, port = settings.host, sockets[0].getsockname()[1]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"http://{host}:{port}/"
    if address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def serve(path: Path, settings: Settings, plan: ServingPlan, ready: Callable[[str], None]) -> None:
    """Serve a model until SIGTERM or SIGINT; raises what `listen` and opening the model raise.

    Parameters
    ----------
    path : Path
        The model directory.
    settings : Settings
        Where to listen, and who may connect.
    plan : ServingPlan
        What `plan_for` returned.
    ready : callable
        Called with the address once questions are answered.
    """
    import uvicorn

    from lastfm_dask.serve.app import application
    from lastfm_dask.serve.service import Service

    # A signal that comes before the model is open would end the process; `_run` looks whether a new model came.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _log_to_stderr()
    sockets = listen(settings.host, settings.port)
    # The loop that reads requests waits less for threads that compute.
    sys.setswitchinterval(_SWITCH_S)
    try:
        service = Service(path, plan)
        access = settings.access
        named = Access(access.hosts | {settings.host.lower()}, access.origins)
        config = uvicorn.Config(
            application(service, named, watch=settings.watch),
            http="h11",
            ws="none",
            loop="asyncio",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_CONNECTIONS_BY_REQUEST * plan.max_requests,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=FINISH_S,
        )
        server = uvicorn.Server(config)
        with asyncio.Runner() as runner:
            runner.run(_run(server, service, sockets, lambda: ready(url_of(settings, sockets))))
    finally:
        for one in sockets:
            one.close()


def _log_to_stderr() -> None:
    """Write the server's log to stderr; the command itself reports what ends it."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name in ("lastfm_dask.serve", "uvicorn"):
        logging.getLogger(name).addHandler(handler)


async def _run(
    server: Server, service: Service, sockets: list[socket.socket], ready: Callable[[], None]
) -> None:
    reloads: set[asyncio.Task[bool]] = set()

    def reload() -> None:
        task = asyncio.create_task(service.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
    if service.is_outdated():
        reload()
    serving = asyncio.create_task(server.serve(sockets=sockets))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if not serving.done():
        ready()
    await serving
