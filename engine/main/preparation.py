"""Before a start: the database brought up to date or refused, and the registry loaded for it as it is."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from engine.io.migrate import migrate, pending
from engine.io.reflect import reflect
from engine.observe import Notice, observe
from engine.registry.findings import Finding
from engine.registry.load import Loaded, load_registry
from engine.registry.reflection import ReflectedDatabase
from engine.registry.resource import Registry
from engine.settings import Settings


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
    with uncollected():
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


def take_prepared(settings: Settings) -> Prepared | None:
    """What `look_ahead` has found for this start, once."""
    return _LOOKED_AHEAD.pop(_key_of(settings), None)


@contextmanager
def uncollected() -> Iterator[None]:
    """Leave the garbage collector out of a start: it would go through all that is made, again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


# What `look_ahead` has found, for the start that follows.
_LOOKED_AHEAD: dict[tuple[str, Path], Prepared] = {}


def _key_of(settings: Settings) -> tuple[str, Path]:
    return settings.database_url, settings.registry.resolve()


def _target_of(loaded: Loaded) -> Registry:
    if loaded.target is None:
        raise RegistryRefused(loaded.findings)
    return loaded.target


def _announce_step(sentence: str) -> None:
    observe(Notice("The database is brought up to date.", logger="engine.io.migrate", details=(("step", sentence),)))
