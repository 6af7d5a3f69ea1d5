"""What attacks run on: one seeded application per database and registry, checked after each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support import services
from tests.support.attack import World, make_world
from tests.support.serving import ROOT, Client

ATTACK = ROOT / "tests" / "data" / "attack" / "resources.yaml"
SHIPPED = ROOT / "resources.yaml"
BOTH = ["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)]
OF_A = ["user", "admin", "key"]
CASES = [
    *((dialect, "attack", name) for dialect in ("sqlite", "mariadb") for name in OF_A),
    ("sqlite", "shipped", "key"),
    ("mariadb", "shipped", "user"),
]


def _marks(dialect: str) -> tuple[pytest.MarkDecorator, ...]:
    return (pytest.mark.mariadb,) if dialect == "mariadb" else ()


class _Worlds:
    """Makes worlds when they are first asked for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stack = AsyncExitStack()
        self._made: dict[tuple[str, str], World] = {}
        self._failed: set[tuple[str, str]] = set()

    async def get(self, dialect: str, registry: str) -> World:
        """A running world."""
        # The services' functions run a loop of their own, so they need a thread of their own.
        if dialect == "mariadb":
            await asyncio.to_thread(services.require_mariadb)
        if (dialect, registry) in self._failed:
            pytest.fail(
                f"The application on {dialect} with the {registry} registry did not start; see the first error."
            )
        if (dialect, registry) not in self._made:
            self._failed.add((dialect, registry))
            if dialect == "mariadb":
                made_database = services.make_mariadb_database()
                url = await asyncio.to_thread(made_database.__enter__)
                self._stack.push_async_callback(asyncio.to_thread, made_database.__exit__, None, None, None)
            else:
                url = f"sqlite:///{self._directory / registry}.sqlite3"
            made = make_world(url, ATTACK if registry == "attack" else SHIPPED, registry)
            self._made[dialect, registry] = await self._stack.enter_async_context(made)
            self._failed.discard((dialect, registry))
        return self._made[dialect, registry]

    async def close(self) -> None:
        """Stop and drop them all."""
        await self._stack.aclose()


@pytest.fixture(scope="session")
async def worlds(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[_Worlds]:
    """All worlds."""
    made = _Worlds(tmp_path_factory.mktemp("worlds"))
    yield made
    await made.close()


@pytest.fixture(params=BOTH)
async def world(request: pytest.FixtureRequest, worlds: _Worlds) -> AsyncIterator[World]:
    """The registry of attacks, on either database; the invariants are checked after the test."""
    made = await worlds.get(request.param, "attack")
    await made.begin()
    yield made
    await made.check()


@pytest.fixture(params=[pytest.param(case, id="-".join(case), marks=_marks(case[0])) for case in CASES])
async def any_world(request: pytest.FixtureRequest, worlds: _Worlds) -> AsyncIterator[World]:
    """For attacks on every type: the registry of attacks for each caller, and the shipped one."""
    dialect, registry, _ = request.param
    made = await worlds.get(dialect, registry)
    await made.begin()
    yield made
    await made.check()


@pytest.fixture
def any_caller(request: pytest.FixtureRequest, any_world: World) -> Client:
    """The attacker of account A."""
    return any_world.callers[request.node.callspec.params["any_world"][2]]


@pytest.fixture(params=OF_A)
def caller_name(request: pytest.FixtureRequest) -> str:
    """Who of account A attacks."""
    name: str = request.param
    return name


@pytest.fixture
def caller(caller_name: str, world: World) -> Client:
    """An attacker of account A."""
    return world.callers[caller_name]
