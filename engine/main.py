"""The composition root: settings in, a running application out. The one place that knows every part.

Plug-ins are found by name: `actions/` and `resources/` beside the registry file,
else those that are shipped. Nothing imports this file but `cli.py` and tests.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from engine.auth.gate import Authenticator, make_authenticator
from engine.auth.limits import RateLimiter, make_limiter
from engine.execute.runtime import Runtime
from engine.http.actions import action_router, describe_actions
from engine.http.app import Application, Serving
from engine.http.cors import Cors
from engine.http.describe import Describer
from engine.http.fallback import make_fallback
from engine.http.health import health_router
from engine.http.meta import meta_router
from engine.http.routes import make_router, root_endpoints
from engine.http.server import Server
from engine.io.cache import Cache, RedisCache, open_cache
from engine.io.changes import Changes
from engine.io.database import Database, check_capacity, open_database
from engine.io.discover import Discovered, find_plugins
from engine.io.migrate import migrate, pending
from engine.io.reflect import reflect
from engine.io.resolver import Resolver
from engine.io.sinks import Sinks
from engine.observe import Notice, StatementRan, observe
from engine.plugins.actions import Action, check_actions, collect_actions
from engine.plugins.overrides import Overrides, collect_overrides
from engine.registry.findings import Finding, Place
from engine.registry.load import Loaded, load_registry
from engine.registry.reflection import ReflectedDatabase
from engine.registry.resource import Registry
from engine.settings import Settings, load_settings
from engine.sql.lookup import make_lookup
from engine.tables import build_tables

SHIPPED = Path(__file__).parents[1]
PLUGIN_FAULT = "R601"


class RegistryRefused(Exception):
    """The registry, a plug-in or the database's structure stops the start.

    Attributes:
        findings: What is wrong, errors and advice alike.
    """

    def __init__(self, findings: Sequence[Finding], reason: str = "The registry has errors.") -> None:
        errors = [f"{finding.code}: {finding.message}" for finding in findings if finding.severity == "error"]
        super().__init__(" ".join([reason, *errors[:5]]))
        self.findings = tuple(findings)


class MigrationsPending(Exception):
    """The database lacks what the registry needs; only `aether migrate` changes it."""

    def __init__(self, steps: Sequence[str]) -> None:
        lines = "\n".join(f"  {step}" for step in steps[:10])
        super().__init__(f"The database is not what the registry needs. Run `aether migrate`. Pending:\n{lines}")


@dataclass(frozen=True, slots=True)
class Plugins:
    """What was found beside the registry."""

    overrides: Mapping[str, Overrides]
    actions: tuple[Action, ...]


@dataclass(slots=True)
class Engine:
    """Everything that runs, so that it can be stopped.

    Attributes:
        application: The ASGI application.
        runtime: What it serves.
    """

    application: Application
    runtime: Runtime
    database: Database
    cache: Cache
    changes: Changes
    authenticator: Authenticator
    limiter: RateLimiter | None
    tasks: list[asyncio.Task[None]]

    async def close(self) -> None:
        """Stop in the order in which the parts depend on each other."""
        for task in self.tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.changes.close()
        await self.authenticator.close()
        await self.cache.close()
        await self.database.close()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A registry that fits the database as it is, and the database's structure."""

    registry: Registry
    reflection: ReflectedDatabase


def target_registry(settings: Settings, reflection: ReflectedDatabase) -> Registry:
    """The registry as it will be once the database has been migrated; what `migrate` plans by.

    Raises:
        RegistryRefused: It has errors that no migration takes away.
    """
    return _target_of(load_registry(settings.registry, reflection))


async def look_ahead(settings: Settings) -> Registry:
    """Prepare a start that follows in this process, and find out now what would stop it.

    Raises:
        MigrationsPending, RegistryRefused: See `prepare`.
    """
    with _uncollected():
        prepared = await prepare(settings)
    _LOOKED_AHEAD[_key_of(settings)] = prepared
    return prepared.registry


