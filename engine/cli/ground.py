"""What most commands stand on: the settings, the registry with its plug-ins, an open database."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from engine.auth.mint import EVERYTHING
from engine.cli.terminal import Refused
from engine.io.database import Database, open_database
from engine.io.reflect import reflect
from engine.main import Plugins, RegistryRefused, find_all_plugins
from engine.plan.rights import Rights, rights_of
from engine.principal import Principal
from engine.registry.findings import Finding, has_errors, suggest
from engine.registry.load import Loaded, load_registry
from engine.registry.reflection import ReflectedDatabase
from engine.registry.resource import Registry, Resource
from engine.settings import PREFIX, Settings, load_settings

# What a demo has of its own, so that `aether gc` for one database never meets the files of another.
DEMO_PLACES = {"database_url": "sqlite:///var/demo.db", "storage_url": "file:var/demo/blobs"}
OPERATOR = Principal("user", is_operator=True, scopes=frozenset(EVERYTHING))


@dataclass(frozen=True, slots=True)
class Ground:
    """What was loaded.

    Attributes:
        loaded: What the registry's files came to.
        plugins: None where there is no registry to match them with.
        findings: Of both.
    """

    loaded: Loaded
    plugins: Plugins | None
    findings: tuple[Finding, ...]

    @property
    def registry(self) -> Registry:
        """The registry, or what it will be once the database is migrated.

        Raises:
            RegistryRefused: There is none.
        """
        registry = self.loaded.registry or self.loaded.target
        if registry is None:
            raise RegistryRefused(self.findings)
        return registry


def read_settings() -> Settings:
    """The settings of a command that signs and serves nothing: a missing secret is no reason to refuse it.

    Raises:
        SettingsError: Others are wrong.
    """
    return with_demo_places(load_settings() if _mode() else load_settings(mode="dev"))


def is_for_play() -> bool:
    """Whether the environment says that this is no production: without a word it is."""
    return _mode() in ("dev", "demo")


def lay_ground(settings: Settings, reflection: ReflectedDatabase | None = None) -> Ground:
    """Load the registry and its plug-ins; what is wrong stands in `findings`."""
    loaded = load_registry(settings.registry, reflection)
    known = loaded.registry or loaded.target
    if known is None:
        return Ground(loaded, None, loaded.findings)
    plugins, faults = find_all_plugins(settings, known)
    return Ground(loaded, plugins, (*loaded.findings, *faults))


async def find_ground(settings: Settings) -> Ground:
    """The same, with the database as it is.

    Raises:
        Unavailable: The database cannot be reached.
        RegistryRefused: There are errors.
    """
    ground = lay_ground(settings, await reflect(settings.database_url))
    if has_errors(ground.findings):
        raise RegistryRefused(ground.findings)
    return ground


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """The database, closed at the end."""
    database = open_database(settings)
    try:
        yield database
    finally:
        await database.close()


def with_demo_places(settings: Settings) -> Settings:
    """The settings, with the demo's own database and store where a demo names none."""
    if settings.mode != "demo":
        return settings
    unsaid = {name: place for name, place in DEMO_PLACES.items() if name not in settings.model_fields_set}
    return settings.model_copy(update=unsaid)


def operator_rights(registry: Registry) -> Rights:
    """The rights of an operator with every scope: what a document of everything is made for."""
    return rights_of(registry, OPERATOR)


def find_type(registry: Registry, name: str) -> Resource:
    """A type by its name.

    Raises:
        Refused: There is none.
    """
    found = registry.types.get(name)
    if found is None:
        hint = suggest(name, registry.types)
        raise Refused(f"There is no type {name!r} in {registry.source}{f'; {hint}' if hint else '.'}")
    return found


def _mode() -> str | None:
    return os.environ.get(f"{PREFIX}MODE")
