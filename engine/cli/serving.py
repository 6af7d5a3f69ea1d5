"""`aether serve`: looks at everything that could stop a start, then runs uvicorn in one process or several.

What is served is put together by `engine/main/`, in each worker anew: flags reach the workers as settings in the
environment. What the demo shows is `demo.py`'s business.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
import uvicorn
from uvicorn.supervisors import Multiprocess

from engine.cli.demo import show_demo
from engine.cli.ground import opened, with_demo_places
from engine.cli.terminal import Refused
from engine.http.wire import WireConfig
from engine.io.database import check_capacity
from engine.io.metrics import share_metrics
from engine.io.sinks import Sinks
from engine.main import RegistryRefused, find_all_plugins, look_ahead
from engine.observe import Notice, observe
from engine.registry.findings import has_errors
from engine.registry.resource import Registry
from engine.settings import PREFIX, Settings, load_settings

APPLICATION = "engine.main:create_app"
ENV_FILE = Path(".env")
BACKLOG = 2_048
KEEP_ALIVE_S = 75  # longer than load balancers keep theirs, so that it is they who close
WORKER_PATIENCE_S = 30


def serve(
    demo: Annotated[bool, typer.Option("--demo", help="With demo data, and a secret that everybody knows.")] = False,
    dev: Annotated[bool, typer.Option("--dev", help="For work on a registry: no secret is needed.")] = False,
    host: Annotated[str | None, typer.Option(help="Address to listen on (AETHER_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (AETHER_PORT).")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes (AETHER_WORKERS).")] = None,
) -> None:
    """Serve. A wrong setting, registry, plug-in or database stops the start, with everything that is wrong."""
    if demo and dev:
        raise Refused("Give --demo or --dev, not both.")
    mode = "demo" if demo else "dev" if dev else None
    flags: dict[str, object] = {"mode": mode, "host": host, "port": port, "workers": workers}
    given = {name: value for name, value in flags.items() if value is not None}
    settings = with_demo_places(load_settings(env_file=ENV_FILE, **given))
    # Taken before anything is changed: a second server on the same port must not migrate first and fail then.
    listener = _listen(settings)
    with listener:
        registry = asyncio.run(_look_ahead(settings))
        _hand_on(settings)
        if settings.mode == "demo":
            asyncio.run(show_demo(settings, registry, _url_of(listener)))
        observe(Notice("The server listens.", details=(("url", _url_of(listener)),)))
        if not (_run_one if settings.workers == 1 else _run_several)(settings, listener):
            raise typer.Exit(1)


# ---------------------------------------------------------------- private


def _listen(settings: Settings) -> socket.socket:
    """The socket that all workers accept from.

    Raises:
        Refused: The address is taken, or not ours.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as fault:
        listener.close()
        why = fault.strerror or str(fault)
        raise Refused(
            f"{settings.host}:{settings.port} cannot be listened on: {why}. "
            f"Choose another --host or --port ({PREFIX}HOST, {PREFIX}PORT)."
        ) from fault
    listener.set_inheritable(True)
    return listener


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


async def _look_ahead(settings: Settings) -> Registry:
    """Find out now what would stop a worker, so that it is said once and in words.

    Raises:
        RegistryRefused, MigrationsPending, SettingsError, Unavailable: As their names say.
    """
    registry = await look_ahead(settings)
    _, findings = find_all_plugins(settings, registry)
    if has_errors(findings):
        raise RegistryRefused(findings, "Plug-ins have errors.")
    async with opened(settings) as database:
        await check_capacity(database, settings)
    return registry


def _hand_on(settings: Settings) -> None:
    """Give to the workers what flags have said: they read their settings themselves."""
    for name in ("mode", "host", "port", "workers", "database_url", "storage_url"):
        os.environ[f"{PREFIX}{name.upper()}"] = str(getattr(settings, name))


def _config(settings: Settings) -> uvicorn.Config:
    return WireConfig(
        APPLICATION,
        head_timeout_s=settings.body_timeout_s,
        taking_timeout_s=settings.body_timeout_s,
        factory=True,
        workers=settings.workers,
        loop="uvloop",
        # An idle client is asked for a sign of life in time to hear of it before it is called silent.
        ws_ping_interval=settings.live_idle_s / 2,
        ws_ping_timeout=settings.live_idle_s / 2,
        ws_max_size=settings.live_frame_bytes,
        lifespan="on",
        # Lines are written by `io/sinks.py`, one for each request among them.
        log_config=None,
        access_log=False,
        server_header=False,
        # Said, since uvicorn would believe whoever connects from this machine.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.stop_timeout_s)),
        timeout_worker_healthcheck=WORKER_PATIENCE_S,
    )


def _run_one(settings: Settings, listener: socket.socket) -> bool:
    """Serve in this process until a signal; whether it came to serving at all."""
    # uvicorn stops gracefully at SIGTERM and then raises it again: by then there is nothing left to do.
    signal.signal(signal.SIGTERM, _end)
    server = uvicorn.Server(_config(settings))
    server.run(sockets=[listener])
    return server.started


def _run_several(settings: Settings, listener: socket.socket) -> bool:
    """Serve in several processes, replacing those that die, until a signal."""
    directory = Path(tempfile.mkdtemp(prefix="aether-metrics-"))
    share_metrics(directory)
    sinks = Sinks(settings)
    sinks.start()
    try:
        supervisor = _Supervisor(_config(settings), sockets=[listener])
        supervisor.run()
        return all(worker.exitcode in (0, -signal.SIGTERM) for worker in supervisor.processes)
    finally:
        sinks.stop()
        shutil.rmtree(directory, ignore_errors=True)


class _Supervisor(Multiprocess):
    """uvicorn's, but nobody is let in any more once it stops.

    While it holds the socket, the system goes on accepting connections that no worker will ever look at.
    """

    def terminate_all(self) -> None:
        """Ask all workers to finish what they have begun."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(0)