async def prepare(settings: Settings) -> Prepared:
    """Bring an embedded database up to date, refuse another that is not, and load the registry for it.

    Raises:
        MigrationsPending: A MariaDB database lacks something.
        RegistryRefused: The registry has errors.
    """
    seen: list[tuple[ReflectedDatabase, Loaded]] = []

    def load(found: ReflectedDatabase) -> Registry:
        loaded = load_registry(settings.registry, found)
        seen.append((found, loaded))
        return _target_of(loaded)

    if settings.dialect == "sqlite":
        path = Path(urlsplit(settings.database_url).path.removeprefix("/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        has_changed = bool(await migrate(settings.database_url, load, say=_announce_step))
    else:
        steps = await pending(settings.database_url, load)
        if steps:
            raise MigrationsPending([step.description for step in steps])
        has_changed = False
    reflection, loaded = seen[-1]
    if has_changed:
        reflection = await reflect(settings.database_url)
        loaded = load_registry(settings.registry, reflection)
    if loaded.registry is None:
        raise RegistryRefused(loaded.findings)
    return Prepared(loaded.registry, reflection)


def find_all_plugins(settings: Settings, registry: Registry) -> tuple[Plugins, tuple[Finding, ...]]:
    """Import the plug-ins and match them with the registry.

    Returns:
        The plug-ins, and what is wrong with them.
    """
    findings: list[Finding] = []
    overrides: dict[str, Overrides] = {}
    directory = plugin_directory(settings, "resources")
    # Another registry may have a type of the same name with other fields: what is shipped serves as far as it fits.
    is_shipped = directory == SHIPPED / "resources" and settings.registry.resolve().parent != SHIPPED
    found = find_plugins(directory)
    findings.extend(_broken_findings(found))
    for name, module in found.modules.items():
        if name in registry.types:
            overrides[name] = collect_overrides(module, registry.types[name])
            if not is_shipped:
                findings.extend(_plugin_finding(misfit.source, misfit.detail) for misfit in overrides[name].misfits)
    for name, resource in registry.types.items():
        for field in resource.fields.values():
            if field.computed and field.name not in (overrides[name].computed if name in overrides else ()):
                detail = f"{name}.{field.name} is computed, and no resources/{name}.py defines `{field.name}(row)`"
                findings.append(_plugin_finding("", detail))
    found = find_plugins(plugin_directory(settings, "actions"))
    findings.extend(_broken_findings(found))
    declared = [action for module in found.modules.values() for action in collect_actions(module)]
    actions, faults = check_actions(declared, registry)
    findings.extend(faults)
    return Plugins(overrides, tuple(actions)), tuple(findings)


def plugin_directory(settings: Settings, name: str) -> Path:
    """Where plug-ins of a sort are: beside the registry file, else with the product."""
    beside = settings.registry.resolve().parent / name
    return beside if beside.is_dir() else SHIPPED / name


async def start_engine(settings: Settings, sinks: Sinks) -> Engine:
    """Start everything that serves.

    Raises:
        RegistryRefused, MigrationsPending, SettingsError, Unavailable: As their names say.
    """
    with _uncollected():
        prepared = _LOOKED_AHEAD.pop(_key_of(settings), None) or await prepare(settings)
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
    runtime = Runtime(registry, tables, database, resolver, changes, plugins.overrides, cursor_key(settings))
    authenticator = make_authenticator(settings, registry, database)
    limiter = make_limiter(settings, shared)
    describer = Describer(plugins.actions)
    root, root_words = root_endpoints(describer)
    serving = Serving(runtime, make_router(registry, describer), root, root_words)

    async def check_database() -> None:
        await database.ping()

    async def check_cache() -> None:
        if shared is not None and await shared.ping() is None:
            raise OSError("Redis does not answer")

    async def check_storage() -> None:
        await asyncio.to_thread(_check_storage, settings)

    action_routes = action_router(plugins.actions)
    fallback = make_fallback(
        [
            health_router(
                {"database": check_database, "cache": check_cache, "storage": check_storage},
                sinks.metrics.render,
                lambda: runtime.registry,
            ),
            meta_router(
                lambda: runtime.registry,
                version=product_version(),
                server_url=settings.public_url or "/",
                actions=describe_actions(action_routes, plugins.actions),
                overrides=plugins.overrides,
            ),
            action_routes,
        ]
    )
    fallback.state.serving = lambda: serving
    application = Application(serving, authenticator, limiter, Cors(settings.cors_origins), fallback, settings)
    tasks = [] if limiter is None else [asyncio.create_task(limiter.run())]
    return Engine(application, runtime, database, cache, changes, authenticator, limiter, tasks)


def create_app() -> Server:
    """The application for uvicorn's factory mode; settings come from the environment, as in every process."""
    settings = load_settings()
    sinks = Sinks(settings)

    async def start() -> Engine:
        engine = await start_engine(settings, sinks)
        _settle_memory()
        return engine

    return Server(start, sinks.start, sinks.stop)


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


# What `look_ahead` has found, for the start that follows.
_LOOKED_AHEAD: dict[tuple[str, Path], Prepared] = {}


def _key_of(settings: Settings) -> tuple[str, Path]:
    return settings.database_url, settings.registry.resolve()


def _target_of(loaded: Loaded) -> Registry:
    if loaded.target is None:
        raise RegistryRefused(loaded.findings)
    return loaded.target


@contextmanager
def _uncollected() -> Iterator[None]:
    """Leave the garbage collector out of a start: it would go through all that is made, again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _settle_memory() -> None:
    """Take what a start has made out of the garbage collector's rounds: they cost 40 ms at the 99th percentile."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _announce_step(sentence: str) -> None:
    observe(Notice("The database is brought up to date.", logger="engine.io.migrate", details=(("step", sentence),)))


def _observe_statement(text: str, duration_s: float, rows: int) -> None:
    observe(StatementRan(text, duration_s, rows))


def _check_storage(settings: Settings) -> None:
    if settings.storage_url.startswith("file:"):
        path = Path(settings.storage_url.removeprefix("file:"))
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError("the storage directory is not writable")


def _broken_findings(found: Discovered) -> list[Finding]:
    return [_plugin_finding(f"{one.path}:{one.line}", one.reason) for one in found.broken]


def _plugin_finding(source: str, detail: str) -> Finding:
    path, _, line = source.rpartition(":")
    return Finding(PLUGIN_FAULT, detail, Place(path, int(line), 1) if line.isdigit() else None)
