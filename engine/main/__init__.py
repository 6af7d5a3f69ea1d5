"""The composition root: settings in, a running application out. The one place that knows every part.

`preparation.py` is what comes before a start, `plugins.py` what is found by name. Nothing imports this package but the
command line and tests.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from engine import faultpoints
from engine.auth.attempts import Attempts
from engine.auth.gate import Authenticator, make_authenticator
from engine.auth.limits import RateLimiter, make_limiter
from engine.auth.sessions import Sessions
from engine.auth.sign_in import SignIn
from engine.execute.live import Hub
from engine.execute.runtime import Runtime
from engine.execute.workers import Workers
from engine.http.actions import DirectActions, action_router, describe_actions
from engine.http.app import Application, Serving
from engine.http.cors import Cors
from engine.http.describe import Describer
from engine.http.fallback import make_fallback
from engine.http.health import health_router
from engine.http.live_connections import Connections
from engine.http.live_door import LiveDoor
from engine.http.meta import meta_router
from engine.http.routes import make_router, root_endpoints
from engine.http.server import Server
from engine.io.blobs import open_blobs
from engine.io.cache import Cache, RedisCache, open_cache
from engine.io.changes import Changes
from engine.io.database import Database, check_capacity, open_database
from engine.io.passwords import Passwords
from engine.io.redis_streams import open_stream
from engine.io.resolver import Resolver
from engine.io.sinks import Sinks
from engine.io.uses import Uses
from engine.main.layers import Asgi, put_layers_around
from engine.main.layers import find_old_routes as find_old_routes
from engine.main.plugins import SHIPPED as SHIPPED
from engine.main.plugins import Plugins as Plugins
from engine.main.plugins import find_all_plugins as find_all_plugins
from engine.main.plugins import plugin_directory as plugin_directory
from engine.main.preparation import MigrationsPending as MigrationsPending
from engine.main.preparation import Prepared as Prepared
from engine.main.preparation import RegistryRefused as RegistryRefused
from engine.main.preparation import look_ahead as look_ahead
from engine.main.preparation import prepare as prepare
from engine.main.preparation import take_prepared, uncollected
from engine.main.preparation import target_registry as target_registry
from engine.observe import Notice, StatementRan, observe
from engine.plugins.layers import Host
from engine.settings import Settings, load_settings
from engine.sql.lookup import make_lookup
from engine.tables import build_tables


@dataclass(slots=True)
class Engine:
    """Everything that runs, so that it can be stopped.

    Attributes:
        application: The ASGI application, with the layers around it.
        runtime: What it serves.
    """

    application: Asgi
    runtime: Runtime
    database: Database
    cache: Cache
    changes: Changes
    authenticator: Authenticator
    limiter: RateLimiter | None
    uses: Uses
    live: Connections
    workers: Workers
    tasks: list[asyncio.Task[None]]

    async def close(self) -> None:
        """Stop in the order in which the parts depend on each other."""
        for task in self.tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.workers.close()
        await self.live.close()
        await self.uses.close()
        await self.changes.close()
        await self.authenticator.close()
        await self.runtime.blobs.close()
        self.runtime.passwords.close()
        await self.cache.close()
        await self.database.close()


async def start_engine(settings: Settings, sinks: Sinks) -> Engine:
    """Start everything that serves.

    Raises:
        RegistryRefused, MigrationsPending, SettingsError, Unavailable: As their names say.
    """
    with uncollected():
        prepared = take_prepared(settings) or await prepare(settings)
    registry = prepared.registry
    plugins, findings = find_all_plugins(settings, registry)
    if any(finding.severity == "error" for finding in findings):
        raise RegistryRefused(findings, "Plug-ins have errors.")
    database = open_database(settings)
    if sinks.wants("engine.sql", "debug"):
        database.on_statement = _observe_statement
    await check_capacity(database, settings)
    cache = open_cache(settings)
    shared = cache if isinstance(cache, RedisCache) else None
    tables = build_tables(registry, database.dialect, prepared.reflection)
    resolver = Resolver(
        database,
        shared,
        make_lookup(registry, tables, database.dialect),
        digest=registry.digest,
        size=settings.id_cache_size,
    )
    changes = Changes()
    blobs = open_blobs(settings)
    key = cursor_key(settings)
    passwords = Passwords(settings.password_threads)
    sessions = Sessions(registry, database)
    runtime = Runtime(registry, tables, database, resolver, changes, plugins.overrides, key, blobs, passwords)
    authenticator = make_authenticator(settings, registry, database, sessions)
    limiter = make_limiter(settings, shared)
    describer = Describer(plugins.actions)
    root, root_words = root_endpoints(describer)
    serving = Serving(runtime, make_router(registry, describer), root, root_words)

    async def check_database() -> None:
        await database.ping()

    async def check_cache() -> None:
        if shared is not None and await shared.ping() is None:
            raise OSError("Redis does not answer")

    uses = Uses(database)
    action_routes = action_router(plugins.actions)
    fallback = make_fallback(
        [
            health_router(
                {"database": check_database, "cache": check_cache, "storage": blobs.check},
                sinks.metrics.render,
                lambda: runtime.registry,
            ),
            meta_router(
                lambda: runtime.registry,
                version=product_version(),
                server_url=settings.public_url or "/",
                actions=describe_actions(action_routes, plugins.actions),
                overrides=plugins.overrides,
                uses=uses,
            ),
            action_routes,
        ]
    )
    fallback.state.serving = lambda: serving
    attempts = Attempts(settings.sign_in_per_minute, shared=shared)
    fallback.state.sign_in = SignIn(settings, sessions, passwords, attempts)
    stream = open_stream(settings, key=key, changes=changes, digest=registry.digest)
    live = Connections(Hub(runtime, stream, key=key), authenticator, settings)
    door = LiveDoor(live, lambda: runtime.registry, limiter, settings.cors_origins, DirectActions(plugins.actions))
    application = Application(
        serving, authenticator, limiter, Cors(settings.cors_origins), fallback, settings, door, door
    )
    outermost = put_layers_around(application, Host(lambda: application.serving.runtime.registry, settings, uses.note))
    if outermost is not application:
        uses.start()
    live.start()
    if settings.workers > 1 and settings.redis_url is None:
        observe(Notice("Without Redis, live changes of one worker are not told by the others.", level="warning"))
    workers = Workers(plugins.workers, runtime, settings)
    workers.start()
    tasks = [] if limiter is None else [asyncio.create_task(limiter.run())]
    return Engine(outermost, runtime, database, cache, changes, authenticator, limiter, uses, live, workers, tasks)


def create_app() -> Server:
    """The application for uvicorn's factory mode; settings come from the environment, as in every process."""
    settings = load_settings()
    arm_faults(settings)
    sinks = Sinks(settings)

    async def start() -> Engine:
        engine = await start_engine(settings, sinks)
        _settle_memory()
        return engine

    return Server(start, sinks.start, sinks.stop)


def arm_faults(settings: Settings) -> None:
    """Arm the fault points that a test has asked for; a process in production mode has none, whatever is asked."""
    wanted = os.environ.get(faultpoints.VARIABLE, "")
    if wanted and settings.mode != "production":
        faultpoints.arm(wanted)
        observe(Notice("FAULTS ARE ARMED: this process will fail on purpose.", level="warning"))


def cursor_key(settings: Settings) -> bytes:
    """The key that seals cursors: the same in all workers and after a restart, and no one's token key."""
    secret = settings.cursor_secret or settings.jwt_secret
    if secret is None:
        # Tokens are verified by a public key and no secret is set: cursors then hold as long as the database does.
        secret = f"{settings.database_url}|{settings.jwt_public_key_file}"
    return hashlib.blake2b(secret.encode(), digest_size=32, person=b"aether cursors").digest()


def product_version() -> str:
    """The installed version."""
    try:
        return version("aether-api")
    except PackageNotFoundError:
        return "0"


def _settle_memory() -> None:
    """Take what a start has made out of the garbage collector's rounds: they cost 40 ms at the 99th percentile."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _observe_statement(text: str, duration_s: float, rows: int) -> None:
    observe(StatementRan(text, duration_s, rows))
